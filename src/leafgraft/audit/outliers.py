"""Odd ones out: photos that are like no other, most of them no plants at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leafgraft.audit.pairs import cosines, neighbours

NEIGHBOURS = 5
"""Nearest photos that a photo is compared with."""

FAR = 5.0
"""How many standard deviations (estimated by the median deviation) beyond the median a photo must lie."""


def outliers(features: NDArray[np.float32], groups: NDArray[np.int64]) -> list[tuple[int, float]]:
    """Find photos whose nearest others in features are far away (k-nearest-neighbour outliers; Ramaswamy et al. 2000).

    Args:
        features: float32 (n, f), rows of length 1.
        groups: int64 (n,); photos of a photo's own group do not count as others.

    Returns:
        (position, deviations beyond the median) of each, the oddest first; none of fewer than 20 photos.
    """
    if len(features) < 4 * NEIGHBOURS or len(np.unique(groups)) < 2:
        return []
    near = neighbours(features, NEIGHBOURS, groups=groups)
    foreign = groups[near] != groups[:, None]
    couples = np.stack([np.arange(len(near)).repeat(near.shape[1]), near.ravel()], axis=1)
    distances = np.where(foreign, 1 - cosines(features, couples).reshape(near.shape), 0)
    mean = distances.sum(axis=1) / foreign.sum(axis=1)
    spread = 1.4826 * float(np.median(np.abs(mean - np.median(mean))))
    odd = (mean - np.median(mean)) / max(spread, 1e-6)
    order = np.argsort(-odd, kind="stable")
    return [(int(i), float(odd[i])) for i in order if odd[i] > FAR]
