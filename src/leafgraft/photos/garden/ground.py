"""What stands behind a plant: soil, grass, sky, wood, snow, wall, water, litter, and lights out of focus.

Every ground is an RGB image of the size asked and knows nothing of the species in front of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from leafgraft.photos.garden.brush import Array, Pen, blade, hsv, vary

Size = tuple[int, int]


def noise(rng: np.random.Generator, size: Size, cells: Size) -> Array:
    """Smooth value noise (height, width) within 0-1: random values on a grid of `cells`, bicubic between."""
    grid = rng.integers(0, 256, (max(cells[1], 1), max(cells[0], 1)), dtype=np.uint8)
    return np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC), np.float32) / 255


def cloudy(rng: np.random.Generator, size: Size, coarse: float, stretch: float = 1.0) -> Array:
    """Three octaves of noise at half the resolution of `size`: `coarse` cells over its shorter side, and finer ones.

    Where `stretch` is more than 1, the cells are drawn out horizontally. Half the resolution is all that the finest
    octave needs, and a quarter of the work.
    """
    half = (size[0] // 2 + 1, size[1] // 2 + 1)
    total = np.zeros(half[::-1], np.float32)
    for octave, weight in ((1, 0.5), (3, 0.3), (9, 0.2)):
        cells = coarse * octave / min(size)
        total += weight * noise(rng, half, (int(size[0] * cells / stretch) + 2, int(size[1] * cells * stretch) + 2))
    return total


def between(mask: Array, low: Array, high: Array, size: Size) -> Image.Image:
    """An image of that size in the colour `low` where the mask (of any resolution) is 0, `high` where it is 1."""
    lut = np.clip((low + (high - low) * np.linspace(0, 1, 256)[:, None]) * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(lut[(np.clip(mask, 0, 1) * 255).astype(np.uint8)]).resize(size, Image.Resampling.BILINEAR)


def soil(rng: np.random.Generator, size: Size) -> Image.Image:
    """Crumbs of earth or gravel."""
    hue, saturation, value = rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.65)
    image = between(
        cloudy(rng, size, 7) * 1.4 - 0.2, hsv(hue, saturation, value * 0.4), hsv(hue, saturation, value), size
    )
    canvas, short = ImageDraw.Draw(image), min(size)
    for x, y, r in rng.random((40, 3)) * [*size, 0.02 * short]:
        shade = tuple(int(v) for v in vary(rng, hsv(hue, saturation * 0.7, value), 0.2) * 255)
        canvas.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=shade)
    return image


def grass(rng: np.random.Generator, size: Size) -> Image.Image:
    """A lawn or meadow, green or dry."""
    hue, value = rng.choice([rng.uniform(0.2, 0.33), rng.uniform(0.11, 0.16)]), rng.uniform(0.3, 0.65)
    image = between(cloudy(rng, size, 6, 0.4), hsv(hue, 0.6, value * 0.35), hsv(hue, 0.6, value), size)
    canvas, short = ImageDraw.Draw(image), min(size)
    feet, tips = rng.random((100, 2)) * size, rng.normal(0, [0.04, 0.03], (100, 2)) - [0, 0.14]
    for foot, tip in zip(feet, feet + tips * short, strict=True):
        shade = tuple(int(v) for v in vary(rng, hsv(hue, 0.55, value), 0.2) * 255)
        canvas.line([*foot, *tip], fill=shade, width=max(1, short // 120))
    return image


def sky(rng: np.random.Generator, size: Size) -> Image.Image:
    """Clear, clouded or evening sky, at times above a hedge."""
    hue = rng.choice([0.58, 0.58, 0.6, 0.06])
    cloud = cloudy(rng, size, 2, 1.8)
    down = np.linspace(0, 1, len(cloud), dtype=np.float32)[:, None]
    haze = np.clip(cloud * 2.2 - rng.uniform(0.4, 1.4), 0, 1) * 0.8 + down * 0.4
    image = between(
        haze, hsv(hue, rng.uniform(0.2, 0.65), rng.uniform(0.5, 0.95)), hsv(hue, 0.05, rng.uniform(0.75, 1)), size
    )
    if rng.random() < 0.4:
        hedge = between(cloudy(rng, size, 10), hsv(0.3, 0.5, 0.1), hsv(0.28, 0.5, 0.4), size)
        below = rng.uniform(0.55, 0.85) + 0.15 * noise(rng, cloud.shape[::-1], (9, 1)) < down
        image.paste(hedge, mask=Image.fromarray((below * 255).astype(np.uint8)).resize(size))
    return image


def wood(rng: np.random.Generator, size: Size) -> Image.Image:
    """Boards, across or upright."""
    upright = bool(rng.random() < 0.5)
    lying = size[::-1] if upright else size
    hue, saturation, value = rng.uniform(0.04, 0.11), rng.uniform(0.1, 0.55), rng.uniform(0.35, 0.8)
    image = between(cloudy(rng, lying, 5, 7), hsv(hue, saturation, value * 0.55), hsv(hue, saturation, value), lying)
    canvas, board = ImageDraw.Draw(image), max(lying[1] // int(rng.integers(3, 8)), 2)
    gap = tuple(int(v) for v in hsv(hue, saturation, value * 0.25) * 255)
    for y in range(int(rng.integers(board)), lying[1], board):
        canvas.line([0, y, lying[0], y], fill=gap, width=max(1, board // 16))
    return image.transpose(Image.Transpose.ROTATE_90) if upright else image


def snow(rng: np.random.Generator, size: Size) -> Image.Image:
    """Snow in sun or shade."""
    hue = rng.choice([0.6, 0.1])
    return between(
        cloudy(rng, size, 3, 1.5), hsv(hue, 0.2, rng.uniform(0.5, 0.75)), hsv(hue, 0.03, rng.uniform(0.85, 1)), size
    )


def wall(rng: np.random.Generator, size: Size) -> Image.Image:
    """Plaster, stone slabs or bricks."""
    hue, saturation, value = rng.uniform(0, 0.13), rng.uniform(0.02, 0.55), rng.uniform(0.35, 0.85)
    image = between(cloudy(rng, size, 5), hsv(hue, saturation, value * 0.7), hsv(hue, saturation, value), size)
    if rng.random() < 0.6:
        canvas, high = ImageDraw.Draw(image), max(size[1] // int(rng.integers(4, 12)), 3)
        joint = tuple(int(v) for v in hsv(hue, saturation * 0.4, value * rng.choice([0.5, 1.15])) * 255)
        thick = max(1, high // 10)
        for row, y in enumerate(range(0, size[1] + high, high)):
            canvas.line([0, y, size[0], y], fill=joint, width=thick)
            for x in range(-high * (row % 2), size[0], high * 2):
                canvas.line([x, y, x, y + high], fill=joint, width=thick)
    return image


def water(rng: np.random.Generator, size: Size) -> Image.Image:
    """A pond with ripples and reflections."""
    hue, value = rng.uniform(0.3, 0.62), rng.uniform(0.15, 0.55)
    ripples = cloudy(rng, size, 4, 4) * 1.8 - 0.5
    return between(ripples, hsv(hue, rng.uniform(0.3, 0.7), value * 0.5), hsv(hue, 0.35, value * 1.4), size)


def litter(rng: np.random.Generator, size: Size) -> Image.Image:
    """A bed or hedge of plain leaves of no species in particular."""
    hue = rng.choice([rng.uniform(0.2, 0.38), rng.uniform(0.04, 0.12)])
    value, short = rng.uniform(0.2, 0.55), min(size)
    image = between(cloudy(rng, size, 5), hsv(hue, 0.5, value * 0.2), hsv(hue, 0.5, value * 0.6), size)
    pen = Pen(ImageDraw.Draw(image), np.eye(2) * short, np.zeros(2), short)
    shape = blade(1, rng.uniform(0.2, 0.8), rng.uniform(0.35, 0.55), rng.uniform(0.35, 0.7))
    for x, y, turn, scale in rng.random((50, 4)) * [size[0] / short, size[1] / short, 6.3, 0.2]:
        pen.at(x, y, turn=turn, scale=0.1 + scale).leaf(shape, vary(rng, hsv(hue, 0.5, value), 0.2))
    return image


def bokeh(rng: np.random.Generator, size: Size) -> Image.Image:
    """Lights and blossoms far behind the plane of focus."""
    small = (max(size[0] // 2, 1), max(size[1] // 2, 1))
    hue = rng.random()
    image = between(
        cloudy(rng, small, 2), hsv(hue, 0.4, rng.uniform(0.05, 0.4)), hsv(hue + 0.1, 0.5, rng.uniform(0.3, 0.7)), small
    )
    canvas, hues = ImageDraw.Draw(image, "RGBA"), rng.random(3)
    for x, y, r in rng.random((28, 3)) * [*small, 0.12 * min(small)]:
        colour = tuple(int(v) for v in hsv(rng.choice(hues), 0.6, 0.9) * 255)
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 90))
    return image.filter(ImageFilter.BoxBlur(0.015 * min(small))).resize(size, Image.Resampling.BILINEAR)


GROUNDS: tuple[Callable[[np.random.Generator, Size], Image.Image], ...] = (
    soil,
    grass,
    sky,
    wood,
    snow,
    wall,
    water,
    litter,
    bokeh,
)

POND: tuple[Callable[[np.random.Generator, Size], Image.Image], ...] = (water, water, soil, litter, bokeh)
"""Where floating plants are found: open water, a pond that has run dry or is overgrown, lights on the water."""
