"""Photos that are near each other in features, and the groups that pairs of photos make."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_CELLS = 2**21  # of the table of all similarities that are in memory at once: 25 MB with their order
_ROWS = 2048  # couples that are looked at together: 34 MB of their features

Pairs = NDArray[np.int64]
"""int64 (m, 2), positions of two photos, the smaller one first, each pair once and sorted."""


def neighbours(
    rows: NDArray[np.float32],
    count: int,
    others: NDArray[np.float32] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The nearest others of each row by the scalar product, nearest first; a row is no neighbour of itself.

    Args:
        rows: float32 (n, f).
        count: how many.
        others: float32 (n, f), other pictures of the same photos to look among, for instance mirrored ones.
        groups: int64 (n,); rows of one group are no neighbours either. They come last where there are too few others.

    Returns:
        int64 (n, min(count, n - 1)).
    """
    n = len(rows)
    count = min(count, n - 1)
    table = rows if others is None else others
    belongs = np.arange(n) if groups is None else groups
    found = np.zeros((n, max(count, 0)), np.int64)
    if count < 1:
        return found
    block = max(1, _CELLS // n)
    for start in range(0, n, block):
        some = rows[start : start + block] @ table.T
        some[belongs[start : start + block, None] == belongs] = -np.inf
        best = np.argpartition(some, -count, axis=1)[:, -count:]
        order = np.argsort(-np.take_along_axis(some, best, axis=1), axis=1, kind="stable")
        found[start : start + len(some)] = np.take_along_axis(best, order, axis=1)
    return found


def cosines(rows: NDArray[np.float32], couples: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scalar products of couples of rows, float32 (m,).

    Args:
        rows: float32 (n, f).
        couples: int64 (m, 2), positions of two rows each.
    """
    parts = [couples[start : start + _ROWS] for start in range(0, len(couples), _ROWS)]
    found = [np.einsum("ij,ij->i", rows[part[:, 0]], rows[part[:, 1]]) for part in parts]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def as_pairs(couples: Iterable[tuple[int, int]] | NDArray[np.int64]) -> Pairs:
    """Bring couples of positions into the form of `Pairs`."""
    array = np.array(couples if isinstance(couples, np.ndarray) else list(couples), np.int64).reshape(-1, 2)
    return np.unique(np.sort(array[array[:, 0] != array[:, 1]], axis=1), axis=0)


def groups_of(pairs: Pairs, n: int) -> list[list[int]]:
    """The groups that pairs make among n photos: whoever is linked to one of a group belongs to it.

    Returns:
        Groups of at least two, each sorted, in the order of their first members.
    """
    if not len(pairs):
        return []
    members = linked(pairs, n)
    order = np.argsort(members, kind="stable")
    edges = np.flatnonzero(np.diff(members[order])) + 1
    found = [part.tolist() for part in np.split(order, edges) if len(part) > 1]
    return sorted(found)


def linked(pairs: Pairs, n: int) -> NDArray[np.int64]:
    """For each of n photos the number of its group, int64 (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    result: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return result
