"""Names the plants on any number of photos, one row after another, in the order in which they are listed."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from leafgraft.bundle import Answers, Bundle, stacked
from leafgraft.photos import UnreadablePhoto, load_canvas
from leafgraft.photos.ahead import in_order

Item = TypeVar("Item")

Row = dict[str, Any]
"""What is said of a photo: ``path``, and ``unknown``, ``strangeness``, ``predictions`` (species and probability,
likeliest first) and ``nearest``; or ``problem`` where it cannot be read."""

_PARTS = 16
"""Parts of `Bundle.raw` that are judged together: NumPy's threads get into the way of the engine's each time."""


def _read(path: Path) -> tuple[str, NDArray[np.uint8] | str]:
    try:
        return str(path), load_canvas(path)
    except UnreadablePhoto as problem:
        return str(path), str(problem)


def named(
    bundle: Bundle,
    photos: Iterable[Item],
    top: int,
    read: Callable[[Item], tuple[str, NDArray[np.uint8] | str]] = _read,  # type: ignore[assignment]
) -> Iterator[Row]:
    """Name the plants on photos.

    Args:
        bundle: the classifier.
        photos: by default paths; they are taken only a little ahead of the reader.
        top: how many species to name.
        read: gives the name of a photo, and its canvas or why it cannot be read; called in threads.

    Yields:
        A row a photo, in order.
    """
    waiting: collections.deque[Row] = collections.deque()

    def readable() -> Iterator[NDArray[np.uint8]]:
        for path, canvas in in_order(read, photos):
            waiting.append({"path": path})
            if isinstance(canvas, str):
                waiting[-1]["problem"] = canvas
            else:
                yield canvas

    parts = bundle.raw(readable())
    while some := list(itertools.islice(parts, _PARTS)):
        shares, features = stacked(some, len(bundle.classes))
        answers = bundle.judged(shares, features)
        for position in range(len(shares)):
            while "problem" in waiting[0]:
                yield waiting.popleft()
            yield waiting.popleft() | _said(bundle, answers, position, top)
    yield from waiting


def _said(bundle: Bundle, answers: Answers, position: int, top: int) -> Row:
    row, strange = answers.probabilities[position], float(answers.strangeness[position])
    known = bundle.known
    return {
        "unknown": bool(answers.unknown[position]),
        "strangeness": None if np.isnan(strange) else round(strange, 6),
        "predictions": [
            {"species": bundle.classes[i], "probability": round(float(row[i]), 6)} for i in row.argsort()[::-1][:top]
        ],
        "nearest": [
            {"path": known.paths[i], "species": bundle.classes[known.labels[i]]}
            for i in answers.nearest[position].tolist()
        ],
    }
