"""``leafgraft weights``."""

from __future__ import annotations

import typer

from leafgraft import imagenet
from leafgraft.cli.screen import Debug, Json, Weights, bars, result
from leafgraft.errors import UserError

app = typer.Typer(
    help=(
        "The ImageNet weights of ResNet50: where they are, and getting them.\n\n"
        "For example:\n\n"
        "  leafgraft weights status\n\n"
        "  leafgraft weights fetch"
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def status(json: Json = False, debug: Debug = False) -> None:
    """Say whether the weights are here, whole, and where they came from.

    For example:

      leafgraft weights status --json
    """
    known = imagenet.status()
    if not known["present"]:
        text = f"There are no weights in {known['folder']} yet; `leafgraft weights fetch` gets them."
    elif not known["sha256_ok"]:
        text = f"{known['file']} is damaged; `leafgraft weights fetch` gets a good one."
    else:
        text = f"{known['file']}: whole, from {known['source']} {known['date']}".rstrip()
    result(text, known, json)


@app.command()
def fetch(weights: Weights = None, json: Json = False, debug: Debug = False) -> None:
    """Get the weights, unless they are here already.

    For example:

      leafgraft weights fetch

      leafgraft weights fetch --weights resnet50_notop.h5
    """
    with bars() as progress:
        path = imagenet.fetch(weights, progress=progress)
    result(f"{path}: ready", {"file": str(path)}, json)


@app.command()
def path(json: Json = False, debug: Debug = False) -> None:
    """Print where the weights lie, for copying them to another machine.

    For example:

      leafgraft weights path
    """
    found = imagenet.locate()
    if found is None:
        raise UserError(f"There are no weights in {imagenet.cache_dir()}; `leafgraft weights fetch` gets them.")
    result(str(found), {"file": str(found)}, json)
