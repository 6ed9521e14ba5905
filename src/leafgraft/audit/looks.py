"""How photos look as a whole: small grey pictures, borders, sharpness, brightness, and when they were taken."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leafgraft.errors import UserError
from leafgraft.machine import cores
from leafgraft.photos.decode import CANVAS_SHORT, UnreadablePhoto, decode, read_bytes, taken
from leafgraft.progress import Progress

GREY = 64
"""Side of the small grey pictures, in pixels."""

AROUND = 16
"""Blocks along the border of a photo whose colours are kept: four along each side."""

_BLOCKS = 8  # a side, for the sharpness


@dataclass(frozen=True)
class Looks:
    """What some photos look like.

    Attributes:
        grey: uint8 (n, 64, 64), the whole photo squeezed into a square.
        border: float32 (n, 16, 3), mean colours along the border, 0-255.
        sharpness: float32 (n,), variance of the Laplacian in the sharper parts of the photo, at a shorter side of 256.
        brightness: float32 (n,), mean grey value, 0-255.
        taken: float64 (n,), when by the camera's clock, in seconds; NaN where the photo does not say.
    """

    grey: NDArray[np.uint8]
    border: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    brightness: NDArray[np.float32]
    taken: NDArray[np.float64]


def looks(paths: Sequence[Path], progress: Progress | None = None) -> Looks:
    """Look at photos, several at a time.

    Args:
        paths: files that can be decoded.
        progress: told how many are done.

    Raises:
        UserError: one cannot be decoded any more.
    """
    n = len(paths)
    result = Looks(
        np.zeros((n, GREY, GREY), np.uint8),
        np.zeros((n, AROUND, 3), np.float32),
        np.zeros(n, np.float32),
        np.zeros(n, np.float32),
        np.full(n, np.nan),
    )

    def look(position: int) -> None:
        try:
            data = read_bytes(paths[position])
            image, _ = decode(data, at_least=CANVAS_SHORT)
        except UnreadablePhoto as problem:
            raise UserError(f"{paths[position]} cannot be read any more ({problem}); run the command again.") from None
        scale = CANVAS_SHORT / min(image.size)
        # A long strip would be blown up to millions of pixels.
        size = (min(round(image.width * scale), 4 * CANVAS_SHORT), min(round(image.height * scale), 4 * CANVAS_SHORT))
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        grey = image.convert("L")
        result.grey[position] = np.asarray(grey.resize((GREY, GREY), Image.Resampling.BOX))
        result.border[position] = _border(np.asarray(image))
        wide = np.asarray(grey, np.float32)
        result.sharpness[position] = _sharpness(wide)
        result.brightness[position] = wide.mean()
        when = taken(data)
        if when is not None:
            result.taken[position] = when

    with ThreadPoolExecutor(cores(), thread_name_prefix="look") as pool:
        for done, _ in enumerate(pool.map(look, range(n)), start=1):
            if progress:
                progress("Looking at the photos", done, n)
    return result


def _border(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean colours of four blocks along each side, a sixteenth of the photo deep."""
    deep = max(1, min(pixels.shape[:2]) // 16)
    top, bottom, left, right = pixels[:deep], pixels[-deep:], pixels[:, :deep], pixels[:, -deep:]
    strips = (top, bottom, left.transpose(1, 0, 2), right.transpose(1, 0, 2))
    blocks = [block.mean(axis=(0, 1)) for strip in strips for block in np.array_split(strip, 4, axis=1)]
    return np.array(blocks, np.float32)


def _sharpness(grey: NDArray[np.float32]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy").

    Of the blocks of a photo, the sharper tenth counts: a plant in focus before a soft ground is a sharp photo.
    """
    from scipy.ndimage import laplace

    edges = laplace(grey)
    mean, square = _means(edges), _means(edges * edges)
    return float(np.quantile(square - mean * mean, 0.9))


def _means(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of each block, float64 (8, 8); of a size that 8 does not divide, the first blocks have a pixel more."""
    sizes = [np.array([len(part) for part in np.array_split(np.arange(n), _BLOCKS)]) for n in values.shape]
    rows, columns = (np.concatenate([[0], size.cumsum()[:-1]]) for size in sizes)
    sums = np.add.reduceat(np.add.reduceat(values, columns, axis=1, dtype=np.float64), rows, axis=0)
    result: NDArray[np.float64] = sums / np.outer(*sizes)
    return result
