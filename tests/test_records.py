"""What a run says of itself."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import SHORT, SPECIES
from leafgraft.gathering import Gathered, Settings, gather
from leafgraft.photos import Photo
from leafgraft.photos.dataset import Dataset
from leafgraft.records import PREDICTIONS, card_of, predictions, record_of


def test_the_record_is_enough_to_repeat_the_run(trained_run: Path, garden: Path, settings: Settings) -> None:
    record = json.loads((trained_run / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert record["recipe"] == json.loads(json.dumps(dataclasses.asdict(SHORT)))
    assert record["photos"] == str(garden)
    assert record["garden"] is True
    assert record["classes"] == list(SPECIES)
    assert record["counts"] == {"train": 12, "val": 6, "test": 6}
    assert (record["seed"], record["val_fraction"], record["test_fraction"]) == (0, 0.25, 0.25)
    assert {"leafgraft", "python", "keras", "tensorflow", "openvino", "numpy", "pillow"} == set(record["versions"])
    again = record_of(garden, settings, gather(garden, settings))
    assert again["data_sha256"] == record["data_sha256"]
    other = dataclasses.replace(settings, seed=1)
    assert record_of(garden, other, gather(garden, other))["data_sha256"] != record["data_sha256"]


def gathered(*photos: Photo) -> Gathered:
    """Photos that were never files, which a record does not look at."""
    classes = tuple(sorted({photo.label for photo in photos}))
    return Gathered(list(photos), classes, Dataset.of_photos(photos, classes), None, None)


def photo(path: str, label: str, split: str, content: str = "00") -> Photo:
    return Photo(Path(path), label, split, content)


def digest(settings: Settings, *photos: Photo) -> str:
    return str(record_of(Path("photos"), settings, gathered(*photos))["data_sha256"])


@pytest.fixture
def settings_with_a_file(tmp_path: Path) -> Settings:
    (tmp_path / "weights.h5").write_bytes(b"weights")
    return Settings(SHORT, weights=tmp_path / "weights.h5")


def test_the_digest_of_the_data_is_that_of_contents_labels_and_sides(settings_with_a_file: Settings) -> None:
    one, other = photo("a.jpg", "fern", "train", "11"), photo("b.jpg", "oak", "val", "22")
    first = digest(settings_with_a_file, one, other)
    assert digest(settings_with_a_file, other, dataclasses.replace(one, path=Path("elsewhere.jpg"))) == first
    for changed in ({"label": "rose"}, {"split": "test"}, {"sha256": "33"}):
        assert digest(settings_with_a_file, dataclasses.replace(one, **changed), other) != first  # type: ignore[arg-type]


def test_a_label_that_is_no_unicode_can_be_recorded(settings_with_a_file: Settings) -> None:
    odd = os.fsdecode(b"f\xe9rn")
    assert len({digest(settings_with_a_file, photo("a.jpg", label, "train")) for label in (odd, "f?rn")}) == 2


def test_what_was_left_out_does_not_count(settings_with_a_file: Settings) -> None:
    one, bad = photo("a.jpg", "fern", "train"), dataclasses.replace(photo("b.jpg", "fern", ""), problem="empty file")
    found = dataclasses.replace(gathered(one), photos=[one, bad])
    record = record_of(Path("photos"), settings_with_a_file, found)
    assert record["counts"] == {"train": 1}
    assert record["data_sha256"] == digest(settings_with_a_file, one)


def test_weights_of_the_user_are_named_with_their_digest(settings_with_a_file: Settings) -> None:
    weights = record_of(Path("photos"), settings_with_a_file, gathered(photo("a.jpg", "fern", "train")))["weights"]
    assert weights["file"] == str(settings_with_a_file.weights)
    assert weights["sha256"] == hashlib.sha256(b"weights").hexdigest()


def test_a_line_a_photo_with_its_likeliest_species() -> None:
    photos = [photo("a.jpg", "fern", "test"), photo("b.jpg", "oak", "fold 2")]
    lines = list(predictions(photos, np.array([[0.25, 0.75], [0.1234567, 0.8765433]], np.float32), ["fern", "oak"]))
    assert [tuple(line) for line in lines] == [PREDICTIONS] * 2
    assert [tuple(line.values())[1:] for line in lines] == [
        ("fern", "oak", 0.75, "test"),
        ("oak", "oak", 0.876543, "fold 2"),
    ]
    assert lines[0]["path"] == Path("a.jpg").absolute().as_posix()


SCORE = {"accuracy": 0.5, "accuracy_ci95": [0.2, 0.8], "macro_f1": 0.4, "n": 8}


@pytest.fixture
def record(settings_with_a_file: Settings) -> dict[str, Any]:
    return record_of(Path("photos"), settings_with_a_file, gathered(photo("a.jpg", "fern", "train")))


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"test": SCORE, "folds": {"pooled": SCORE | {"n": 9}}, "val": SCORE | {"n": 7}}, "on 8 held-out photos.**"),
        ({"folds": {"pooled": SCORE | {"n": 9}}, "val": SCORE}, "on 9 held-out photos.** Each photo was judged by"),
        ({"val": SCORE | {"n": 7}}, "on 7 held-out photos.** The training was followed on these photos"),
        ({}, "No photos were held out"),
    ],
)
def test_the_card_has_the_figures_that_say_most(record: dict[str, Any], metrics: dict[str, Any], words: str) -> None:
    found = gathered(photo("a.jpg", "fern", "train"), photo("b.jpg", "fern", "val"), photo("c.jpg", "oak", "train"))
    text = card_of(found, record, metrics, "hedge")
    assert words in text
    assert "# hedge\n" in text
    assert "| fern | 1 | 1 | 0 |" in text
    assert "a file of the user's" in text


def test_weights_that_were_fetched_have_their_licence(record: dict[str, Any]) -> None:
    fetched = record | {"weights": {"source": "keras"}}
    text = card_of(gathered(photo("a.jpg", "fern", "train")), fetched, {}, "hedge")
    assert "as published with Keras. Licence: MIT" in text


def test_the_sides_are_counted_for_each_species(garden: Path, settings: Settings) -> None:
    found = gather(garden, settings)
    text = card_of(found, record_of(garden, settings, found), {}, "hedge")
    for name in SPECIES:
        counts = Counter(one.split for one in found.photos if one.label == name)
        assert f"| {name} | {counts['train']} | {counts['val']} | {counts['test']} |" in text
