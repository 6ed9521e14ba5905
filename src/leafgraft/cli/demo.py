"""``leafgraft demo``."""

from __future__ import annotations

import dataclasses
import json as json_module
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from leafgraft import run
from leafgraft.bundle import Bundle
from leafgraft.cli.compare import compared
from leafgraft.cli.screen import Debug, Json, Weights, bars, result, say
from leafgraft.cli.train import verdict
from leafgraft.errors import UserError
from leafgraft.photos import centre, load_canvas
from leafgraft.photos.garden import SPECIES, draw, grow
from leafgraft.recipes import AUTO
from leafgraft.records import record_of
from leafgraft.report import plots

PER_SPECIES = 24
SETTINGS = run.Settings(
    # Two minutes are what the patience of a first visit allows; training from scratch gets as long.
    dataclasses.replace(AUTO, budget=120.0),
    val_fraction=0.15,
    test_fraction=0.25,
)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where everything goes.")] = Path(
        "demo"
    ),
    weights: Weights = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show it all, on ten kinds of plant that the program draws itself.

    Grows a garden, trains both stages, compares with training from scratch, and names a plant that it has not seen.
    A second time, what is there already is used again.

    For example:

      leafgraft demo

      leafgraft demo -o elsewhere
    """
    output.mkdir(parents=True, exist_ok=True)
    garden, folder = output / "garden", output / "run"
    _require_own(folder, garden)
    with bars() as progress:
        grow(garden, PER_SPECIES, progress=lambda done, total: progress("Growing the garden", done, total))
    say(f"{garden}: {PER_SPECIES} drawn photographs each of {', '.join(SPECIES)}")
    settings = dataclasses.replace(SETTINGS, weights=weights)
    content = _earlier(folder, garden, settings)
    if content is None:
        if folder.exists():
            shutil.rmtree(folder)
        _, content = compared(garden, folder, settings, "seconds")
    else:
        say(f"{folder} holds this very training already; remove it to train again.")
    named = _sample(folder, output)
    lines = [
        f"A {named['truth']} it has not seen: {named['species']} at {100 * named['probability']:.0f} %, see "
        f"{named['picture']}",
        f"Both stages: {folder / 'curves.png'}; scratch against transfer: {folder / 'comparison.png'}; "
        f"the classifier: {folder / 'model'}",
        content["comparison"]["sentence"],
        verdict(content),
    ]
    result("\n".join(lines), {**content, "sample": named}, json)


def _require_own(folder: Path, garden: Path) -> None:
    """Let nothing but an earlier demo's run be replaced.

    Raises:
        UserError: something else lies there.
    """
    if not folder.exists():
        return
    try:
        record = json_module.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    if not (record.get("garden") and record.get("photos") == str(garden.absolute())):
        raise UserError(f"{folder} is not from an earlier demo; choose another folder with -o.")


def _earlier(folder: Path, garden: Path, settings: run.Settings) -> dict[str, Any] | None:
    """What an earlier demo ended with, if it was the same to the last setting and version."""
    try:
        record, metrics, comparison = (
            json_module.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("run", "metrics", "comparison")
        )
    except (OSError, ValueError):
        return None
    now = record_of(garden, settings, run.gather(garden, settings))
    same = all(record.get(key) == now[key] for key in ("recipe", "seed", "data_sha256", "versions"))
    if not same or record.get("status") != "finished":
        return None
    return {"run": str(folder), **metrics, "comparison": comparison}


def _sample(folder: Path, output: Path) -> dict[str, Any]:
    """Draw a plant that is in no data set, name it, and make a picture of the answer."""
    truth = SPECIES[0]
    photo = output / "sample.jpg"
    draw(truth, seed=987_654_321).save(photo, quality=90)
    bundle = Bundle(folder)
    canvas = load_canvas(photo)
    row = bundle.predict_proba([canvas])[0]
    best = int(row.argmax())
    picture = plots.sample_prediction(centre(canvas), row, bundle.classes, output / "sample.png", truth=truth)
    return {
        "photo": str(photo),
        "picture": str(picture),
        "truth": truth,
        "species": bundle.classes[best],
        "probability": float(row[best]),
    }
