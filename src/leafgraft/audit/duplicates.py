"""Near duplicates: the same picture again, resized, compressed, mirrored, or with up to a fifth of each side cut away.

Features of the network say which photos are worth a comparison; two small grey pictures, laid over each other, decide.
Photos of the same plant are near in features, too, but no window of one covers the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.audit.looks import GREY
from leafgraft.audit.pairs import Pairs, as_pairs, neighbours

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

NEIGHBOURS = 10
"""Nearest photos in features that each photo is compared with."""

LOOKALIKES = 3
"""Nearest photos by the small picture, and by its mirror image, that each photo is compared with as well."""

ALIKE = 0.92
"""What the details of two pictures must correlate by to be the same."""

_WORTH = (0.8, 0.3)  # correlation at large, and of the details, from which the best fit is looked for
_TURNS, _HOPE = 15, 0.55  # turns of that search after which the details must correlate by so much: copies had 0.7 there
_COARSE, _FINE = 16, 32  # sides of the pictures that are compared
_SHARES = (1.0, 0.9, 0.8)  # of the side that a window may have left
_PLACES = (0.0, 0.5, 1.0)  # of what is cut away, how much lies before it


def near_duplicates(features: NDArray[np.float32], grey: NDArray[np.uint8]) -> Pairs:
    """Find pairs of photos that are the same picture.

    Args:
        features: float32 (n, f), rows of length 1.
        grey: uint8 (n, 64, 64).
    """
    from threadpoolctl import threadpool_limits

    n = len(grey)
    if n < 2:
        return as_pairs([])
    small = _unit(_resampled(grey, _COARSE))
    mirrored = _unit(_resampled(grey[:, :, ::-1], _COARSE))
    nearest = [
        neighbours(features, NEIGHBOURS), neighbours(small, LOOKALIKES), neighbours(small, LOOKALIKES, mirrored)
    ]  # fmt: skip
    couples = np.concatenate([np.stack([np.arange(n).repeat(near.shape[1]), near.ravel()], 1) for near in nearest])
    candidates = as_pairs(couples)
    with threadpool_limits(1):  # the products are too small to be shared
        return as_pairs(_verified(candidates, grey, small, mirrored))


def _verified(
    candidates: Pairs, grey: NDArray[np.uint8], small: NDArray[np.float32], mirrored: NDArray[np.float32]
) -> list[tuple[int, int]]:
    """The candidates that are the same picture."""
    found = []
    # Each photo's windows are laid over all its partners at once, and theirs over it when their turn comes.
    both = np.concatenate([candidates, candidates[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    for block in np.split(both, np.flatnonzero(np.diff(both[:, 0])) + 1):
        one, others = int(block[0, 0]), block[:, 1]
        windows = _unit(_windows(grey[one]))
        for flipped, pictures in ((False, small), (True, mirrored)):
            scores = windows @ pictures[others].T
            best = scores.argmax(axis=0)
            for column in np.flatnonzero(scores.max(axis=0) >= _WORTH[0]):
                other = int(others[column])
                if _same(grey[one], grey[other], _WINDOWS[best[column]], flipped):
                    found.append((one, other))
    return found


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8], window: tuple[float, ...], flipped: bool) -> bool:
    """Whether a window of one, moved and stretched a little for the best fit, has the details of the other."""
    from scipy.optimize import minimize

    picture = one.astype(np.float32)
    target = _details(_resampled((other[:, ::-1] if flipped else other)[None], _FINE)[0])

    def gap(place: NDArray[np.float64]) -> float:
        left, top, width, height = place
        if min(left, top) < -0.03 or max(left + width, top + height) > 1.03 or min(width, height) < 0.7:
            return 1.0
        seen = _operator(top, height, _FINE) @ picture @ _operator(left, width, _FINE).T
        return 1.0 - float(_details(seen) @ target)

    start = np.array(window)
    if 1.0 - gap(start) < _WORTH[1]:
        return False

    turns = 0

    def settled(intermediate_result: OptimizeResult) -> None:
        """End the search once it has succeeded, or has no hope to."""
        nonlocal turns
        turns += 1
        alike = 1.0 - float(intermediate_result.fun)
        if alike >= ALIKE or (turns >= _TURNS and alike < _HOPE):
            raise StopIteration

    corners = np.vstack([start, start + 0.03 * np.array([[1, 0, -1, 0], [0, 1, 0, -1], [0, 0, -1, 0], [0, 0, 0, -1]])])
    options = {"maxfev": 120, "xatol": 2e-3, "fatol": 1e-3, "initial_simplex": corners}
    best = minimize(gap, start, method="Nelder-Mead", options=options, callback=settled)
    return bool(1.0 - best.fun >= ALIKE)


def _details(picture: NDArray[Any]) -> NDArray[np.float32]:
    """What is left of a picture (32, 32) without its soft parts: light and dark at large are alike in many photos."""
    sharp = picture - _SOFT @ picture @ _SOFT.T
    result: NDArray[np.float32] = _unit(sharp[None])[0]
    return result


def _gaussian(side: int, sigma: float) -> NDArray[np.float32]:
    """The matrix (side, side) that blurs along one axis."""
    steps = np.arange(side)
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / sigma) ** 2)
    result: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


_SOFT = _gaussian(_FINE, 2.0)


def _unit(pictures: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of mean 0 and length 1, float32 (n, pixels); a picture without contrast becomes 0."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float32)
    rows = rows - rows.mean(axis=1, keepdims=True)
    result: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)
    return result


def _resampled(grey: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Shrink pictures by a whole factor, float32 (n, side, side)."""
    factor = GREY // side
    result: NDArray[np.float32] = grey.reshape(len(grey), side, factor, side, factor).mean(
        axis=(2, 4), dtype=np.float32
    )
    return result


def _operator(start: float, share: float, side: int) -> NDArray[np.float32]:
    """The matrix (side, 64) that averages a stretch of 64 pixels, ``share`` of them from ``start``, into ``side``."""
    edges = GREY * (start + share * np.arange(side + 1) / side)
    pixels = np.arange(GREY)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(overlap, 0.0, None)
    result: NDArray[np.float32] = (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32)
    return result


_STRETCHES = [(place * (1 - share), share) for share in _SHARES for place in (_PLACES if share < 1 else (0.0,))]
_COARSE_OPERATORS = np.concatenate([_operator(start, share, _COARSE) for start, share in _STRETCHES])
_WINDOWS = [(left, top, width, height) for top, height in _STRETCHES for left, width in _STRETCHES]
"""Left and upper edge, width and height of each window, as shares of the picture."""


def _windows(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """All windows of a picture, float32 (windows, 16, 16)."""
    k = len(_STRETCHES)
    table = _COARSE_OPERATORS @ grey.astype(np.float32) @ _COARSE_OPERATORS.T
    blocks: NDArray[np.float32] = table.reshape(k, _COARSE, k, _COARSE).transpose(0, 2, 1, 3)
    return blocks.reshape(k * k, _COARSE, _COARSE)
