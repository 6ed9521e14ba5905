"""Temperatures, and how far probabilities can be taken at their word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from leafgraft.verdict.calibration import RANGE, reliability, temperature, tempered
from leafgraft.verdict.metrics import LEAST_PROBABILITY, expected_calibration_error

pytestmark = pytest.mark.quick

Shares = NDArray[np.float32]


def softmax(logits: NDArray[np.float64]) -> Shares:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def answered(photos: int, heat: float, seed: int = 0) -> tuple[NDArray[np.int64], Shares]:
    """Photos of four species, and answers whose logits are ``heat`` times as large as they should be."""
    chance = np.random.default_rng(seed)
    logits = 2 * chance.normal(size=(photos, 4))
    drawn = (logits + chance.gumbel(size=logits.shape)).argmax(axis=1)  # a draw from the softmax of the logits
    return drawn, softmax(heat * logits)


def log_loss(labels: NDArray[np.int64], shares: Shares) -> float:
    return float(-np.log(np.maximum(shares[np.arange(len(labels)), labels], LEAST_PROBABILITY)).mean())


answers = arrays(np.float64, (6, 3), elements=st.floats(-12, 12)).map(softmax)
labels = arrays(np.int64, 6, elements=st.integers(0, 2))
temperatures = st.floats(*RANGE)


@given(answers, temperatures)
def test_tempered_rows_are_probabilities_in_the_same_order(shares: Shares, heat: float) -> None:
    result = tempered(shares, heat)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(axis=1), 1, atol=1e-5)
    for before, after in zip(shares, result, strict=True):
        assert (np.diff(after[np.argsort(before, kind="stable")]) >= 0).all()


@given(answers, st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_two_temperatures_in_a_row_are_their_product(shares: Shares, one: float, other: float) -> None:
    np.testing.assert_allclose(tempered(tempered(shares, one), other), tempered(shares, one * other), atol=1e-4)


@given(answers)
def test_a_temperature_of_one_changes_nothing_and_a_high_one_levels_everything(shares: Shares) -> None:
    assert tempered(shares, 1.0) is shares
    np.testing.assert_allclose(tempered(shares, 1e4), 1 / 3, atol=1e-2)


def test_probabilities_of_zero_stay_possible_and_no_photos_make_no_rows() -> None:
    certain = np.array([[1, 0]], np.float32)
    assert 0 < tempered(certain, 20.0)[0, 1] < 0.05
    assert tempered(np.zeros((0, 3), np.float32), 2.0).shape == (0, 3)


@pytest.mark.parametrize("heat", [0.5, 1.0, 1.7])
def test_the_temperature_that_was_put_in_is_found(heat: float) -> None:
    assert temperature(*answered(4000, heat)) == pytest.approx(heat, rel=0.06)


@settings(deadline=None)
@given(labels, answers)
def test_the_photos_that_it_was_found_on_are_never_answered_worse(truth: NDArray[np.int64], shares: Shares) -> None:
    found = temperature(truth, shares)
    assert RANGE[0] <= found <= RANGE[1]
    assert log_loss(truth, tempered(shares, found)) <= log_loss(truth, shares) + 1e-6


@pytest.mark.parametrize("photos", [1, 6, 40])
def test_a_few_photos_that_are_all_named_rightly_make_nothing_certain(photos: int) -> None:
    truth = np.arange(photos) % 3
    shares = np.where(np.eye(3, dtype=bool)[truth], 0.9, 0.05).astype(np.float32)
    found = temperature(truth, shares)
    assert 0.4 < found < 1
    doubtful = np.array([[0.5, 0.3, 0.2]], np.float32)
    assert tempered(doubtful, found).max() < 0.8


def test_one_mistake_does_not_level_everything() -> None:
    assert 1 < temperature(np.array([1]), np.array([[0.9, 0.1]], np.float32)) < 1.6


@pytest.mark.parametrize("truth", [0, 1])
def test_where_all_temperatures_are_as_good_nothing_is_changed(truth: int) -> None:
    assert temperature(np.full(5, truth), np.full((5, 2), 0.5, np.float32)) == 1.0
    assert temperature(np.zeros(5, np.int64), np.tile(np.array([1, 0], np.float32), (5, 1))) == 1.0


@given(labels, answers, st.integers(1, 30))
def test_the_gaps_of_the_bins_are_the_calibration_error(truth: NDArray[np.int64], shares: Shares, bins: int) -> None:
    found = reliability(truth, shares, bins)
    confidence, accuracy, count = (np.array(part) for part in (found.confidence, found.accuracy, found.count))
    assert count.sum() == 6
    assert (count > 0).all()
    assert (np.diff(confidence) > 0).all()
    expected = expected_calibration_error(shares.max(axis=1), shares.argmax(axis=1) == truth, bins=bins)
    assert (count * abs(accuracy - confidence)).sum() / 6 == pytest.approx(expected, abs=1e-6)


def test_photos_of_no_number_have_no_bins() -> None:
    assert reliability(np.zeros(0, np.int64), np.zeros((0, 3), np.float32)).count == ()


def test_photos_stand_in_the_bin_of_their_probability() -> None:
    shares = np.array([[0.55, 0.45], [0.4, 0.6], [0.9, 0.1]], np.float32)
    found = reliability(np.array([0, 0, 0]), shares, bins=2)
    assert found.count == (3,)
    assert found.accuracy == pytest.approx((2 / 3,))
    halves = np.array([[0.5, 0.5], [0.75, 0.25]], np.float32)  # a bin has its upper end, not its lower
    assert reliability(np.array([0, 0]), halves, bins=2).count == (1, 1)
    assert reliability(np.array([0, 0]), halves, bins=4).confidence == (0.5, 0.75)
    found = reliability(np.array([0, 0, 0]), shares, bins=4)
    assert found.count == (2, 1)
    assert found.accuracy == (0.5, 1.0)
    assert found.confidence == pytest.approx((0.575, 0.9))


def test_the_temperature_is_the_likeliest_under_a_belief_in_one_and_stays_in_its_range() -> None:
    """The belief is a normal one of the logarithm, with a spread of a half; found here by trying all."""
    chance = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 4)
    shares = softmax(chance.normal(size=(12, 3)) + 1.5 * np.eye(3)[truth])
    tried = np.linspace(-2, 2, 4001)
    of_truth = [tempered(shares, float(np.exp(t)))[np.arange(12), truth].astype(np.float64) for t in tried]
    best = tried[np.argmin([2 * t**2 - np.log(one).sum() for t, one in zip(tried, of_truth, strict=True)])]
    assert np.log(temperature(truth, shares)) == pytest.approx(best, abs=2e-3)
    sure = np.tile(np.array([[1, 0, 0]], np.float32), (10_000, 1))  # always, and wrong two times of three
    assert temperature(np.arange(10_000) % 3, sure) == pytest.approx(20.0, rel=1e-3)
    timid = np.tile(np.array([[0.36, 0.32, 0.32]], np.float32), (10_000, 1))  # and always right
    assert temperature(np.zeros(10_000, np.int64), timid) == pytest.approx(0.05, rel=1e-3)
