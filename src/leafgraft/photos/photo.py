"""The record of one photograph: where it lies, what it shows, its side of the split, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Photo:
    """One file that was seen.

    Attributes:
        path: where the file lies.
        label: the species, in Unicode NFC; "" when it is not known.
        split: "train", "val" or "test"; "" when the photo is not assigned (yet, or because of a problem).
        sha256: hexadecimal digest of the file's bytes; "" when they were not read.
        group: photos of one group never lie on two sides of a split. By default the first 16 digits of ``sha256``.
        width: upright width in pixels, after the EXIF orientation; 0 when unknown.
        height: upright height in pixels; 0 when unknown.
        problem: why the photo is left out, in plain words; "" for a usable photo.
    """

    path: Path
    label: str
    split: str = ""
    sha256: str = ""
    group: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
