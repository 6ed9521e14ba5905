"""``leafgraft train``."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from leafgraft import run
from leafgraft.cli.screen import (
    HUBS,
    Cluster,
    Debug,
    FollowLinks,
    GpusPerWorker,
    Json,
    Seed,
    Weights,
    at_hand,
    bars,
    classes_of,
    epoch_line,
    politely,
    require_cluster,
    result,
    say,
)
from leafgraft.engine.prefix import ENGINES, choose
from leafgraft.errors import UserError
from leafgraft.gathering import gather, planned
from leafgraft.recipes import AUTO, RECIPES, RESNET_LAYERS, Recipe, Views
from leafgraft.records import request_of
from leafgraft.report.facts import lead
from leafgraft.runfolder import require_fit
from leafgraft.track import TRACKERS, tracker

Source = Annotated[
    Path,
    typer.Argument(
        metavar="PHOTOS",
        help="A folder per species; or train/, val/ and test/ with such folders; or a CSV with path,label[,split]; "
        f"or {HUBS}.",
    ),
]
Run = Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="A new folder for the results.")]
Classes = Annotated[str | None, typer.Option("--classes", metavar="A,B,C", help="Learn these species only.")]
ValFraction = Annotated[
    float, typer.Option("--val-fraction", help="Share of each species looked at after each epoch, 0-1.")
]
TestFraction = Annotated[float, typer.Option("--test-fraction", help="Share of each species held out to the end, 0-1.")]
EpochsFrozen = Annotated[
    int | None, typer.Option("--epochs-frozen", help="Epochs of the head alone; classic only.", min=0)
]
EpochsFine = Annotated[int | None, typer.Option("--epochs-fine", help="Epochs of fine-tuning, at most.", min=0)]
Unfreeze = Annotated[
    int | None, typer.Option("--unfreeze", help="How many of the last of ResNet50's 175 layers are fine-tuned, 0-175.")
]
Engine = Annotated[
    str, typer.Option("--engine", help=f"What computes the frozen layers; one of: {', '.join(ENGINES)}.")
]
Precision = Annotated[str, typer.Option("--precision", help=f"One of: {', '.join(ENGINES)}.")]
BankGb = Annotated[
    float | None,
    typer.Option("--bank-gb", help="GB of disk for all that frozen layers computed; half of what is free.", min=0.0),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="WHAT",
        help="Keep photos together in a split: a column of the CSV, or an expression like 'plant\\d+' for paths.",
    ),
]
Check = Annotated[
    bool, typer.Option("--check/--no-check", help="Look for copies and bursts first, and keep them on one side.")
]

MOST_LEFT_OUT = 20
"""How many files that are left out --dry-run names."""


def train(
    photos: Source,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="RUN", help="A new folder for the results; not needed to --dry-run."),
    ] = None,
    recipe: Annotated[str, typer.Option("--recipe", help=f"One of: {', '.join(RECIPES)}.")] = AUTO.name,
    classes: Classes = None,
    epochs_frozen: EpochsFrozen = None,
    epochs_fine: EpochsFine = None,
    unfreeze: Unfreeze = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Time for the training, like 90s, 5m or 1h; auto takes 10m.")
    ] = None,
    views: Annotated[
        str | None, typer.Option("--views", help="Random views kept of each photo; or fresh, for new ones each epoch.")
    ] = None,
    engine: Engine = "auto",
    bank_gb: BankGb = None,
    val_fraction: ValFraction = 0.15,
    test_fraction: TestFraction = 0.15,
    group_by: GroupBy = None,
    follow_links: FollowLinks = False,
    check: Check = True,
    folds: Annotated[
        int, typer.Option("--folds", help="Judge by a cross-validation of so many folds instead of a test.", min=0)
    ] = 0,
    seed: Seed = 0,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same to the last digit each time; without a time limit.")
    ] = False,
    track: Annotated[
        str | None, typer.Option("--track", help=f"Tell a tracker of the run; one of: {', '.join(TRACKERS)}.")
    ] = None,
    weights: Weights = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with RUN if it was interrupted, and be content if it is finished.")
    ] = False,
    checkpoint_every: Annotated[
        str, typer.Option("--checkpoint-every", help="How much training a power cut may cost, like 30s or 5m.")
    ] = "60s",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which photos would go where; write and learn nothing.")
    ] = False,
    cluster: Cluster = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Learn to tell plants apart from photographs.

    The recipe auto has a first classifier within seconds, then improves it for as long as that helps. quick is the
    first alone, best knows no time limit, and classic is the schedule of the textbook.

    Ctrl-C ends it after the step at hand, with status 130. The same command goes on from there, also after a crash.

    For example:

      leafgraft train photos -o run

      leafgraft train photos --dry-run

      leafgraft train photos -o run --classes daisy,iris,tulip --budget 5m

      leafgraft train photos.csv -o run --recipe classic --epochs-frozen 10 --epochs-fine 20 --unfreeze 50

      leafgraft train photos -o run --folds 5

      leafgraft train hf:nelorth/oxford-flowers -o run

      leafgraft train photos -o run --cluster auto
    """
    if output is None and not dry_run:
        raise typer.BadParameter("name a new folder for the results, or try --dry-run.", param_hint="'-o' / '--output'")
    choose(engine)  # or it is refused now, and not after the photos have been read
    chosen = recipe_of(recipe, epochs_frozen, epochs_fine, unfreeze)
    if budget is not None:
        if chosen.head == "custom":
            raise UserError(f"--budget is for auto and best; the recipe {recipe} has a fixed number of epochs.")
        if not chosen.epochs_fine:
            raise UserError(f"--budget is for auto and best; the recipe {recipe} takes what it takes.")
        chosen = dataclasses.replace(chosen, budget=seconds_of(budget, "--budget"))
    if deterministic and chosen.budget is not None:
        if budget is not None:
            raise UserError(
                "--deterministic and --budget exclude each other: what time allows differs from run to run."
            )
        chosen = dataclasses.replace(chosen, budget=None)
    if cluster is not None:
        chosen = on_cluster(chosen, budget=budget, views=views, folds=folds)
    else:
        require_cluster(gpus_per_worker)
    if views is not None and chosen.head == "linear" and not chosen.probe_views:
        raise UserError(f"--views is for the other recipes; {recipe} looks at the centre crops alone.")
    if folds == 1:
        raise UserError("--folds 1 leaves nothing to train on; take 2 or more, or 0 for photos held out.")
    if track is not None:
        tracker(track, output or Path())  # or it is refused only when the training begins
    settings = run.Settings(
        chosen, classes_of(classes), val_fraction, test_fraction, seed, weights,
        bank_gb=bank_gb, engine=engine, views=views_of(views), deterministic=deterministic,
        check=check, group_by=group_by, folds=folds, track=track, follow_links=follow_links,
        checkpoint_every=seconds_of(checkpoint_every, "--checkpoint-every"),
        cluster=cluster, gpus_per_worker=gpus_per_worker,
    )  # fmt: skip
    photos = at_hand(photos)
    if output is None or dry_run:
        if output is not None:
            require_fit(output, photos, request_of(photos, settings))
        with bars() as progress:
            plan = planned(gather(photos, settings, progress))
        result(plan_text(plan, check), plan | {"dry_run": True}, json)
        return
    metrics = run.finished(photos, output, settings) if resume else None
    if metrics is not None:
        say(f"{output} is finished already.")
    else:
        with bars() as progress, politely() as ending:
            watch = run.Watch(progress, say, lambda row: say(epoch_line(row)), ending)
            try:
                metrics = run.train(photos, output, settings, watch).metrics
            except KeyboardInterrupt:
                say(f"Interrupted. {output} keeps what is done: the same command goes on from here.")
                raise typer.Exit(130) from None
    pictures = "curves.png, confusion.png" if {"val", "test", "folds"} & metrics.keys() else "curves.png"
    text = f"{output}: report.html, model/, {pictures}, predictions.csv, metrics.json\n{verdict(metrics)}"
    result(text, {"run": str(output), **metrics}, json)


def recipe_of(name: str, epochs_frozen: int | None, epochs_fine: int | None, unfreeze: int | None) -> Recipe:
    """The recipe of that name with the settings changed that are given.

    Raises:
        UserError: there is none, or a setting makes no sense.
    """
    if name not in RECIPES:
        raise UserError(f"There is no recipe {name!r}; choose {' or '.join(RECIPES)}.")
    recipe = RECIPES[name]
    if unfreeze is not None and not 0 <= unfreeze <= RESNET_LAYERS:
        raise UserError(
            f"--unfreeze goes from 0 to {RESNET_LAYERS}, ResNet50's number of layers. Received: {unfreeze}."
        )
    if recipe.head == "linear" and epochs_frozen is not None:
        raise UserError(f"--epochs-frozen is for classic; the head of the recipe {name} is fitted at once.")
    if not recipe.epochs_fine and (epochs_fine, unfreeze) != (None, None):
        raise UserError(f"--epochs-fine and --unfreeze are for the other recipes; {name} fine-tunes nothing.")
    given = {"epochs_frozen": epochs_frozen, "epochs_fine": epochs_fine, "unfreeze": unfreeze}
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    recipe = dataclasses.replace(recipe, **changes)
    if recipe.head == "custom" and recipe.epochs_frozen + recipe.epochs_fine == 0:
        raise UserError("--epochs-frozen and --epochs-fine are both 0; at least one epoch is needed to learn anything.")
    return recipe


def on_cluster(recipe: Recipe, *, budget: str | None, views: str | None, folds: int) -> Recipe:
    """The recipe as a cluster trains it: to its end.

    Raises:
        UserError: something was asked for that one machine alone can do.
    """
    if budget is not None:
        raise UserError("--cluster and --budget exclude each other: machines in step with each other train to the end.")
    if views == "fresh":
        raise UserError("--cluster keeps the views of each photo; give --views a number.")
    if folds:
        raise UserError("--folds trains on this machine alone; leave out --cluster.")
    return dataclasses.replace(recipe, budget=None)


def seconds_of(text: str, option: str) -> float:
    """Read a duration such as 90s, 5m, 1.5h or 90, which was given for an option.

    Raises:
        UserError: it is none, or not above 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if found is None or float(found[1]) == 0:
        raise UserError(f"{option} is a time like 90s, 5m or 1h. Received: {text!r}.")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def views_of(text: str | None) -> Views | None:
    """Read a number of views, or "fresh".

    Raises:
        UserError: it is neither.
    """
    if text is None or text == "fresh":
        return text  # type: ignore[return-value]
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--views is a whole number above 0, or fresh. Received: {text!r}.")
    return int(text)


def plan_text(plan: dict[str, Any], check: bool) -> str:
    """Say what a training would do, from what `leafgraft.gathering.planned` gives."""
    sides = [side for side, count in plan["photos"].items() if count]
    rows = [("", *sides), *((name, *(counts[side] for side in sides)) for name, counts in plan["species"].items())]
    rows.append(("all", *(plan["photos"][side] for side in sides)))
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([str(row[0]).ljust(widths[0]), *(str(n).rjust(w) for n, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    left_out = plan["left_out"]
    lines += [f"Left out: {len(left_out):,}" + ("" if len(left_out) <= MOST_LEFT_OUT else "; --json lists all")]
    lines += [f"  {photo['path']}: {photo['problem']}" for photo in left_out[:MOST_LEFT_OUT]]
    if check:
        lines.append("A training looks for copies and bursts too, which may take some of them to another side.")
    return "\n".join([*lines, "Nothing was written."])


def verdict(metrics: dict[str, Any]) -> str:
    """The sentence that matters, from what ``metrics.json`` holds."""
    if "test" in metrics:
        return lead(metrics["test"], "test")
    if "folds" in metrics:
        folds = metrics["folds"]
        spread = f" Folds: mean {100 * folds['mean']:.1f} %, standard deviation {100 * folds['spread']:.1f} points."
        return lead(folds["pooled"], "folds") + spread
    return lead(metrics.get("val", {}), "val" if "val" in metrics else None)
