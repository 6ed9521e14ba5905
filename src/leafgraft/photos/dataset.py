"""The data set that training and evaluation read: labelled photos, decoded one at a time, never all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from leafgraft.errors import UserError
from leafgraft.photos.augment import Augmentation, random_view
from leafgraft.photos.decode import CANVAS_LONG, CANVAS_SHORT, SIDE, UnreadablePhoto, canvas, centre, decode, read_bytes
from leafgraft.photos.photo import Photo
from leafgraft.photos.split import split

PIXELS = f"canvas {CANVAS_SHORT}-{CANVAS_LONG} view {SIDE} edition 2 pillow {PIL.__version__}"
"""Names how pixels are made from a file; the edition changes with the code that makes them."""

CENTRE = -1
"""The number of the centre crop among the views of a photo; random views are numbered from 0."""


@dataclass(frozen=True)
class Dataset:
    """Labelled photos in a fixed order.

    Attributes:
        classes: the species, in the order of the labels.
        labels: int64 (n,), 0 <= label < len(classes).
        keys: for each photo, the SHA-256 of its content.
        groups: for each photo, what it shares with others of the same plant, place or content.
        source: the files, or an array of uint8 (n, 224, 224, 3).
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    keys: tuple[str, ...]
    groups: tuple[str, ...]
    source: Sequence[Path] | NDArray[np.uint8]

    @classmethod
    def of_photos(cls, photos: Sequence[Photo], classes: Sequence[str]) -> Dataset:
        """Take scanned photos that have no problem."""
        order = {name: label for label, name in enumerate(classes)}
        labels = np.array([order[photo.label] for photo in photos], np.int64)
        keys, groups = zip(*((photo.sha256, photo.group or photo.sha256) for photo in photos), strict=True)
        return cls(tuple(classes), labels, keys, groups, [photo.path for photo in photos])

    @classmethod
    def of_arrays(cls, pixels: NDArray[np.uint8], labels: NDArray[np.int64], classes: Sequence[str]) -> Dataset:
        """Take uint8 (n, 224, 224, 3) and int64 (n,); the pixels are not copied."""
        keys = tuple(hashlib.sha256(np.ascontiguousarray(row).data).hexdigest() for row in pixels)
        return cls(tuple(classes), labels, keys, keys, pixels)

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self.keys)

    def subset(self, positions: NDArray[np.int64]) -> Dataset:
        """The photos at some positions, in that order."""
        chosen = positions.tolist()
        source = self.source[positions] if isinstance(self.source, np.ndarray) else [self.source[i] for i in chosen]
        keys, groups = (tuple(values[i] for i in chosen) for values in (self.keys, self.groups))
        return Dataset(self.classes, self.labels[positions], keys, groups, source)

    def divide(self, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
        """Split off a fraction of every species, at least one photo of each, groups whole.

        Returns:
            The rest, and the part that was split off.

        Raises:
            UserError: the fraction is outside 0-1, or a species has too few photos.
        """
        records = [
            Photo(Path(str(i)), self.classes[label], group=group)
            for i, (label, group) in enumerate(zip(self.labels.tolist(), self.groups, strict=True))
        ]
        few = [name for name in self.classes if len({p.group for p in records if p.label == name}) < 2]
        if few:
            raise UserError(
                f"{few[0]} has too few photos for a part of them to be held out; add some, or leave the split out."
            )
        away = np.array([photo.split == "val" for photo in split(records, val=fraction, test=0.0, seed=seed)])
        return self.subset(np.flatnonzero(~away)), self.subset(np.flatnonzero(away))

    def canvas(self, position: int) -> NDArray[np.uint8]:
        """Decode one photo.

        Returns:
            uint8 (h, w, 3), as from `photos.canvas`; a row of an array as it is.

        Raises:
            UserError: the file has changed since it was scanned, or is gone.
        """
        if isinstance(self.source, np.ndarray):
            row: NDArray[np.uint8] = self.source[position]
            return row
        path = self.source[position]
        try:
            data = read_bytes(path)
        except UnreadablePhoto as problem:
            raise UserError(f"{path} cannot be read any more ({problem}); run the command again.") from None
        if hashlib.sha256(data).hexdigest() != self.keys[position]:
            raise UserError(f"{path} has changed since it was scanned; run the command again.")
        return canvas(decode(data, at_least=2 * CANVAS_SHORT)[0])

    def views(self, position: int, numbers: Sequence[int], augmentation: Augmentation) -> list[NDArray[np.uint8]]:
        """Decode one photo and draw some of its views.

        A view is determined by the content of the photo and the number of the view alone, so that what was computed
        from it holds for every run.

        Args:
            position: of the photo.
            numbers: `CENTRE` or 0, 1, ... each.
            augmentation: the ranges of the random views.

        Returns:
            uint8 (224, 224, 3) each.
        """
        return views_of(self.canvas(position), self.keys[position], numbers, augmentation)


def views_of(
    canvas: NDArray[np.uint8], key: str, numbers: Sequence[int], augmentation: Augmentation
) -> list[NDArray[np.uint8]]:
    """Draw some views of a photo.

    Args:
        canvas: as from `leafgraft.photos.decode.canvas`.
        key: the SHA-256 of the photo's content.
        numbers: `CENTRE` or 0, 1, ... each.
        augmentation: the ranges of the random views.

    Returns:
        uint8 (224, 224, 3) each.
    """
    chance = int(key[:16], 16)
    return [
        centre(canvas)
        if number == CENTRE
        else random_view(canvas, np.random.default_rng([chance, number]), augmentation)
        for number in numbers
    ]
