"""Figures by hand, against scikit-learn, and by the laws they obey."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from leafgraft.verdict.metrics import (
    Interval,
    accuracy_interval,
    bootstrap_interval,
    confusion,
    expected_calibration_error,
    most_confused,
    score,
    sentence,
    wilson_interval,
)

pytestmark = pytest.mark.quick

BOOLS = st.lists(st.booleans(), min_size=1, max_size=60)


def some(n: int = 120, k: int = 6, seed: int = 3) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels and probabilities of a classifier that is often right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    logits = rng.normal(size=(n, k)) + 2 * np.eye(k)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, shares.astype(np.float32)


def figures(*arguments: Any, **keywords: Any) -> dict[str, Any]:
    return score(*arguments, **keywords)


def test_score_by_hand() -> None:
    result = figures([0, 0, 1, 1], [[0.7, 0.3], [0.4, 0.6], [0.1, 0.9], [0.2, 0.8]])
    assert result["accuracy"] == 0.75
    assert result["balanced_accuracy"] == 0.75
    assert result["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert result["top3"] == 1.0
    assert result["log_loss"] == pytest.approx(-(math.log(0.7) + math.log(0.4) + math.log(0.9) + math.log(0.8)) / 4)
    assert result["brier"] == pytest.approx((0.18 + 0.72 + 0.02 + 0.08) / 4)
    # Each photo lies in a bin of its own: gaps 0.3, 0.6, 0.1 and 0.2.
    assert result["ece"] == pytest.approx((0.3 + 0.6 + 0.1 + 0.2) / 4)
    assert result["n"] == 4


def test_score_agrees_with_scikit_learn() -> None:
    labels, shares = some()
    result = figures(labels, shares)
    predicted = shares.argmax(axis=1)
    every = range(6)
    assert result["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    assert result["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(labels, predicted))
    assert result["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(labels, predicted, average="macro"))
    assert result["top3"] == pytest.approx(sklearn.metrics.top_k_accuracy_score(labels, shares, k=3))
    assert result["log_loss"] == pytest.approx(sklearn.metrics.log_loss(labels, shares, labels=every), rel=1e-5)
    brier = sklearn.metrics.brier_score_loss(labels, shares, labels=every, scale_by_half=False)
    assert result["brier"] == pytest.approx(brier, rel=1e-5)


def test_ece_agrees_with_the_definition_bin_by_bin() -> None:
    rng = np.random.default_rng(5)
    confidence, correct = rng.random(400), rng.random(400) < 0.6
    expected = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected)


def test_perfect_predictions() -> None:
    result = figures(np.arange(5).repeat(4), np.eye(5).repeat(4, axis=0))
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "top3"):
        assert result[key] == 1.0
    for key in ("log_loss", "ece", "brier"):
        assert result[key] == 0.0
    low, high = result["accuracy_ci95"]
    assert low == pytest.approx(wilson_interval(1.0, 20).low)
    assert high == 1.0


def test_a_confident_mistake_costs_a_finite_loss() -> None:
    result = figures([0], [[0.0, 1.0]])
    assert result["log_loss"] == pytest.approx(15.94, abs=0.01)
    assert result["brier"] == 2.0
    assert result["ece"] == 1.0


def test_classes_without_a_photo_do_not_count_as_failures() -> None:
    result = figures([0, 0, 1], [[0.8, 0.1, 0.05, 0.05], [0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1]])
    assert result["balanced_accuracy"] == 1.0
    assert result["macro_f1"] == 1.0


def test_a_prediction_of_a_class_without_photo_lowers_the_f1() -> None:
    result = figures([0, 0], [[0.9, 0.1], [0.2, 0.8]])
    assert result["balanced_accuracy"] == 0.5
    assert result["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_one_class_is_no_special_case() -> None:
    assert figures([0, 0], [[1.0], [1.0]])["accuracy"] == 1.0


def test_score_goes_through_json_unchanged() -> None:
    result = figures(*some())
    assert json.loads(json.dumps(result)) == result


def test_score_does_not_change_its_input() -> None:
    labels, shares = some()
    before = shares.copy()
    score(labels, shares)
    np.testing.assert_array_equal(shares, before)


@pytest.mark.parametrize(
    ("labels", "shares", "message"),
    [
        ([0, 1], [[0.5, 0.5]], "must be"),
        ([0], [0.5, 0.5], "must be"),
        ([], np.empty((0, 2)), "must be"),
        ([2], [[0.5, 0.5]], r"0\.\.1"),
        ([-1], [[0.5, 0.5]], r"0\.\.1"),
        ([0.0], [[0.5, 0.5]], "integers"),
        ([0], [[3.0, -2.0]], "sum 1"),
        ([0], [[4.0, 2.0]], "sum 1"),
        ([0], [[np.nan, 1.0]], "sum 1"),
    ],
)
def test_score_refuses_what_does_not_fit(labels: Any, shares: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(labels, shares)


@given(st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_photos_changes_nothing(random: Any) -> None:
    labels, shares = some(n=40)
    groups = np.arange(40) // 3
    order = list(range(40))
    random.shuffle(order)
    shuffled = figures(labels[order], shares[order], groups=groups[order])
    for key, value in figures(labels, shares, groups=groups).items():
        assert shuffled[key] == pytest.approx(value)


@given(BOOLS, st.integers(0, 3))
@settings(deadline=None, max_examples=50)
def test_an_accuracy_lies_within_its_interval_within_0_and_1(correct: list[bool], seed: int) -> None:
    interval = accuracy_interval(correct, seed=seed, resamples=200)
    assert 0 <= interval.low <= np.mean(correct) <= interval.high <= 1
    assert interval.low < interval.high


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-5, 5)))
@settings(deadline=None, max_examples=50)
def test_a_bootstrap_stays_within_the_values(values: NDArray[np.float64]) -> None:
    low, high = bootstrap_interval(values, resamples=200)
    assert values.min() - 1e-9 <= low <= high <= values.max() + 1e-9


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), st.data())
@settings(deadline=None, max_examples=50)
def test_ece_lies_within_0_and_1(confidence: NDArray[np.float64], data: st.DataObject) -> None:
    n = len(confidence)
    correct = data.draw(arrays(np.bool_, n))
    assert 0 <= expected_calibration_error(confidence, correct) <= 1 + 1e-12


def test_bootstrap_agrees_with_the_normal_approximation() -> None:
    correct = np.arange(1000) < 800
    low, high = bootstrap_interval(correct, resamples=4000)
    half = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert low == pytest.approx(0.8 - half, abs=0.003)
    assert high == pytest.approx(0.8 + half, abs=0.003)


def test_bootstrap_agrees_with_drawing_photo_by_photo() -> None:
    rng = np.random.default_rng(11)
    values = rng.normal(size=50)
    means = values[rng.integers(50, size=(4000, 50))].mean(axis=1)
    low, high = bootstrap_interval(values, resamples=4000)
    assert low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert high == pytest.approx(np.quantile(means, 0.975), abs=0.02)


def test_photos_of_one_plant_widen_the_interval() -> None:
    groups = np.arange(200) // 10
    correct = groups % 5 != 0
    alone, grouped = bootstrap_interval(correct), bootstrap_interval(correct, groups=groups)
    # Ten equal photos are worth one, so the width grows by the root of ten.
    assert (grouped.high - grouped.low) / (alone.high - alone.low) == pytest.approx(math.sqrt(10), rel=0.15)


def test_groups_of_one_photo_are_no_groups() -> None:
    correct = np.arange(30) % 4 > 0
    names = np.array([f"plant {number}" for number in range(30)])
    assert bootstrap_interval(correct, groups=names) == bootstrap_interval(correct)


def test_wilson_by_hand() -> None:
    # Wilson: for all right, n / (n + z²).
    assert wilson_interval(1.0, 20).low == pytest.approx(20 / (20 + 1.959964**2), rel=1e-6)
    # Newcombe (1998), table I: 81 of 263.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_all_right_counts_the_plants_where_photos_come_in_groups() -> None:
    assert accuracy_interval([True] * 20) == wilson_interval(1.0, 20)
    assert accuracy_interval([True] * 20, groups=[0, 1] * 10) == wilson_interval(1.0, 2)


@pytest.mark.parametrize(
    ("values", "keywords"),
    [([], {}), ([[1.0]], {}), ([1.0], {"level": 1.0}), ([1.0, 0.0], {"groups": [1]})],
)
def test_bootstrap_refuses_what_does_not_fit(values: Any, keywords: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        bootstrap_interval(values, **keywords)


def test_confusion_has_true_rows_and_named_columns() -> None:
    np.testing.assert_array_equal(confusion([0, 0, 2], [0, 1, 2], 4)[:3, :3], [[1, 1, 0], [0, 0, 0], [0, 0, 1]])


def test_confusion_agrees_with_scikit_learn() -> None:
    labels, shares = some()
    predicted = shares.argmax(axis=1)
    expected = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(8))
    np.testing.assert_array_equal(confusion(labels, predicted, 8), expected)


@pytest.mark.parametrize(("labels", "predicted"), [([0, 1], [0]), ([0], [3]), ([-1], [0])])
def test_confusion_refuses_what_does_not_fit(labels: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match="must"):
        confusion(labels, predicted, 3)


def test_most_confused_leaves_out_what_is_right() -> None:
    matrix = np.array([[9, 1, 0], [3, 8, 0], [1, 0, 7]])
    expected = [("birch", "aspen", 3), ("aspen", "birch", 1), ("cedar", "aspen", 1)]
    assert most_confused(matrix, ["aspen", "birch", "cedar"]) == expected
    assert most_confused(matrix, ["aspen", "birch", "cedar"], most=1) == expected[:1]
    assert matrix[0, 0] == 9


def test_the_sentence() -> None:
    known = {"accuracy": 0.965, "accuracy_ci95": [0.93, 0.985], "n": 200}
    assert sentence(known) == "Accuracy 96.5 % (95 % interval 93.0-98.5 %) on 200 held-out photos."
    assert sentence(known | {"n": 1}).endswith("on 1 held-out photo.")


def test_a_hull_covers_both() -> None:
    assert Interval(0.1, 0.3).hull(Interval(0.2, 0.4)) == (0.1, 0.4)
