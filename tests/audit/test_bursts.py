"""Photos taken in a row, in made-up features: what counts is when, in which place, and how alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from leafgraft.audit.bursts import FLOOR, NUMBERS, SECONDS, bursts

pytestmark = pytest.mark.quick

UNKNOWN = float("nan")


def looking(plants: Sequence[int], cosine: float = 0.98, between: float = 0.0) -> NDArray[np.float32]:
    """Rows of length 1 with this cosine within a plant, and that one between plants."""
    n = len(plants)
    rows = np.zeros((n, 1 + max(plants, default=0) + 1 + n))
    rows[:, 0] = np.sqrt(between)
    rows[np.arange(n), 1 + np.array(plants, int)] = np.sqrt(cosine - between)
    rows[np.arange(n), rows.shape[1] - n + np.arange(n)] = np.sqrt(1 - cosine)
    return rows.astype(np.float32)


def found(
    plants: Sequence[int],
    *,
    names: Sequence[str] | None = None,
    taken: Sequence[float] | None = None,
    labels: Sequence[int] | None = None,
    features: NDArray[np.float32] | None = None,
) -> list[tuple[int, ...]]:
    n = len(plants)
    pairs = bursts(
        looking(plants) if features is None else features,
        np.array([0] * n if labels is None else labels, np.int64),
        [Path(name) for name in names or [f"photos/rose/{'x' * i}.jpg" for i in range(n)]],
        np.array([UNKNOWN] * n if taken is None else taken, np.float64),
    )
    return [tuple(pair) for pair in pairs.tolist()]


def test_photos_within_two_minutes_that_look_alike_are_a_burst() -> None:
    assert found([0, 0, 0], taken=[0, 60, 60 + SECONDS]) == [(0, 1), (1, 2)]
    assert found([0, 0], taken=[0, SECONDS + 1]) == []
    assert found([0, 1], taken=[0, 1]) == []


def test_the_order_of_the_files_does_not_matter() -> None:
    assert found([0, 1, 0, 1], taken=[70, 500, 0, 430]) == [(0, 2), (1, 3)]


def test_photos_of_unknown_time_are_no_burst_by_time() -> None:
    assert found([0, 0, 0], taken=[UNKNOWN, 5, UNKNOWN]) == []


def test_several_people_at_once_do_not_part_each_others_bursts() -> None:
    # Five people photograph plants of five species, all in the same seconds.
    plants = [*range(5)] * 3
    pairs = found(plants, labels=plants, taken=[second for second in range(3) for _ in range(5)])
    assert pairs == sorted(pair for i in range(5) for pair in ((i, i + 5), (i, i + 10), (i + 5, i + 10)))


def test_numbers_in_names_that_follow_each_other_are_a_burst() -> None:
    assert found([0, 0, 0], names=["a/IMG_0007.jpg", "a/IMG_0008.jpg", f"a/IMG_{8 + NUMBERS + 1:04d}.jpg"]) == [(0, 1)]
    assert found([0, 0], names=["a/IMG_0009.jpg", "a/IMG_0010.JPG"]) == [(0, 1)]
    assert found([0, 0], names=["a/20240504_123 (1).jpg", "a/20240504_123 (2).jpg"]) == [(0, 1)]


def test_numbers_of_other_series_are_no_burst() -> None:
    assert found([0, 0], names=["a/IMG_0007.jpg", "b/IMG_0008.jpg"]) == []
    assert found([0, 0], names=["a/IMG_0007.jpg", "a/DSC_0008.jpg"]) == []
    assert found([0, 0], names=["a/rose.jpg", "a/rosa.jpg"]) == []


def test_names_of_any_kind_are_borne() -> None:
    names = ["a/" + "7" * 40 + ".jpg", "a/" + "7" * 39 + "8.jpg", "a/٣.jpg", "a/\udcf6\n1.jpg", "a/.jpg", "2.jpg"]
    assert found([0] * 6, names=names) == [(0, 1)]


def test_photos_of_two_species_are_no_burst() -> None:
    assert found([0, 0], labels=[0, 1], taken=[0, 1]) == []
    assert found([0, 0], labels=[0, 1], names=["a/1.jpg", "a/2.jpg"]) == []


def test_alike_is_what_the_data_set_makes_of_it() -> None:
    # Forty plants that all look much the same, each photographed twice within a second, an hour after the last one.
    plants = np.arange(40).repeat(2)
    taken = (3600.0 * plants + np.arange(80) % 2).tolist()
    pairs = [(2 * plant, 2 * plant + 1) for plant in range(40)]
    assert found(plants.tolist(), taken=taken, features=looking(plants.tolist(), 0.99, 0.95)) == pairs
    alike = looking(range(80), 0.99, 0.95) + np.random.default_rng(0).normal(0, 0.01, (80, 161)).astype(np.float32)
    assert len(found(plants.tolist(), taken=taken, features=alike)) <= 1
    assert found([0, 0], taken=[0, 1], features=looking([0, 0], FLOOR - 0.01)) == []
    assert found([0, 0], taken=[0, 1], features=looking([0, 0], FLOOR + 0.01)) == [(0, 1)]


def test_no_photo_and_one_photo_are_no_burst() -> None:
    assert found([]) == found([0], taken=[5], names=["1.jpg"]) == []


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 1),
            st.integers(0, 12),
            st.one_of(st.just(UNKNOWN), st.integers(0, 900).map(float)),
        ),
        max_size=30,
    )
)
def test_a_pair_has_one_species_and_is_close_in_time_or_number(photos: list[tuple[int, int, int, float]]) -> None:
    plants, labels, numbers, taken = (list(column) for column in zip(*photos, strict=True)) if photos else ([],) * 4
    names = [f"photos/IMG_{number}.jpg" for number in numbers]
    pairs = found(plants, labels=labels, names=names, taken=taken)
    assert pairs == sorted(set(pairs))
    for one, other in pairs:
        assert one < other
        assert labels[one] == labels[other]
        assert plants[one] == plants[other]
        assert abs(taken[one] - taken[other]) <= SECONDS or abs(numbers[one] - numbers[other]) <= NUMBERS
