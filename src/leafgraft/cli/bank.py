"""``leafgraft bank``."""

from __future__ import annotations

import typer

from leafgraft import imagenet
from leafgraft.cli.screen import Debug, Json, result
from leafgraft.engine import bank

app = typer.Typer(
    help=(
        "What frozen layers made of photos, kept so that it is computed once.\n\n"
        "For example:\n\n"
        "  leafgraft bank status\n\n"
        "  leafgraft bank clear"
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def status(json: Json = False, debug: Debug = False) -> None:
    """Say how much is kept, and where.

    For example:

      leafgraft bank status --json
    """
    root = imagenet.cache_dir() / "bank"
    found = bank.banks(root)
    size = sum(one["bytes"] for one in found)
    lines = [f"{root}: {size / 1e9:.2f} GB"]
    for one in found:
        shapes = " and ".join(" x ".join(map(str, shape)) for shape in one["shapes"])
        if not one["shapes"]:
            lines.append(f"  a network for OpenVINO: {one['bytes'] / 1e9:.2f} GB")
            continue
        lines.append(f"  {one['rows']:,} views of {shapes}: {one['bytes'] / 1e9:.2f} GB")
    result("\n".join(lines), {"folder": str(root), "bytes": size, "banks": found}, json)


@app.command()
def clear(json: Json = False, debug: Debug = False) -> None:
    """Remove all of it; the next training computes again what it needs.

    For example:

      leafgraft bank clear
    """
    freed, busy = bank.clear(imagenet.cache_dir() / "bank")
    text = f"{freed / 1e9:.2f} GB freed"
    if busy:
        text += f"; left alone, since a training is filling it: {', '.join(busy)}"
    result(text, {"bytes": freed, "busy": busy}, json)
