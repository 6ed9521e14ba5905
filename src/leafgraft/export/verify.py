"""Whether a file answers as the bundle does, and how fast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from leafgraft.progress import Progress

LARGEST = 1e-3
"""Largest difference in a probability that is allowed in float32; about 1e-6 is usual."""

MARGIN = 2e-3
"""In float32, first answers are compared where the first two of the bundle are further apart: others may change places
within `LARGEST`."""

SAME = 0.995
"""Share of first answers that have to be the same in float32."""

SAME_INT8 = 0.985
"""The same in int8; a single one may always differ, for of few photos one is more than its share."""

TIMED = 32
"""Photos that are timed, at most."""

_CHUNK = 8


class Runner(Protocol):
    """A file, opened by its own runtime.

    Attributes:
        labels: names of the species, from the file.
    """

    labels: tuple[str, ...]

    def predict(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, k), of photos, uint8 (n, 224, 224, 3)."""


@dataclass(frozen=True)
class Agreement:
    """How the answers of a file differ from those of the bundle.

    Attributes:
        photos: that both have answered to.
        largest: largest difference in a probability; infinite where the file's is no number.
        same: photos with the same first answer.
        decided: photos whose first answer leads by more than `MARGIN` in the bundle.
        decided_same: those of them with the same first answer.
    """

    photos: int
    largest: float
    same: int
    decided: int
    decided_same: int

    def fault(self, *, int8: bool) -> str | None:
        """What is wrong in a few words, or None if the file may be kept."""
        if not np.isfinite(self.largest):
            return "gives probabilities that are no numbers"
        if int8:
            allowed = max(1, int((1 - SAME_INT8) * self.photos))
            if self.photos - self.same > allowed:
                return f"names {self.photos - self.same} of {self.photos} photos otherwise; {allowed} may differ"
            return None
        if self.largest > LARGEST:
            return f"differs by {self.largest:.2g} in a probability; {LARGEST:g} may be"
        if self.decided_same < SAME * self.decided:
            return f"names {self.decided - self.decided_same} of {self.decided} photos otherwise"
        return None


def compare(expected: NDArray[np.float32], answered: NDArray[np.float32]) -> Agreement:
    """Compare the answers of a file with those of the bundle.

    Args:
        expected: float32 (n, k), of the bundle; n and k at least 1.
        answered: float32 (n, k), of the file.

    Raises:
        RuntimeError: the file gives another number of probabilities.
    """
    if answered.shape != expected.shape:
        raise RuntimeError(f"the file gives probabilities of shape {answered.shape}, not {expected.shape}")
    gap = np.abs(answered.astype(np.float64) - expected)
    same = expected.argmax(axis=1) == answered.argmax(axis=1)
    first_two = np.sort(expected, axis=1)[:, -2:]
    decided = first_two[:, -1] - first_two[:, 0] > MARGIN if expected.shape[1] > 1 else np.ones(len(expected), bool)
    return Agreement(
        photos=len(expected),
        largest=float(gap.max()) if np.isfinite(gap).all() else float("inf"),
        same=int(same.sum()),
        decided=int(decided.sum()),
        decided_same=int((same & decided).sum()),
    )


def answers(runner: Runner, photos: NDArray[np.uint8], progress: Progress | None = None) -> NDArray[np.float32]:
    """Let a file answer to photos, uint8 (n, 224, 224, 3), some at a time, so that it shows that it takes several."""

    def parts() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(photos), _CHUNK):
            yield runner.predict(photos[start : start + _CHUNK])
            if progress:
                progress("Comparing the answers", min(start + _CHUNK, len(photos)), len(photos))

    return np.concatenate(list(parts()))


def milliseconds(runner: Runner, photos: NDArray[np.uint8]) -> float:
    """Median time that a file takes for one photo alone, after the first, which also prepares."""
    runner.predict(photos[:1])
    times = []
    for position in range(min(len(photos), TIMED)):
        start = time.perf_counter()
        runner.predict(photos[position : position + 1])
        times.append(time.perf_counter() - start)
    return 1000 * median(times)
