"""A paired difference, and a verdict that claims no more than its interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leafgraft.verdict.compare import Curve, difference, verdict_sentence
from leafgraft.verdict.metrics import Interval

pytestmark = pytest.mark.quick

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50)


def pairs(both: int, gained: int, lost: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * both + [False] * gained + [True] * lost + [False] * neither
    b = [True] * both + [True] * gained + [False] * lost + [False] * neither
    return np.array(a), np.array(b)


def test_the_difference_is_b_minus_a() -> None:
    value, interval = difference(*pairs(140, 40, 5, 15))
    assert value == pytest.approx(35 / 200)
    assert 0.1 < interval.low < value < interval.high < 0.25


def test_pairing_makes_the_interval_narrow() -> None:
    # Both classifiers fail on the same hard photos: 20 gained out of 200 with nothing lost.
    a, b = pairs(100, 20, 0, 80)
    _, paired = difference(a, b)
    _, shuffled = difference(np.random.default_rng(0).permutation(a), b)
    assert paired.high - paired.low < 0.6 * (shuffled.high - shuffled.low)


def test_a_handful_of_photos_shows_nothing() -> None:
    # McNemar's exact test gives 4 against 0 the p-value 0.125.
    _, interval = difference(*pairs(196, 4, 0, 0))
    assert interval.low < 0 < interval.high


def test_equal_answers_are_no_proof_of_equal_classifiers() -> None:
    value, interval = difference(*pairs(90, 0, 0, 10))
    assert value == 0
    # Agresti and Min by hand: 0 ± 1.96 · √1 / 102.
    assert interval == pytest.approx((-1.959964 / 102, 1.959964 / 102), rel=1e-6)


def test_one_photo_shows_nothing() -> None:
    value, interval = difference([False], [True])
    assert value == 1
    assert interval.low < 0


def test_one_plant_shows_nothing() -> None:
    a, b = pairs(10, 30, 0, 0)
    assert difference(a, b)[1].low > 0
    assert difference(a, b, groups=["the same"] * 40)[1].low < 0


@given(PAIRS)
@settings(deadline=None, max_examples=50)
def test_the_interval_holds_the_difference(answers: list[tuple[bool, bool]]) -> None:
    a, b = np.array(answers).T
    value, interval = difference(a, b)
    assert -1 <= interval.low <= value <= interval.high <= 1
    assert difference(b, a)[0] == -value


def test_the_interval_turns_with_the_difference() -> None:
    a, b = pairs(140, 40, 5, 15)
    interval, turned = difference(a, b)[1], difference(b, a)[1]
    # Two draws of the bootstrap agree only about.
    assert turned == pytest.approx((-interval.high, -interval.low), abs=0.01)


def test_different_photos_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same ones"):
        difference([True], [True, False])


def test_a_shown_difference_names_the_better_one() -> None:
    told = (
        "scratch",
        "transfer",
        0.84,
        Interval(0.78, 0.885),
        0.965,
        Interval(0.93, 0.985),
        0.125,
        Interval(0.08, 0.17),
    )
    assert verdict_sentence(*told, "equal seconds: 123 s each", 200) == (
        "transfer is better than scratch by 12.5 points (95 % interval 8.0 to 17.0) on the same 200 held-out photos at "
        "equal seconds: 123 s each. scratch: 84.0 % (78.0-88.5 %); transfer: 96.5 % (93.0-98.5 %)."
    )


def test_a_shown_loss_names_the_first_with_the_smaller_end_first() -> None:
    told = ("scratch", "transfer", 0.9, Interval(0.85, 0.93), 0.8, Interval(0.74, 0.85), -0.1, Interval(-0.15, -0.04))
    assert verdict_sentence(*told, "equal epochs: 3 each", 200).startswith(
        "scratch is better than transfer by 10.0 points (95 % interval 4.0 to 15.0)"
    )


@pytest.mark.parametrize("interval", [Interval(-0.01, 0.03), Interval(0.0, 0.02), Interval(-0.02, 0.0)])
def test_an_interval_with_0_shows_no_difference(interval: Interval) -> None:
    told = ("a", "b", 0.9, Interval(0.85, 0.93), 0.91, Interval(0.86, 0.94), 0.01, interval)
    text = verdict_sentence(*told, "equal seconds: 9 s each", 1)
    assert text.startswith("No difference is shown between a and b on the same 1 held-out photo at equal seconds")
    assert "better" not in text


def test_a_curve_has_three_equal_columns() -> None:
    assert Curve("a", [1.0, 2.0], [1, 2], [0.5, 0.6]).epochs == [1, 2]
    with pytest.raises(ValueError, match="equally long"):
        Curve("a", [1.0], [1, 2], [0.5, 0.6])
