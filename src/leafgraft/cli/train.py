"""``leafgraft train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from leafgraft import run
from leafgraft.cli.screen import Debug, Json, Seed, Weights, bars, classes_of, epoch_line, result, say
from leafgraft.errors import UserError
from leafgraft.recipes import CLASSIC, RECIPES, RESNET_LAYERS, Recipe
from leafgraft.verdict.metrics import sentence

Source = Annotated[
    Path,
    typer.Argument(
        metavar="PHOTOS",
        help="A folder per species; or train/, val/ and test/ with such folders; or a CSV with path,label[,split].",
    ),
]
Run = Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="A new folder for the results.")]
Classes = Annotated[str | None, typer.Option("--classes", metavar="A,B,C", help="Learn these species only.")]
ValFraction = Annotated[
    float, typer.Option("--val-fraction", help="Share of each species looked at after each epoch, 0-1.")
]
TestFraction = Annotated[float, typer.Option("--test-fraction", help="Share of each species held out to the end, 0-1.")]
EpochsFrozen = Annotated[int, typer.Option("--epochs-frozen", help="Epochs of the head alone.", min=0)]
EpochsFine = Annotated[int, typer.Option("--epochs-fine", help="Epochs of fine-tuning.", min=0)]
Unfreeze = Annotated[
    int, typer.Option("--unfreeze", help="How many of the last of ResNet50's 175 layers are fine-tuned, 0-175.")
]


def train(
    photos: Source,
    output: Run,
    recipe: Annotated[str, typer.Option("--recipe", help=f"One of: {', '.join(RECIPES)}.")] = CLASSIC.name,
    classes: Classes = None,
    epochs_frozen: EpochsFrozen = CLASSIC.epochs_frozen,
    epochs_fine: EpochsFine = CLASSIC.epochs_fine,
    unfreeze: Unfreeze = CLASSIC.unfreeze,
    val_fraction: ValFraction = 0.15,
    test_fraction: TestFraction = 0.15,
    seed: Seed = 0,
    weights: Weights = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Learn to tell plants apart from photographs.

    For example:

      leafgraft train photos -o run

      leafgraft train photos -o run --classes daisy,iris,tulip --seed 1

      leafgraft train photos.csv -o run --epochs-frozen 10 --epochs-fine 20 --unfreeze 50
    """
    chosen = recipe_of(recipe, epochs_frozen, epochs_fine, unfreeze)
    settings = run.Settings(chosen, classes_of(classes), val_fraction, test_fraction, seed, weights)
    with bars() as progress:
        watch = run.Watch(progress, say, lambda row: say(epoch_line(row, epochs_frozen + epochs_fine)))
        metrics = run.train(photos, output, settings, watch).metrics
    pictures = "curves.png, confusion.png" if {"val", "test"} & metrics.keys() else "curves.png"
    text = f"{output}: model/, {pictures}, predictions.csv, metrics.json\n{verdict(metrics)}"
    result(text, {"run": str(output), **metrics}, json)


def recipe_of(name: str, epochs_frozen: int, epochs_fine: int, unfreeze: int) -> Recipe:
    """The recipe of that name with some settings changed.

    Raises:
        UserError: there is none, or a setting makes no sense.
    """
    if name not in RECIPES:
        raise UserError(f"There is no recipe {name!r}; choose {' or '.join(RECIPES)}.")
    if not 0 <= unfreeze <= RESNET_LAYERS:
        raise UserError(
            f"--unfreeze goes from 0 to {RESNET_LAYERS}, ResNet50's number of layers. Received: {unfreeze}."
        )
    if epochs_frozen + epochs_fine == 0:
        raise UserError("--epochs-frozen and --epochs-fine are both 0; at least one epoch is needed to learn anything.")
    return dataclasses.replace(RECIPES[name], epochs_frozen=epochs_frozen, epochs_fine=epochs_fine, unfreeze=unfreeze)


def verdict(metrics: dict[str, Any]) -> str:
    """The sentence that matters, from what ``metrics.json`` holds."""
    if "test" in metrics:
        return sentence(metrics["test"])
    if "val" in metrics:
        return sentence(metrics["val"]) + " They were looked at after each epoch, and no others were held out."
    return "No photo was held out, so nothing is known of how good this classifier is."
