"""``leafgraft garden``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leafgraft.cli.screen import Debug, Json, bars, result
from leafgraft.photos.garden import SPECIES, grow


def garden(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="A new folder for the pictures.")],
    per_species: Annotated[int, typer.Option("--per-species", help="Pictures of each of the ten kinds.", min=1)] = 40,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another garden.", min=0)] = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Draw photographs of ten kinds of plant, for whoever has none at hand.

    For example:

      leafgraft garden -o garden --per-species 40
    """
    with bars() as progress:
        grow(output, per_species, seed, progress=lambda done, total: progress("Growing the garden", done, total))
    text = f"{output}: {per_species} pictures each of {', '.join(SPECIES)}"
    result(text, {"folder": str(output), "species": list(SPECIES), "per_species": per_species, "seed": seed}, json)
