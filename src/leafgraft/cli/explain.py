"""``leafgraft explain``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from leafgraft.bundle import Bundle
from leafgraft.cli.evaluate import Model
from leafgraft.cli.screen import Debug, Json, bars, result
from leafgraft.errors import UserError
from leafgraft.photos import UnreadablePhoto, centre, load_canvas
from leafgraft.progress import under_way
from leafgraft.report.explanation import explanation


def explain(
    model: Model,
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A picture to write, ending in .png.")],
    species: Annotated[
        str | None, typer.Option("--species", metavar="NAME", help="Explain this species; else the likeliest.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show where in a photograph the evidence for its name lies.

    The picture has the photo beside the same in grey, bright where it speaks for the species (Grad-CAM), and below them
    the photos that the classifier has learned from and that are most like it, as far as they are still there.

    For example:

      leafgraft explain run photo.jpg -o why.png

      leafgraft explain run photo.jpg -o why.png --species daisy
    """
    _require_place(output, photo)
    bundle = Bundle(model)
    if species is not None and species not in bundle.classes:
        raise UserError(f"{model} knows no species {species!r}; choose one of: {', '.join(bundle.classes)}.")
    try:
        canvas = load_canvas(photo)
    except UnreadablePhoto as problem:
        raise UserError(f"{photo} cannot be used: {problem}; name a photo.") from None
    answers = bundle.answer([canvas])
    row = answers.probabilities[0]
    best = int(row.argmax())
    shown = best if species is None else bundle.classes.index(species)
    crop = centre(canvas)
    with bars() as progress, under_way(progress, "Looking for the evidence"):
        heat = bundle.heat(crop[None], np.array([shown]))[0]
        pair = [(bundle.classes[label], float(row[label])) for label in (best, shown)]
        neighbours = list(_neighbours(bundle, answers.nearest[0]))
        explanation(crop, heat, pair[0], output, species=None if shown == best else pair[1], neighbours=neighbours)
    answer, explained = ({"species": name, "probability": round(value, 6)} for name, value in pair)
    content: dict[str, Any] = {
        "picture": str(output),
        "path": str(photo),
        "unknown": bool(answers.unknown[0]),
        "answer": answer,
        "explained": explained,
        "heat": [[round(float(cell), 4) for cell in line] for line in heat],
    }
    named, other = (f"{name}, {100 * value:.1f} %" for name, value in pair)
    verb = "is unknown, nearest to" if answers.unknown[0] else "shows"
    text = f"{output}: {photo} {verb} {named}" + ("" if shown == best else f"; explained is {other}")
    result(text, content, json)


def _require_place(output: Path, photo: Path) -> None:
    """Refuse a place that no picture can be written to, before anything takes time.

    Raises:
        UserError: it does not end in .png, is a folder, or is the photo itself.
    """
    if output.suffix.lower() != ".png":
        raise UserError(f"The picture must end in .png. Received: {output}.")
    if output.is_dir():
        raise UserError(f"{output} is a folder; name a file in it.")
    if output.exists() and photo.exists() and output.samefile(photo):
        raise UserError(f"{output} is the photo itself, which would be lost; choose another name for the picture.")


def _neighbours(bundle: Bundle, nearest: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """The photos that were learned from at some positions, with their species; what is gone is left out."""
    for position in nearest.tolist():
        try:
            yield centre(load_canvas(Path(bundle.known.paths[position]))), bundle.classes[bundle.known.labels[position]]
        except UnreadablePhoto:
            continue
