"""What an audit found, in words and pictures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from leafgraft.audit.border import BorderProbe
from leafgraft.audit.examine import Audit, Doubt
from leafgraft.photos import Photo
from leafgraft.photos.garden import draw
from leafgraft.report.findings import OF_A_GROUP, sections
from leafgraft.report.page import Section, audit_page

pytestmark = pytest.mark.quick

ORDER = [
    "across-labels", "across-splits", "unreadable", "labels", "border", "exact", "near", "bursts", "outliers",
    "blurred", "dark", "tiny", "balance",
]  # fmt: skip


def audit_of(photos: list[Photo], **found: Any) -> Audit:
    nothing: dict[str, Any] = {
        key: [] for key in ("exact", "near", "bursts", "doubts", "outliers", "blurred", "dark", "tiny")
    }
    return Audit(photos=photos, **(nothing | {"border": None, "linked": [*range(len(photos))]} | found))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Photo]:
    """Twelve roses and twelve ferns."""
    folder = tmp_path_factory.mktemp("photos")
    for label in ("rose", "fern"):
        draw(label, 1, (300, 260)).save(folder / f"{label}.jpg")
    return [
        Photo(folder / f"{label}.jpg", label, "", f"{label}{i}", f"{i}", 300, 260)
        for label in ("rose", "fern")
        for i in range(12)
    ]


@pytest.fixture
def everything(photos: list[Photo], tmp_path: Path) -> Audit:
    """One finding of each kind at least."""
    broken = Photo(tmp_path / "none.jpg", "rose", problem="no such file")
    rose, fern = photos[0], photos[12]
    return audit_of(
        [*photos, broken],
        exact=[[photos[1], photos[2]], [replace(rose, split="train"), replace(rose, split="test")]],
        near=[[rose, fern], photos[3:11]],
        bursts=[photos[13:15]],
        doubts=[Doubt(rose, "fern", 0.1), Doubt(fern, "rose", 0.2)],
        outliers=[(rose, 7.25), (fern, 5.5)],
        blurred=[rose],
        dark=[fern],
        tiny=[replace(rose, width=90, height=60)],
        border=BorderProbe(0.97, 0.5),
    )


def by_id(found: Audit, **options: int) -> dict[str, Section]:
    return {section.id: section for section in sections(found, **options)}


def test_every_kind_of_fault_has_a_section_and_the_gravest_come_first(everything: Audit) -> None:
    found = sections(everything)
    assert [section.id for section in found] == ORDER
    assert [section.severity for section in found] == ["mend"] * 3 + ["look", "mend"] + ["look"] * 7 + ["fine"]
    for section in found:
        assert section.title
        assert section.text.endswith(".")
        assert bool(section.advice) == (section.severity != "fine")


def test_where_all_is_well_a_line_each_says_so(photos: list[Photo]) -> None:
    found = sections(audit_of(photos, border=BorderProbe(0.52, 0.5)))
    assert [section.id for section in found] == ORDER
    assert all(section.quiet for section in found)
    assert {section.text for section in found} == {
        "None.",
        "12 each.",
        "From the colours along the border alone, 52 % of the photos are named rightly; always naming the commonest "
        "species gives 50 %.",
    }


def test_what_was_not_looked_into_is_not_said_to_be_fine(photos: list[Photo]) -> None:
    assert {"labels", "border"}.isdisjoint(by_id(audit_of(photos, doubts=None)))


def test_numbers_are_said_in_words_that_fit(everything: Audit) -> None:
    found = by_id(everything)
    assert found["bursts"].text == "1 group, 2 files."
    assert found["near"].text == "2 groups, 10 files."
    assert found["unreadable"].text == "1 file."
    assert found["labels"].text.startswith("2 photos look like another species ")
    one = by_id(replace(everything, doubts=(everything.doubts or [])[:1]))
    assert one["labels"].text.startswith("1 photo looks like another species ")
    assert found["border"].text.startswith("From the colours along the border alone, 97 % of the photos are named ")


def test_pictures_say_why_they_are_shown(everything: Audit) -> None:
    found = by_id(everything)
    captions = {
        name: [item.caption for group in section.groups for item in group.items] for name, section in found.items()
    }
    assert captions["labels"] == ["labelled rose, looks like fern", "labelled fern, looks like rose"]
    assert captions["outliers"] == ["7.2 deviations from the rest", "5.5 deviations from the rest"]
    assert captions["unreadable"] == ["no such file"]
    assert captions["tiny"] == ["90 x 60"]
    assert captions["dark"] == ["fern"]
    assert [group.caption for group in found["across-labels"].groups] == ["rose and fern"]
    assert captions["across-splits"] == ["rose", "rose"]


def test_pictures_are_small_and_a_file_without_one_is_shown_all_the_same(everything: Audit) -> None:
    found = by_id(everything)
    for section in found.values():
        for item in (item for group in section.groups for item in group.items):
            if section.id == "unreadable":
                assert item.photo is None
                continue
            assert item.photo is not None
            with Image.open(io.BytesIO(item.photo)) as picture:
                assert max(picture.size) == 160
            assert Path(item.path).is_file()


def test_what_is_not_shown_is_counted(everything: Audit, photos: list[Photo]) -> None:
    shown = by_id(everything, shown=1)
    assert [(len(shown[name].groups), shown[name].left_out) for name in ("near", "exact", "bursts")] == [
        (1, 1), (1, 1), (1, 0),
    ]  # fmt: skip
    assert [len(group.items) for group in shown["labels"].groups] == [1]
    assert shown["labels"].left_out == shown["outliers"].left_out == 1
    large = by_id(everything)["near"].groups[1]
    assert large.caption == f"rose: {OF_A_GROUP} of 8 files"
    assert len(large.items) == OF_A_GROUP


def test_without_pictures_the_words_are_the_same(everything: Audit) -> None:
    for with_pictures, without in zip(sections(everything), sections(everything, shown=0), strict=True):
        assert (without.text, without.advice, without.severity) == (
            with_pictures.text, with_pictures.advice, with_pictures.severity,
        )  # fmt: skip
        assert [item for group in without.groups for item in group.items] == []


def test_few_photos_come_before_uneven_numbers(photos: list[Photo]) -> None:
    few = by_id(audit_of(photos[:15]))["balance"]
    assert few.severity == "look"
    assert few.text == "From 3 (fern) to 12 (rose). Fewer than 10: fern."
    uneven = by_id(audit_of([*photos[12:], *photos[:12] * 5]))["balance"]
    assert uneven.severity == "look"
    assert "macro F1" in uneven.advice
    many = [Photo(Path("a.jpg"), f"species {i:02d}") for i in range(14)]
    assert by_id(audit_of(many))["balance"].text.endswith("species 08, species 09 and 4 more.")
    assert by_id(audit_of([]))["balance"].text == "There are none."


def test_the_page_shows_it_all_and_hostile_names_do_no_harm(everything: Audit) -> None:
    page = audit_page("photos", ["24 photos."], sections(everything))
    for section in sections(everything):
        assert section.title in page
    assert "no picture" in page
    hostile = "<script>alert(1)</script>\udcf6"
    bad = Photo(Path(f"photos/{hostile}.jpg"), hostile, problem=f"{hostile} is no photo")
    page = audit_page("photos", [], sections(audit_of([bad, *everything.photos], dark=[bad])))
    assert "<script" not in page
    page.encode("utf-8")
