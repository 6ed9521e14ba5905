"""Grows a folder of photographs: the two public calls of the garden."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from leafgraft.errors import UserError
from leafgraft.files import write_json
from leafgraft.photos.garden import flowers, foliage
from leafgraft.photos.garden.brush import Specimen
from leafgraft.photos.garden.camera import Habit, photograph

PLANTS: dict[str, tuple[Callable[[np.random.Generator], Specimen], Habit]] = {
    "bamboo": (foliage.bamboo, "standing"),
    "cactus": (foliage.cactus, "standing"),
    "dahlia": (flowers.dahlia, "facing"),
    "fern": (foliage.fern, "standing"),
    "lavender": (flowers.lavender, "standing"),
    "maple": (foliage.maple, "facing"),
    "oak": (foliage.oak, "facing"),
    "rose": (flowers.rose, "facing"),
    "sunflower": (flowers.sunflower, "facing"),
    "waterlily": (flowers.waterlily, "floating"),
    "pineapple": (foliage.pineapple, "standing"),
    "tulip": (flowers.tulip, "standing"),
}
STRANGERS: tuple[str, ...] = ("pineapple", "tulip")
"""Kinds for trying what a classifier says to a plant it has never been taught."""
SPECIES: tuple[str, ...] = tuple(name for name in PLANTS if name not in STRANGERS)
"""The ten kinds that a garden teaches."""

DRAWING_VERSION = 1
"""Changes whenever the same seed no longer gives the same photographs."""

SIZES = ((320, 256), (320, 240), (256, 320), (288, 288), (352, 256), (240, 320), (256, 256), (400, 240))
MARKER = "garden.json"
JPEG_QUALITY = 88


def draw(species: str, seed: int, size: tuple[int, int] | None = None) -> Image.Image:
    """Draws one photograph, the same for the same arguments in every process.

    Args:
        species: One of `SPECIES` or `STRANGERS`.
        seed: 0 or more.
        size: Width and height in pixels, each at least 1; by default one of several common shapes around 320 x 256.

    Returns:
        An RGB image.

    Raises:
        UserError: If the species is unknown, the seed is negative or the size is empty.
    """
    if species not in PLANTS:
        raise UserError(f"The garden has no {species!r}; it grows {', '.join(PLANTS)}.")
    _check_seed(seed)
    if size is not None and min(size) < 1:
        raise UserError(f"The size is {size[0]} x {size[1]} pixels; give a width and a height of at least 1.")
    rng = np.random.default_rng([seed, list(PLANTS).index(species)])
    cultivar, habit = PLANTS[species]
    shape = SIZES[rng.integers(len(SIZES))]
    return photograph(rng, cultivar(rng), habit, size or shape)


def grow(
    folder: Path,
    per_species: int = 40,
    seed: int = 0,
    strangers: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fills a folder with photographs, `folder/<species>/<species>_0001.jpg` and so on.

    A finished garden that stands there already, grown from the same arguments, is used as it is; any other garden's
    photographs are removed and drawn anew. The marker file `garden.json` says what stands there and is completed last,
    so a broken-off garden counts as unfinished. One photograph takes about 15 ms; threads would not help, because
    Pillow draws under the interpreter's lock.

    Args:
        folder: Where to; made if missing.
        per_species: Photographs of each species, 1 to 9999.
        seed: 0 or more; gardens of different seeds share no photograph.
        strangers: Grow the two kinds of `STRANGERS` instead of the ten of `SPECIES`.
        progress: Called after each photograph with the number done and the number of all.

    Returns:
        The folder.

    Raises:
        UserError: If the folder holds something that is no garden, or a number is out of range.
    """
    if not 1 <= per_species <= 9999:
        raise UserError(f"The number of photographs per species is {per_species}; give one from 1 to 9999.")
    _check_seed(seed)
    species = STRANGERS if strangers else SPECIES
    wanted = {"seed": seed, "per_species": per_species, "species": list(species), "drawing": DRAWING_VERSION}
    paths = {
        folder / name / f"{name}_{number:04d}.jpg": (name, seed * 10_000 + number)
        for name in species
        for number in range(1, per_species + 1)
    }
    if _standing(folder) == {**wanted, "finished": True} and all(path.is_file() for path in paths):
        return folder
    _clear(folder)
    _write_marker(folder, {**wanted, "finished": False})
    for name in species:
        (folder / name).mkdir()
    for done, (path, arguments) in enumerate(paths.items(), 1):
        draw(*arguments).save(path, quality=JPEG_QUALITY)
        if progress is not None:
            progress(done, len(paths))
    _write_marker(folder, {**wanted, "finished": True})
    return folder


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise UserError(f"The seed is {seed}; give a whole number from 0 upwards.")


def _standing(folder: Path) -> dict[str, object] | None:
    """What the folder's marker says, or None if it has no legible one."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) and "drawing" in marker else None


def _clear(folder: Path) -> None:
    """Makes the folder and empties it of an earlier garden's photographs.

    Raises:
        UserError: If it is no folder, or holds anything that a garden does not.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the garden.")
    folder.mkdir(parents=True, exist_ok=True)
    if _standing(folder) is None and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder} holds something other than a garden; name a new or an empty folder.")
    for name in PLANTS:
        for photo in (folder / name).glob(f"{name}_[0-9][0-9][0-9][0-9].jpg"):
            photo.unlink()
        if (folder / name).is_dir():
            try:
                (folder / name).rmdir()
            except OSError as error:
                raise UserError(f"{folder / name} holds files that are not the garden's; name a new folder.") from error


def _write_marker(folder: Path, content: dict[str, object]) -> None:
    write_json(folder / MARKER, content)
