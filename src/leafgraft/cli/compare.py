"""``leafgraft compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leafgraft import run
from leafgraft.cli.screen import (
    Debug,
    FollowLinks,
    Json,
    Seed,
    Weights,
    at_hand,
    bars,
    classes_of,
    epoch_line,
    result,
    say,
)
from leafgraft.cli.train import (
    Classes,
    EpochsFine,
    EpochsFrozen,
    Run,
    Source,
    TestFraction,
    Unfreeze,
    ValFraction,
    recipe_of,
    verdict,
)
from leafgraft.errors import UserError
from leafgraft.recipes import CLASSIC

if TYPE_CHECKING:
    from leafgraft.comparison import Equal


def compare(
    photos: Source,
    output: Run,
    equal: Annotated[str, typer.Option("--equal", help="What both get as much of: seconds or epochs.")] = "seconds",
    classes: Classes = None,
    epochs_frozen: EpochsFrozen = None,
    epochs_fine: EpochsFine = None,
    unfreeze: Unfreeze = None,
    val_fraction: ValFraction = 0.15,
    test_fraction: TestFraction = 0.15,
    follow_links: FollowLinks = False,
    seed: Seed = 0,
    weights: Weights = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what transfer buys: train by the classic recipe, then again from random weights.

    Both see the same photos, split, head and augmentation, and get the same wall-clock time (or number of epochs).

    For example:

      leafgraft compare photos -o run

      leafgraft compare photos -o run --equal epochs
    """
    recipe = recipe_of(CLASSIC.name, epochs_frozen, epochs_fine, unfreeze)
    settings = run.Settings(
        recipe, classes_of(classes), val_fraction, test_fraction, seed, weights, follow_links=follow_links
    )
    result(*compared(at_hand(photos), output, settings, equal), json)


def compared(photos: Path, output: Path, settings: run.Settings, equal: str) -> tuple[str, dict[str, Any]]:
    """Run the comparison, telling the screen; returns its text and its content."""
    if equal not in ("seconds", "epochs"):
        raise UserError(f"--equal is seconds or epochs. Received: {equal!r}.")
    basis: Equal = "seconds" if equal == "seconds" else "epochs"
    with bars() as progress:
        watch = run.Watch(progress, say, lambda row: say(epoch_line(row)))
        trained, comparison = run.compare(photos, output, settings, basis, watch)
    text = (
        f"{output}: model/, comparison.png, comparison.json, curves.png, confusion.png, predictions.csv, metrics.json\n"
        f"{comparison.sentence}\n{verdict(trained.metrics)}"
    )
    return text, {"run": str(output), **trained.metrics, "comparison": comparison.as_dict()}
