"""Strangers: photos that are unlike all that was learned, or that fit several species alike.

Two signs are added: how far the nearest photo that was learned from is in the features of the network (Sun et al. 2022,
https://arxiv.org/abs/2204.06507), which tells what is no plant, and the entropy of the answer, which tells a plant of
another species. ``docs/results.md`` has the figures of the scores that this one was chosen from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.probe import rooted

NEIGHBOURS = 5
"""The nearest known photos that are shown; the first counts."""

ACCEPTED = 0.95
"""Share of known photos that the threshold lets pass."""

FEWEST = 5
"""With fewer photos to learn it from, no photo is called unknown: one or two do not show how far others lie."""

MOST = 5000
"""Known photos that are kept, at most: 20 MB."""

_ROWS = 256  # looked at together: 15 MB of their likeness to all that are known


def some_of_each(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Which photos to know, of so many that not all can be: some of each species by chance; their positions, rising."""
    order = np.random.default_rng(seed).permutation(len(labels))
    share = max(1, MOST // max(1, len(np.unique(labels))))
    parts = [order[labels[order] == label][:share] for label in np.unique(labels)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))


@dataclass(frozen=True)
class Known:
    """Photos that a classifier has learned from, as it sees them.

    Attributes:
        features: float16 (m, f), square-rooted and of length 1.
        labels: int64 (m,).
        paths: where each lay; "" where photos were no files.
    """

    features: NDArray[np.float16]
    labels: NDArray[np.int64]
    paths: tuple[str, ...]

    @classmethod
    def of(cls, features: NDArray[np.float32], labels: NDArray[np.int64], paths: tuple[str, ...]) -> Known:
        """Take photos by their pooled features, float32 (m, f) >= 0."""
        return cls(rooted(features).astype(np.float16), labels, paths)

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.features.astype(np.float32).T)

    def nearest(
        self, features: NDArray[np.float32], count: int = NEIGHBOURS
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the known photos that are most like others.

        Args:
            features: float32 (n, f), pooled features of the others, at least 0.
            count: how many of each.

        Returns:
            Positions among the known, int64 (n, c), most alike first, and cosines, float32 (n, c); c is ``count``, or
            fewer if fewer are known.
        """
        count = min(count, len(self.labels))
        positions, cosines = np.zeros((len(features), count), np.int64), np.zeros((len(features), count), np.float32)
        for start in range(0, len(features), _ROWS):
            some = rooted(features[start : start + _ROWS]) @ self._table
            order = np.argsort(-some, axis=1, kind="stable")[:, :count]
            positions[start : start + len(some)] = order
            cosines[start : start + len(some)] = np.take_along_axis(some, order, axis=1)
        return positions, cosines


@dataclass(frozen=True)
class Strangers:
    """How strangers are told from photos of known species.

    Attributes:
        distance: mean and standard deviation, over photos of known species, of the distance to the nearest known photo.
        entropy: the same of the entropy of the answer, in nats.
        threshold: the strangeness above which a photo is called unknown.
    """

    distance: tuple[float, float]
    entropy: tuple[float, float]
    threshold: float

    @classmethod
    def fitted(cls, cosines: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Strangers:
        """Learn from photos of known species that were not trained on, so that 95 % of them are accepted.

        Args:
            cosines: float32 (n, c), to their nearest known photos, from `Known.nearest`; n and c at least 1.
            probabilities: float32 (n, classes), calibrated.
        """
        signs = [(float(sign.mean()), max(float(sign.std()), 1e-6)) for sign in _signs(cosines, probabilities)]
        strange = cls(signs[0], signs[1], 0.0).strangeness(cosines, probabilities)
        return cls(signs[0], signs[1], float(np.quantile(strange, ACCEPTED, method="higher")))

    def strangeness(self, cosines: NDArray[np.float32], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """How strange photos are: about 0 for photos of known species, more for others.

        Args:
            cosines: float32 (n, c), from `Known.nearest`.
            probabilities: float32 (n, classes), calibrated.

        Returns:
            float32 (n,), the sum of both signs in standard deviations.
        """
        total = np.zeros(len(probabilities))
        for sign, (mean, deviation) in zip(_signs(cosines, probabilities), (self.distance, self.entropy), strict=True):
            total += (sign - mean) / deviation
        result: NDArray[np.float32] = total.astype(np.float32)
        return result

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"distance": list(self.distance), "entropy": list(self.entropy), "threshold": self.threshold}


def _signs(
    cosines: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance to the nearest known photo, and entropy of the answer, float64 (n,) each."""
    shares = probabilities.astype(np.float64)
    entropy = -(shares * np.log(np.maximum(shares, 1e-12))).sum(axis=1)
    return 1.0 - cosines[:, 0].astype(np.float64), entropy
