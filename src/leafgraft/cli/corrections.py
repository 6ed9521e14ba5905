"""``leafgraft corrections``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from leafgraft.cli.screen import Debug, Json, result
from leafgraft.serve.corrections import MANIFEST, Corrections

app = typer.Typer(
    help=(
        "What people have said that photos really show, on the page of `leafgraft serve --corrections FILE`.\n\n"
        "For example:\n\n"
        "  leafgraft corrections list corrections.db\n\n"
        "  leafgraft corrections export corrections.db -o more-photos"
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="What --corrections named.")]


@app.command("list")
def list_(file: File, json: Json = False, debug: Debug = False) -> None:
    """List the corrections.

    For example:

      leafgraft corrections list corrections.db --json
    """
    found = Corrections(file).all()
    lines = [f"{one.id}  {one.time}  {one.species} (the answer was {one.answer})" for one in found]
    text = "\n".join(lines) if lines else f"{file} has no corrections yet."
    result(text, {"corrections": [asdict(one) for one in found]}, json)


@app.command()
def export(
    file: File,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The folder to make.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the photos into a folder for each species, with a manifest.csv that `leafgraft train` takes.

    For example:

      leafgraft corrections export corrections.db -o more-photos
    """
    count = Corrections(file).export(output)
    manifest = output / MANIFEST
    text = (
        f"{count} photo{'s' if count != 1 else ''} in {output}; train on them with: leafgraft train {manifest} -o RUN"
    )
    result(text, {"photos": count, "folder": str(output), "manifest": str(manifest)}, json)
