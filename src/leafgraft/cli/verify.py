"""``leafgraft verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leafgraft import verifying
from leafgraft.cli.screen import Debug, Json, result


def verify(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="A run, the model/ in it, or a weights file; else the cache of weights."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check whether something is whole and safe to open, before it is used or after it was copied.

    Every file is held against its digest, and then looked at by itself, for whoever makes a hostile file can write its
    digest too. Nothing in it is run. The status is 2 at the first fault.

    For example:

      leafgraft verify run

      leafgraft verify downloads/model --json

      leafgraft verify
    """
    found = verifying.verify(path)
    lines = [f"{found.path}: whole, a {found.kind}", *(f"  {name}: {what}" for name, what in found.checked.items())]
    content = {"path": str(found.path), "kind": found.kind, "whole": True, "checked": found.checked}
    result("\n".join(lines), content, json)
