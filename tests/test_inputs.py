from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from leafgraft.errors import UserError
from leafgraft.inputs import as_dataset, as_pixels, class_weights
from leafgraft.photos.dataset import Dataset

pytestmark = pytest.mark.quick

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 224, 224, 3), np.uint8)
NAMES = ("daisy", "iris", "tulip")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6).filter(lambda labels: len(set(labels)) == 3))
def test_one_hot_integers_and_names_mean_the_same(labels: list[int]) -> None:
    pixels = PIXELS[: len(labels)]
    names = [NAMES[label] for label in labels]
    forms: list[Any] = [
        labels,
        np.array(labels, np.uint8),
        np.array(labels, np.float32),
        np.eye(3)[labels],
        np.eye(3, dtype=bool)[labels],
        names,
        np.array(names),
        np.array(names, object),
    ]
    for form in forms:
        data = as_dataset(pixels, form, 3, NAMES)
        assert data.labels.tolist() == labels
        assert data.classes == NAMES
    assert as_dataset(pixels, names, 3, None).classes == NAMES  # sorted, as folders are
    assert as_dataset(pixels, labels, 3, None).classes == ("class 0", "class 1", "class 2")


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 255), st.integers(2, 255))
def test_whole_numbers_of_any_type_keep_their_value(low: int, high: int) -> None:
    photo = np.full((1, 224, 224, 3), low, np.uint8)
    photo[0, 0, 0] = high
    for kind in (np.uint8, np.int16, np.int64, np.float32, np.float64):
        assert np.array_equal(as_pixels(photo.astype(kind)), photo)


def test_uint8_is_not_copied() -> None:
    assert as_pixels(PIXELS) is PIXELS
    assert as_dataset(PIXELS, [0, 1] * 3, 2, None).source is PIXELS


def test_floats_within_one_are_scaled_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert np.array_equal(as_pixels(PIXELS.astype(np.float32) / 255), PIXELS)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "leafgraft: the photos are floats within 0-1 and were scaled to 0-255.\n"
    as_pixels(PIXELS.astype(np.float32))
    assert capsys.readouterr().err == ""


def nan() -> NDArray[np.float32]:
    pixels = PIXELS.astype(np.float32)
    pixels[3, 7, 7, 1] = np.nan
    return pixels


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (nan(), "NaN or infinite"),
        (np.full((1, 224, 224, 3), np.inf), "NaN or infinite"),
        (PIXELS[0], r"shape \(224, 224, 3\)\. Did you forget the batch axis"),
        (PIXELS[..., :1], r"\(n, 224, 224, 3\), RGB\. Received: shape \(6, 224, 224, 1\)"),
        (PIXELS[:, :100], r"Received: shape \(6, 100, 224, 3\)"),
        (PIXELS.transpose(0, 3, 1, 2), r"Received: shape \(6, 3, 224, 224\)"),
        (PIXELS[:0], "no photos"),
        (PIXELS.astype(np.float32) - 128, "values from -128 to 127"),
        (PIXELS.astype(np.int32) * 257, "within 0-255"),
        (PIXELS.astype(complex), "Received: complex128"),
        (None, r"Received: shape \(\)"),
        ([PIXELS[0], PIXELS[0, :100]], "different shapes"),
    ],
)
def test_unfit_photos_are_refused(pixels: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_dataset(pixels, [0, 1, 2, 0, 1, 2], 3, None)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "needs labels"),
        (2, r"Received: shape \(\)"),
        ([0, 1, 2], "6 photos but 3 labels"),
        ([0, 1, 2, 3, 0, 1], r"num_classes is 3, so labels go from 0 to 2. Received: labels from 0 to 3"),
        ([-1, 0, 1, 2, 0, 1], "labels from -1 to 2"),
        ([0, 1, 2, 0, 1, 0.5], "fractions or NaN"),
        ([0, 1, 2, 0, 1, float("nan")], "fractions or NaN"),
        ([0, 1, 2, 0, 1, float("inf")], "labels from 0.0 to inf"),
        ([0, 1, 2, 0, 1, 1j], "Received: complex128"),
        ([0, 1, 2, 0, 1, None], "Received: object"),
        ([0, 1, 2, 0, 1, 2**64 - 1], "so labels go from 0 to 2"),
        (np.eye(4)[[0, 1, 2, 0, 1, 2]], "num_classes is 3, but the one-hot labels have 4 columns"),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]] * 0.9, "must be one-hot"),
        (np.ones((6, 3)), "must be one-hot"),
        (np.zeros((6, 3)), "must be one-hot"),
        (np.zeros((6, 3, 1)), r"Received: shape \(6, 3, 1\)"),
        ([[0, 1, 0]] * 5 + [[1, 0]], "different shapes"),
        (["iris", "tulip"] * 3, "num_classes is 3, but the labels name 2 species: iris, tulip"),
    ],
)
def test_unfit_labels_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_dataset(PIXELS, labels, 3, None)


def test_a_name_the_classifier_does_not_know_is_refused() -> None:
    with pytest.raises(UserError, match="name 'rose', which is none of daisy, iris, tulip"):
        as_dataset(PIXELS, ["iris", "rose"] * 3, 3, NAMES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, photo in zip(NAMES * 2, PIXELS, strict=True):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(tmp_path / "photos" / name / f"{photo[0, 0, 0]}.png")
    return tmp_path / "photos"


def test_a_folder_brings_its_own_labels(folder: Path) -> None:
    data = as_dataset(str(folder), None, 3, None)
    assert data.classes == NAMES
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert as_dataset(data, None, 3, NAMES) is data
    with pytest.raises(UserError, match="leave y out"):
        as_dataset(folder, [0] * 6, 3, None)
    with pytest.raises(UserError, match="leave y out"):
        as_dataset(data, [0] * 6, 3, None)


def test_what_is_broken_in_a_folder_stays_out(folder: Path) -> None:
    (folder / "iris" / "broken.png").write_bytes(b"")
    assert len(as_dataset(folder, None, 3, None)) == 6


def test_a_folder_of_other_species_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"num_classes is 5, but the photos show 3 species \(daisy, iris, tulip\)"):
        as_dataset(folder, None, 5, None)
    data = as_dataset(folder, None, 3, None)
    with pytest.raises(UserError, match="show daisy, iris, tulip; the classifier tells apart aster, iris, tulip"):
        as_dataset(data, None, 3, ("aster", "iris", "tulip"))
    with pytest.raises(UserError, match="shows daisy, iris, tulip; the classifier tells apart aster"):
        as_dataset(folder, None, 3, ("aster", "iris", "tulip"))


def test_a_photo_that_changed_since_the_scan_is_noticed(folder: Path) -> None:
    data = as_dataset(folder, None, 3, None)
    assert isinstance(data.source, list)
    shutil.copy(data.source[0], data.source[5])
    data.canvas(0)
    with pytest.raises(UserError, match=r"tulip.*has changed since it was scanned"):
        data.canvas(5)


def test_weights_by_label_by_name_and_balanced() -> None:
    data = Dataset.of_arrays(PIXELS, np.array([0, 0, 0, 0, 1, 2]), NAMES)
    assert class_weights(None, data) is None
    assert class_weights({"iris": 2, 0: 0.5}, data) == {1: 2.0, 0: 0.5}
    balanced = class_weights("balanced", data)
    assert balanced == {0: 0.5, 1: 2.0, 2: 2.0}
    assert sum(balanced[label] for label in data.labels.tolist()) == len(data)
    with pytest.raises(UserError, match="names 'rose', which is none of daisy, iris, tulip"):
        class_weights({"rose": 1.0}, data)
    with pytest.raises(UserError, match="Received: 'equal'"):
        class_weights("equal", data)
