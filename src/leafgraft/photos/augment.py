"""Random views of a canvas: rotation, shift and flip in a single warp."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leafgraft.photos.decode import SIDE


@dataclass(frozen=True)
class Augmentation:
    """How far a random view may stray from the centre crop.

    Attributes:
        rotation: largest angle to either side, in degrees.
        shift: largest horizontal and vertical displacement, as a fraction of 224 pixels.
        flip: whether every other view is mirrored left to right.
    """

    rotation: float = 20.0
    shift: float = 0.2
    flip: bool = True


def random_view(
    canvas: NDArray[np.uint8], rng: np.random.Generator, augmentation: Augmentation = Augmentation()
) -> NDArray[np.uint8]:
    """Draw one view of a canvas.

    The geometry is that of Keras' ``ImageDataGenerator(rotation_range=20, width_shift_range=0.2,
    height_shift_range=0.2, horizontal_flip=True)`` on the 224 x 224 centre crop: the same uniform distributions, the
    same order (flip, then shift, then rotation about the centre, going from view to photo), the same bilinear
    interpolation. It differs in what fills the parts beyond the crop: the photo's own pixels as far as the canvas has
    them, then the canvas mirrored at its edge, where Keras smears the crop's edge pixels (``fill_mode="nearest"``).

    Args:
        canvas: uint8 (h, w, 3), both sides at least 224.
        rng: the source of chance; four numbers are drawn whatever the augmentation.
        augmentation: the ranges.

    Returns:
        uint8 (224, 224, 3), C-contiguous.
    """
    turn, down, right, mirror = rng.uniform(-1.0, 1.0, 4)
    angle = math.radians(augmentation.rotation * turn)
    reach = augmentation.shift * SIDE
    flip = augmentation.flip and mirror < 0.0
    return _warp(canvas, angle, right * reach, down * reach, flip)


def _warp(canvas: NDArray[np.uint8], angle: float, right: float, down: float, flip: bool) -> NDArray[np.uint8]:
    """Sample the view whose point p, from the view's centre, lies at R(angle) (F p + shift) from the crop's centre."""
    height, width = canvas.shape[:2]
    cos, sin = math.cos(angle), math.sin(angle)
    mirror = -1.0 if flip else 1.0
    half = SIDE / 2
    # Centres in Pillow's coordinates, where pixel i covers [i, i + 1).
    x0 = (width - SIDE) // 2 + half + cos * right - sin * down
    y0 = (height - SIDE) // 2 + half + sin * right + cos * down
    span = half * (abs(cos) + abs(sin)) + 1  # one more for the neighbours of bilinear interpolation
    above, left = max(0, math.ceil(span - y0)), max(0, math.ceil(span - x0))
    below, beyond = max(0, math.ceil(y0 + span - height)), max(0, math.ceil(x0 + span - width))
    if above or below or left or beyond:
        canvas = np.pad(canvas, ((above, below), (left, beyond), (0, 0)), mode="symmetric")
        x0, y0 = x0 + left, y0 + above
    a, d = cos * mirror, sin * mirror
    view = Image.fromarray(canvas).transform(
        (SIDE, SIDE),
        Image.Transform.AFFINE,
        (a, -sin, x0 - half * (a - sin), d, cos, y0 - half * (d + cos)),
        Image.Resampling.BILINEAR,
    )
    return np.array(view)
