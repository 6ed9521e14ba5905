"""Odd ones out: made-up rows, and photos of no plant in a garden."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from faulty_garden import BAD, ODD, FaultyGarden
from leafgraft.audit.outliers import NEIGHBOURS, outliers
from leafgraft.engine.probe import rooted


def clouds(*sizes: int, spread: float = 0.2, seed: int = 0) -> NDArray[np.float32]:
    """Rows of length 1 around as many centres that are far from each other."""
    chance = np.random.default_rng(seed)
    centres = np.eye(64)[: len(sizes)].repeat(sizes, axis=0)
    rows = centres + spread / 8 * chance.normal(size=centres.shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_what_lies_far_from_all_others_is_found_and_the_farthest_comes_first() -> None:
    rows = clouds(20, 20, 1, 1)
    rows[40] += 0.8 * rows[0]  # half way between
    rows[40] /= np.linalg.norm(rows[40])
    found = outliers(rows, np.arange(42))
    assert [position for position, _ in found] == [41, 40]
    assert found[0][1] > found[1][1] > 5


def test_even_clouds_have_no_odd_ones() -> None:
    assert outliers(clouds(30, 30, 30), np.arange(90)) == []


def test_a_few_odd_photos_that_are_copies_of_each_other_stay_odd() -> None:
    rows = clouds(40, 3)
    assert outliers(rows, np.arange(43)) != []
    together = np.minimum(np.arange(43), 40)
    assert {position for position, _ in outliers(rows, together)} == {40, 41, 42}


def test_a_species_that_is_one_group_is_compared_with_the_others() -> None:
    """Large groups leave a photo no others among its nearest; they must neither count as near nor as far."""
    rows = clouds(*[4 * NEIGHBOURS] * 3)
    groups = np.repeat(np.arange(3), 4 * NEIGHBOURS)
    assert outliers(rows, groups) == []
    single = np.concatenate([groups[:-2], [3, 4]])  # two of the last species are on their own
    assert outliers(rows, single) == []


@pytest.mark.parametrize("n", [0, 1, 2, 4 * NEIGHBOURS - 1])
def test_few_photos_have_no_odd_ones(n: int) -> None:
    assert outliers(clouds(max(n - 1, 0), min(n, 1)), np.arange(n)) == []


def test_photos_of_one_group_or_one_look_have_no_odd_ones() -> None:
    rows = clouds(39, 1)
    assert outliers(rows, np.zeros(40, np.int64)) == []
    assert outliers(np.repeat(rows[:1], 40, axis=0), np.arange(40)) == []


@pytest.mark.slow
def test_a_cat_and_a_cup_are_odd_in_a_garden(faulty: FaultyGarden) -> None:
    usable = [photo for photo in faulty.photos() if not photo.problem]
    rows = rooted(faulty.features(usable))
    copies = {copy for kind in ("exact", "resized", "mirrored", "cropped") for _, copy in faulty.truth[kind]}
    odd = {(faulty.folder / name).as_posix() for name in ODD}
    left_out = copies | odd | {(faulty.folder / name).as_posix() for name in BAD}
    names = [photo.path.as_posix() for photo in usable]
    for one in odd:
        kept = np.array([i for i, name in enumerate(names) if name == one or name not in left_out])
        found = outliers(rows[kept], np.arange(len(kept)))
        assert [names[kept[position]] for position, _ in found] == [one]
