"""When a file may be kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from leafgraft.export.verify import LARGEST, MARGIN, answers, compare, milliseconds

pytestmark = pytest.mark.quick

Shares = NDArray[np.float32]

shares = arrays(np.float32, (20, 3), elements=st.floats(0, 1, width=32))
small = arrays(np.float32, (20, 3), elements=st.floats(-(2.0**-11), 2.0**-11, width=32))  # about half of LARGEST


def certain(*first: int, classes: int = 3) -> Shares:
    """Answers that name some species with certainty."""
    return np.eye(classes, dtype=np.float32)[list(first)]


@given(shares)
def test_the_same_answers_are_without_fault(expected: Shares) -> None:
    found = compare(expected, expected.copy())
    assert (found.photos, found.largest, found.same) == (20, 0.0, 20)
    assert found.decided == found.decided_same
    assert found.fault(int8=False) is None
    assert found.fault(int8=True) is None


@given(shares, small)
def test_what_is_within_the_tolerance_names_decided_photos_alike(expected: Shares, change: Shares) -> None:
    found = compare(expected, expected + change)
    assert found.largest <= LARGEST
    assert found.decided_same == found.decided
    assert found.fault(int8=False) is None


@given(shares, st.integers(0, 19), st.integers(0, 2), st.floats(1.5 * LARGEST, 1.0))
def test_a_single_probability_that_is_off_is_a_fault(expected: Shares, photo: int, label: int, change: float) -> None:
    answered = expected.copy()
    answered[photo, label] += change
    fault = compare(expected, answered).fault(int8=False)
    assert fault is not None
    assert "differs by" in fault


def test_first_answers_that_are_too_near_to_call_do_not_count() -> None:
    expected = np.array([[0.5 + MARGIN / 4, 0.5 - MARGIN / 4], [0.9, 0.1]], np.float32)
    found = compare(expected, np.array([[0.4999, 0.5001], [0.9, 0.1]], np.float32))
    assert (found.same, found.decided, found.decided_same) == (1, 1, 1)
    assert found.fault(int8=False) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_a_fault(value: float) -> None:
    answered = certain(0, 1)
    answered[1, 2] = value
    for int8 in (False, True):
        assert compare(certain(0, 1), answered).fault(int8=int8) == "gives probabilities that are no numbers"


@pytest.mark.parametrize(("photos", "wrong", "kept"), [(64, 1, True), (64, 2, False), (200, 3, True), (200, 4, False)])
def test_int8_may_name_few_photos_otherwise(photos: int, wrong: int, kept: bool) -> None:
    answered = certain(*[1] * wrong, *[0] * (photos - wrong))
    fault = compare(certain(*[0] * photos), answered).fault(int8=True)
    assert (fault is None) == kept
    assert kept or f"names {wrong} of {photos} photos otherwise" in str(fault)


def test_other_species_are_no_answer() -> None:
    with pytest.raises(RuntimeError, match=r"shape \(2, 4\), not \(2, 3\)"):
        compare(certain(0, 1), certain(0, 1, classes=4))


def test_one_species_is_always_decided() -> None:
    assert compare(np.ones((3, 1), np.float32), np.ones((3, 1), np.float32)).decided == 3


class Brightness:
    """Answers by how bright a photo is, and notes how many it was shown at once."""

    labels: tuple[str, ...] = ("dark", "bright")

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, photos: NDArray[np.uint8]) -> Shares:
        self.sizes.append(len(photos))
        bright = photos.mean(axis=(1, 2, 3), dtype=np.float32) / 255
        return np.stack([1 - bright, bright], axis=1)


def test_all_photos_are_answered_in_order_some_at_a_time_and_timed_alone() -> None:
    photos = np.arange(0, 190, 10, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    runner = Brightness()
    told: list[int] = []
    found = answers(runner, photos, lambda text, done, total: told.append(done))
    np.testing.assert_allclose(found[:, 1], np.arange(0, 190, 10) / 255, rtol=1e-6)
    assert runner.sizes == [8, 8, 3]
    assert told == [8, 16, 19]
    runner.sizes.clear()
    assert milliseconds(runner, photos) > 0
    assert runner.sizes == [1] * 20
