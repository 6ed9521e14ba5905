"""Neighbours and groups, against what a few plain lines find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from leafgraft.audit import pairs
from leafgraft.audit.pairs import as_pairs, groups_of, linked, neighbours

pytestmark = pytest.mark.quick

# Whole numbers, so that products are exact whatever order they are summed in.
ROWS = st.integers(0, 25).flatmap(lambda n: arrays(np.float32, (n, 4), elements=st.integers(-9, 9).map(float)))
COUPLES = st.integers(1, 20).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30))
)


@settings(deadline=None)
@given(ROWS, st.integers(1, 30), st.integers(1, 200), st.booleans(), st.none() | st.integers(1, 6))
def test_neighbours_are_those_of_brute_force(
    rows: NDArray[np.float32], count: int, cells: int, mirrored: bool, kinds: int | None
) -> None:
    n = len(rows)
    others = rows[:, ::-1] if mirrored else None
    groups = None if kinds is None else np.arange(n) % kinds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_CELLS", cells)  # few rows at a time
        found = neighbours(rows, count, others, groups)
    assert found.shape == (n, max(0, min(count, n - 1)))
    belongs = np.arange(n) if groups is None else groups
    for i in range(n):
        foreign = np.flatnonzero(belongs != belongs[i])
        products = rows[i] @ (rows if others is None else others).T
        best = sorted(products[foreign], reverse=True)[: found.shape[1]]
        chosen = found[i, : len(best)]
        assert np.isin(chosen, foreign).all()
        assert len(set(chosen.tolist())) == len(best)
        assert products[chosen].tolist() == best


def test_a_photo_is_no_neighbour_of_itself_even_mirrored() -> None:
    rows = np.eye(3, dtype=np.float32)
    assert all(i not in row for i, row in enumerate(neighbours(rows, 2, rows).tolist()))


@settings(deadline=None)
@given(COUPLES)
def test_pairs_are_sorted_and_there_once(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    found = as_pairs(drawn[1])
    assert found.dtype == np.int64
    assert [tuple(pair) for pair in found.tolist()] == sorted({(min(c), max(c)) for c in drawn[1] if c[0] != c[1]})
    np.testing.assert_array_equal(as_pairs(found), found)


@settings(deadline=None)
@given(COUPLES)
def test_groups_are_what_links_reach_and_none_overlap(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    n, couples = drawn
    groups = [{i} for i in range(n)]
    for couple in couples:
        touched = [group for group in groups if group & set(couple)]
        groups = [group for group in groups if group not in touched] + [set[int]().union(*touched)]
    found = groups_of(as_pairs(couples), n)
    assert [set(group) for group in found] == sorted((group for group in groups if len(group) > 1), key=min)
    assert all(group == sorted(group) for group in found)
    members = linked(as_pairs(couples), n)
    assert all(len({members[i] for i in group}) == 1 for group in groups)
    assert len(set(members.tolist())) == len(groups)


def test_no_photos_have_no_groups() -> None:
    nothing = as_pairs([])
    assert nothing.shape == (0, 2)
    assert groups_of(nothing, 0) == groups_of(nothing, 3) == []
    assert linked(nothing, 0).tolist() == []
    assert linked(nothing, 3).tolist() == [0, 1, 2]
