"""Which columns hold photos and labels, and what splits are for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from leafgraft.errors import UserError
from leafgraft.hubs.request import Request
from leafgraft.hubs.table import Kind, Table, columns_of, sides_of


def table(columns: Mapping[str, Kind] = {}, splits: tuple[str, ...] = ("train",)) -> Table:
    return Table("1", columns, dict.fromkeys(splits, 1), lambda split, image, label: iter(()))


def asked(**options: str) -> Request:
    return Request("hf", "owner/name", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("columns", "options", "found"),
    [
        ({"n": "numbers", "label": "classes", "img": "pictures"}, {}, ("img", "label")),
        ({"image": "pictures", "mask": "pictures", "species": "text"}, {}, ("image", "species")),
        ({"jpg": "bytes", "cls": "numbers", "x": "other"}, {}, ("jpg", "cls")),
        ({"image": "pictures", "file": "text", "label": "text"}, {}, ("image", "label")),
        ({"image": "pictures", "fine": "classes", "coarse": "classes"}, {"label": "coarse"}, ("image", "coarse")),
        ({"image": "pictures", "label": "classes", "name": "text"}, {"label": "name"}, ("image", "name")),
    ],
)
def test_columns_are_found_by_what_they_hold(
    columns: dict[str, Kind], options: dict[str, str], found: tuple[str, str]
) -> None:
    assert columns_of(table(columns), asked(**options)) == found


@pytest.mark.parametrize(
    ("columns", "options", "sentence"),
    [
        ({"text": "text", "label": "classes"}, {}, r"no column of pictures, only text \(text\), label \(classes\)"),
        ({"image": "pictures", "box": "other"}, {}, r"no column of labels, only image \(pictures\), box \(other\)"),
        ({"left": "pictures", "right": "pictures"}, {}, "left, right; choose one with ,image=left"),
        (
            {"image": "pictures", "fine": "classes", "coarse": "classes"},
            {},
            "fine, coarse; choose one with ,label=fine",
        ),
        (
            {"image": "pictures", "label": "text"},
            {"label": "kind"},
            r"no column kind; it has image \(pictures\), label",
        ),
        ({"image": "pictures", "label": "text"}, {"label": "image"}, "the column image holds no labels"),
    ],
)
def test_columns_that_are_not_there_or_not_clear_are_listed(
    columns: dict[str, Kind], options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        columns_of(table(columns), asked(**options))


@pytest.mark.parametrize(
    ("splits", "options", "sides"),
    [
        (("train",), {}, {"train": ""}),
        (("everything",), {}, {"everything": ""}),
        (("train", "validation", "test"), {}, {"train": "train", "validation": "val", "test": "test"}),
        (("Train", "extra"), {}, {"Train": "train"}),
        (("train", "test"), {"split": "test"}, {"test": ""}),
    ],
)
def test_splits_keep_their_sides_and_a_single_one_has_none(
    splits: tuple[str, ...], options: dict[str, str], sides: dict[str, str]
) -> None:
    assert sides_of(table(splits=splits), asked(**options)) == sides


def test_splits_that_are_not_there_or_not_clear_are_listed() -> None:
    with pytest.raises(UserError, match="has no split dev; it has train, test"):
        sides_of(table(splits=("train", "test")), asked(split="dev"))
    with pytest.raises(UserError, match=r"has the splits y2019, y2020, .* choose one with ,split=y2019"):
        sides_of(table(splits=("y2019", "y2020")), asked())
