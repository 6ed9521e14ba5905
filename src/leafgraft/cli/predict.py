"""``leafgraft predict``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from leafgraft.bundle import Bundle
from leafgraft.cli.evaluate import Model
from leafgraft.cli.screen import Debug, Json, Top, bars, result
from leafgraft.errors import UserError
from leafgraft.photos import UnreadablePhoto, load_canvas


def predict(
    model: Model,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Photos, or folders of photos.")],
    top: Top = 5,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Name the plants on photographs.

    A photo that is unlike all that the classifier has learned from is called unknown, with the species it is nearest
    to. With --json, "nearest" has the photos that were learned from and are most like it.

    For example:

      leafgraft predict run photo.jpg

      leafgraft predict run *.jpg --top 1

      leafgraft predict run folder --json
    """
    bundle = Bundle(model)
    answers: list[dict[str, Any]] = []
    with bars() as progress:
        found = bundle.answer(progress.track("Naming the plants", _readable(photos, answers), 0))
    readable = (answer for answer in answers if "problem" not in answer)
    for answer, row, strange, unknown, near in zip(
        readable, found.probabilities, found.strangeness, found.unknown, found.nearest, strict=True
    ):
        best = row.argsort()[::-1][:top]
        answer["unknown"] = bool(unknown)
        answer["strangeness"] = None if np.isnan(strange) else round(float(strange), 6)
        answer["predictions"] = [{"species": bundle.classes[i], "probability": round(float(row[i]), 6)} for i in best]
        answer["nearest"] = [
            {"path": bundle.known.paths[i], "species": bundle.classes[bundle.known.labels[i]]} for i in near
        ]
    if not answers:
        raise UserError(f"{photos[0]} is empty; name a photo, or a folder of photos.")
    if all("problem" in answer for answer in answers):
        first = answers[0]
        raise UserError(f"{first['path']} cannot be used: {first['problem']}; name a photo.")
    result("\n".join(_line(answer) for answer in answers), {"photos": answers}, json)


def _readable(photos: list[Path], answers: list[dict[str, Any]]) -> Iterator[NDArray[np.uint8]]:
    """The canvas of each photo that can be read; each photo, whether it can or not, begins an answer."""
    for path in _files(photos):
        answers.append({"path": str(path)})
        try:
            yield load_canvas(path)
        except UnreadablePhoto as problem:
            answers[-1]["problem"] = str(problem)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        else:
            yield path


def _line(answer: dict[str, Any]) -> str:
    if "problem" in answer:
        return f"{answer['path']}: cannot be used: {answer['problem']}"
    named = (f"{entry['species']} {100 * entry['probability']:.1f} %" for entry in answer["predictions"])
    return f"{answer['path']}: {'unknown, nearest to ' if answer['unknown'] else ''}{', '.join(named)}"
