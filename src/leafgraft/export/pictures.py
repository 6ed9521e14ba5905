"""Which photos a file is checked on, and which int8 is calibrated on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leafgraft.bundle import Bundle
from leafgraft.engine.quantize import PHOTOS
from leafgraft.errors import UserError
from leafgraft.photos import SIDE, UnreadablePhoto, canvas, centre, load_canvas, read_manifest
from leafgraft.photos.garden import SPECIES, draw
from leafgraft.progress import Progress

FEWEST = 64
"""A file is checked on as many photos at least."""

MOST = 512
"""Of more photos that were held out, some are taken by chance: 77 MB of pixels."""

Found = tuple[Path, int]


@dataclass(frozen=True)
class Pictures:
    """Photos to check a file on.

    Attributes:
        crops: uint8 (n, 224, 224, 3).
        labels: int64 (n,), of photos that were held out; -1 for the others.
        kinds: how many there are of each kind: "held out", "validation", "named", "learned from", "drawn".
    """

    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]
    kinds: dict[str, int]


def to_verify(bundle: Bundle, folder: Path | None, progress: Progress | None = None) -> Pictures:
    """Find at least 64 photos to check a file on.

    All that the run held out, up to 512; where these are fewer than 64, also its validation photos, those of the
    user's folder, those that were learned from, and at last photos that are drawn.

    Args:
        bundle: the classifier.
        folder: a folder of photos that the user named.
        progress: told how many have been read.
    """
    test, val = held_out(bundle)
    known = [(Path(name), -1) for name in bundle.known.paths if name]
    named = [(file, -1) for file in files(folder)] if folder is not None else []
    crops: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    kinds: dict[str, int] = {}
    for kind, found in (("held out", test), ("validation", val), ("named", named), ("learned from", known)):
        wanted = MOST if kind == "held out" else FEWEST - len(crops)
        before = len(crops)
        for crop, label in readable(found, wanted):
            crops.append(crop)
            labels.append(label if kind == "held out" else -1)
            if progress:
                progress("Reading the photos", len(crops), 0)
        if len(crops) > before:
            kinds[kind] = len(crops) - before
    if (drawn := FEWEST - len(crops)) > 0:
        kinds["drawn"] = drawn
        crops += [drawn_crop(number) for number in range(drawn)]
        labels += [-1] * drawn
    if progress:
        progress("Reading the photos", len(crops), len(crops))
    return Pictures(np.stack(crops), np.array(labels, np.int64), kinds)


def to_calibrate(bundle: Bundle, folder: Path | None) -> NDArray[np.uint8]:
    """Find photos to calibrate int8 on: those of the user's folder, else those that were learned from.

    Returns:
        uint8 (n, 224, 224, 3), 1 <= n <= 128.

    Raises:
        UserError: there is none.
    """
    found = files(folder) if folder is not None else [Path(name) for name in bundle.known.paths if name]
    crops = [crop for crop, _ in readable([(file, -1) for file in found], PHOTOS)]
    if not crops:
        raise UserError(
            f"No photo in {folder} can be read; name a folder of plant photos."
            if folder is not None
            else f"int8 is calibrated on photos, and none that {bundle.folder} has learned from is there any more; "
            "name others with --photos FOLDER."
        )
    return np.stack(crops)


def held_out(bundle: Bundle) -> tuple[list[Found], list[Found]]:
    """The test and the validation photos of the run that a bundle lies in, with their labels; none where it is gone."""
    listing = bundle.folder.parent / "predictions.csv"
    rows = read_manifest(listing) if listing.is_file() else []
    order = {name: label for label, name in enumerate(bundle.classes)}
    sides = ([row for row in rows if row.split == side and row.label in order] for side in ("test", "val"))
    test, val = ([(row.path, order[row.label]) for row in side] for side in sides)
    return test, val


def files(folder: Path) -> list[Path]:
    """All files in a folder and in those below it.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name a folder of plant photos.")
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def readable(found: Iterable[Found], most: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """The central squares of photos that are there and can be read, in an order by chance, with their labels."""
    candidates = list(found)
    left = most
    for position in np.random.default_rng(0).permutation(len(candidates)).tolist():
        if left <= 0:
            return
        path, label = candidates[position]
        try:
            crop = centre(load_canvas(path))
        except UnreadablePhoto:
            continue
        left -= 1
        yield crop, label


def drawn_crop(number: int) -> NDArray[np.uint8]:
    """The central square of a photo from the garden, uint8 (224, 224, 3)."""
    crop = centre(canvas(draw(SPECIES[number % len(SPECIES)], number)))
    assert crop.shape == (SIDE, SIDE, 3)
    return crop
