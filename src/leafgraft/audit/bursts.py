"""Bursts: several photos of one plant, taken in a row. A split must not tear them apart."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leafgraft.audit.pairs import Pairs, as_pairs, cosines

SECONDS = 120.0
"""Photos are taken in a row if there is no more time between them."""

NUMBERS = 3
"""Photos are taken in a row if the numbers in their names differ by no more."""

FLOOR = 0.9
"""Least cosine of the rooted features of two photos in a burst, whatever else the data set shows."""

RARE = 0.005
"""Share of the pairs of one species, taken far apart, that may be as near in features as photos of a burst."""

APART = 10
"""Photos of one species are far apart if at least so many, and a quarter of all, were taken between them."""

_PAIRS = 50_000  # that the share is taken from, at most

_NUMBERED = re.compile(r"(.*?)(\d{1,15})\D{0,3}$")


def bursts(
    features: NDArray[np.float32], labels: NDArray[np.int64], paths: Sequence[Path], taken: NDArray[np.float64]
) -> Pairs:
    """Find pairs of photos of one species that were taken in a row and show the same.

    "The same" is judged by the data set itself: nearer than nearly all pairs of that species from other occasions.

    Args:
        features: float32 (n, f), rows of length 1.
        labels: int64 (n,).
        paths: where the photos lie; the number at the end of a name counts.
        taken: float64 (n,), seconds, NaN where unknown.
    """
    close = as_pairs(itertools.chain(_in_time(taken, labels), _in_number(paths)))
    close = close[labels[close[:, 0]] == labels[close[:, 1]]] if len(close) else close
    if not len(close):
        return close
    result: Pairs = close[cosines(features, close) >= max(FLOOR, _usual(features, labels, paths, taken))]
    return result


def _in_time(taken: NDArray[np.float64], labels: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    known = np.flatnonzero(np.isfinite(taken))
    # Species by species, or several people who take photos at the same time would part each other's bursts.
    order = known[np.lexsort((taken[known], labels[known]))].tolist()
    for place, one in enumerate(order):
        for other in order[place + 1 : place + 1 + NUMBERS]:
            if labels[other] != labels[one] or taken[other] - taken[one] > SECONDS:
                break
            yield one, other


def _in_number(paths: Sequence[Path]) -> Iterator[tuple[int, int]]:
    series: defaultdict[tuple[Path, str], list[tuple[int, int]]] = defaultdict(list)
    for position, path in enumerate(paths):
        if found := _NUMBERED.match(path.stem):
            series[path.parent, found[1]].append((int(found[2]), position))
    for photos in series.values():
        photos.sort()
        for place, (number, one) in enumerate(photos):
            for later, other in photos[place + 1 : place + 1 + NUMBERS]:
                if later - number > NUMBERS:
                    break
                yield one, other


def _usual(
    features: NDArray[np.float32], labels: NDArray[np.int64], paths: Sequence[Path], taken: NDArray[np.float64]
) -> float:
    """The cosine that only few pairs of one species reach that were taken far apart; 0 if there are too few."""
    chance = np.random.default_rng(0)
    known = np.nan_to_num(taken)
    found = []
    for label in np.unique(labels):
        members = sorted(np.flatnonzero(labels == label).tolist(), key=lambda i: (known[i], _natural(paths[i])))
        apart = max(APART, len(members) // 4)
        drawn = chance.integers(0, len(members), (_PAIRS * len(members) // len(labels), 2))
        drawn = drawn[abs(drawn[:, 0] - drawn[:, 1]) >= apart]
        found.append(cosines(features, np.array(members)[drawn]))
    every = np.concatenate(found)
    return float(np.quantile(every, 1 - RARE)) if len(every) > 1 / RARE else 0.0


def _natural(path: Path) -> tuple[str, int, str]:
    """A key that sorts names by the number at their end."""
    found = _NUMBERED.match(path.stem)
    return (path.parent.as_posix() + (found[1] if found else ""), int(found[2]) if found else 0, path.stem)
