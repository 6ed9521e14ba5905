"""Canvases to what the service says of them: the engine for one photo, that for many, and the words of an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.bundle import Bundle, stacked
from leafgraft.machine import cores
from leafgraft.photos.decode import centre
from leafgraft.serve.metrics import Metrics


@dataclass(frozen=True)
class Question:
    """A photo to be named.

    Attributes:
        canvas: uint8 (h, w, 3), as from `leafgraft.photos.load_canvas`.
        heat: whether a heat map is wanted.
    """

    canvas: NDArray[np.uint8]
    heat: bool = False


@dataclass(frozen=True)
class Reply:
    """What the classifier says of a photo; see `leafgraft.bundle.Answers`.

    Attributes:
        probabilities: float32 (classes,).
        strangeness: NaN where the classifier cannot tell.
        unknown: whether the photo is unlike all that was learned.
        nearest: int64 (c,).
        heat: float32 (7, 7), 0-1, if it was asked for.
    """

    probabilities: NDArray[np.float32]
    strangeness: float
    unknown: bool
    nearest: NDArray[np.int64]
    heat: NDArray[np.float32] | None = None


MANY = 2
"""Photos a request of the engine for many."""


def asking(one: Bundle, many: Bundle | None, metrics: Metrics) -> Callable[[list[Question]], list[Reply]]:
    """Make the work of a `leafgraft.serve.batcher.Batcher`.

    Args:
        one: answers to a photo that comes alone, with all cores; opened with a batch of 1.
        many: the same classifier, opened with a batch of `MANY`, for photos that come together: some of each core.
        metrics: told how long it takes.
    """
    together = MANY * cores()  # with fewer, a core would stand idle

    def raw(canvases: list[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        whole = len(canvases) - len(canvases) % together if many else 0
        if many and whole:
            yield from many.raw(canvases[:whole])
        yield from one.raw(canvases[whole:])

    def work(questions: list[Question]) -> list[Reply]:
        start = time.perf_counter()
        canvases = [question.canvas for question in questions]
        answers = one.judged(*stacked(raw(canvases), len(one.classes)))
        best = answers.probabilities.argmax(axis=1)
        wanted = [position for position, question in enumerate(questions) if question.heat]
        heat: dict[int, NDArray[np.float32]] = {}
        if wanted:
            crops = np.stack([centre(canvases[position]) for position in wanted])
            heat = dict(zip(wanted, one.heat(crops, best[wanted]), strict=True))
        metrics.answering.observe(time.perf_counter() - start)
        metrics.batches.observe(len(questions))
        return [
            Reply(
                answers.probabilities[position],
                float(answers.strangeness[position]),
                bool(answers.unknown[position]),
                answers.nearest[position],
                heat.get(position),
            )
            for position in range(len(questions))
        ]

    return work


def said(name: str, reply: Reply, classes: tuple[str, ...], top: int) -> dict[str, Any]:
    """An answer as plain data, without the photos that are alike."""
    best = reply.probabilities.argsort()[::-1][:top]
    content: dict[str, Any] = {
        "name": name,
        "unknown": reply.unknown,
        "strangeness": None if np.isnan(reply.strangeness) else round(reply.strangeness, 6),
        "predictions": [
            {"species": classes[place], "probability": round(float(reply.probabilities[place]), 6)} for place in best
        ],
    }
    if reply.heat is not None:
        content["heat"] = [[round(float(value), 4) for value in row] for row in reply.heat]
    return content
