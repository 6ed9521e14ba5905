"""``leafgraft evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leafgraft.bundle import Bundle
from leafgraft.cli.screen import Debug, Json, bars, result, say
from leafgraft.errors import UserError
from leafgraft.photos import scan
from leafgraft.photos.dataset import Dataset
from leafgraft.verdict.metrics import confusion, most_confused, score, sentence

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of a run, or the model/ in it.")]


def evaluate(
    model: Model,
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder per species, or a CSV with path,label.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a classifier on photographs that it has not been trained on.

    For example:

      leafgraft evaluate run other-photos

      leafgraft evaluate run/model photos.csv --json
    """
    bundle = Bundle(model, batch=8)
    with bars() as progress:
        found = scan(photos, progress=lambda done, total: progress("Reading the photos", done, total))
        usable = [photo for photo in found if not photo.problem]
        foreign = sorted({photo.label for photo in usable} - set(bundle.classes))
        if foreign:
            raise UserError(
                f"{photos} shows {', '.join(foreign[:5])}{' and more' if len(foreign) > 5 else ''}, which {model} "
                f"has not learned; it knows {', '.join(bundle.classes)}."
            )
        data = Dataset.of_photos(usable, bundle.classes)
        canvases = (data.canvas(i) for i in range(len(data)))
        probabilities = bundle.predict_proba(progress.track("Naming the plants", canvases, len(data)))
    figures = score(data.labels, probabilities, groups=[photo.group for photo in usable])
    pairs = most_confused(confusion(data.labels, probabilities.argmax(axis=1), len(bundle.classes)), bundle.classes)
    if left_out := len(found) - len(usable):
        say(
            f"{left_out} of {len(found)} files could not be used; `leafgraft train` would list them with their reasons."
        )
    text = sentence(figures, kind="")
    text += (
        f"\nMacro F1 {figures['macro_f1']:.3f}, right among the first three {100 * float(str(figures['top3'])):.1f} %."
    )
    for truth, named, count in pairs:
        text += f"\n{count} x {truth} taken for {named}"
    result(text, {**figures, "most_confused": pairs, "left_out": left_out}, json)
