"""Takes the photograph: sets plants before a ground, lights them, hides parts of them, and exposes."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from leafgraft.photos.garden.brush import Pen, Specimen, blade, hsv, polar, vary
from leafgraft.photos.garden.ground import GROUNDS, POND, Size, cloudy, noise

Habit: TypeAlias = Literal["facing", "standing", "floating"]
"""How a specimen is set: anywhere in the picture, on the ground, or on water."""

SUPERSAMPLING = 2


def stage(rng: np.random.Generator, habit: Habit, canvas: ImageDraw.ImageDraw, size: Size) -> list[Pen]:
    """Pens for the individuals of one photograph, the farthest first; the last is the main one."""
    width, height = size
    short = min(size)
    nearness = short * (0.24 + 0.26 * rng.random())
    others = int(rng.choice(5, p=[0.3, 0.25, 0.2, 0.15, 0.1]))
    scales = np.append(np.sort(nearness * rng.uniform(0.35, 0.95, others)), nearness)
    pens = []
    for k, scale in enumerate(scales):
        main = k == others
        x = width * (rng.uniform(0.3, 0.7) if main else rng.uniform(-0.05, 1.05))
        if habit == "standing":
            scale *= 2.1
            y = height * rng.uniform(0.78, 1.05) if main else height * (0.6 + 0.45 * scale / (2.1 * nearness))
        else:
            y = height * (rng.uniform(0.33, 0.67) if main else rng.uniform(0, 1))
        if habit == "floating":
            scale *= 0.85
        gain = 1.0 if main else rng.uniform(0.6, 1.0)
        pen = Pen(canvas, np.eye(2) * scale, np.array([x, y]), scale, gain).at(turn=rng.normal(0, 0.1))
        pens.append(pen.mirrored() if rng.random() < 0.5 else pen)
    return pens


def foreign(rng: np.random.Generator, size: Size, number: int, reach: float) -> Image.Image:
    """Blades, round leaves and small blossoms of no species in particular, RGBA, from the edges inwards by `reach`."""
    layer = Image.new("RGBA", size)
    width, height = size
    short, hue = min(size), rng.choice([rng.uniform(0.18, 0.4), rng.uniform(0.0, 0.14)], p=[0.8, 0.2])
    tone = hsv(hue, rng.uniform(0.2, 0.7), rng.uniform(0.15, 0.75))
    shape = blade(
        1, rng.choice([0.06, 0.25, 0.5, 0.9]), rng.uniform(0.3, 0.55), rng.uniform(0.3, 0.8), rng.normal(0, 0.15)
    )
    blossom = hsv(rng.random(), 0.6, 0.9) if rng.random() < 0.3 else None
    pen = Pen(ImageDraw.Draw(layer), np.eye(2) * short, np.zeros(2), short)
    for _ in range(number):
        around = rng.uniform(0, 6.3)
        away = 0.75 - reach * rng.random()
        x, y = (0.5 + away * math.cos(around)) * width / short, (0.5 + away * math.sin(around)) * height / short
        site = pen.at(x, y, turn=around + math.pi + rng.normal(0, 0.6), scale=rng.uniform(0.2, 0.5))
        site.leaf(shape, vary(rng, tone, 0.15), veins=3)
        if blossom is not None:
            for petal in range(5):
                site.at(0.9, 0, turn=petal * 1.2566, scale=0.2).leaf(blade(1, 0.6, 0.6, 0.3), vary(rng, blossom), 0.05)
            site.dots(np.array([[0.9, 0.0]]), 0.06, hsv(0.13, 0.8, 0.8)[None])
    return layer


def pot(pen: Pen, rng: np.random.Generator) -> None:
    """Draws a pot whose middle rim is the origin."""
    glaze = hsv(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.8))
    wide, deep = rng.uniform(0.25, 0.4), rng.uniform(0.35, 0.6)
    for x in np.linspace(-1, 0.8, 10):
        side = np.array([[x, 0], [x + 0.22, 0], [(x + 0.22) * 0.75, deep / wide], [x * 0.75, deep / wide]]) * wide
        pen.fill(side, glaze * (0.65 + 0.5 * math.cos(x * 1.3 + 0.5)))
    pen.fill(np.array([[-1.08, 0], [1.08, 0], [1.08, 0.22], [-1.08, 0.22]]) * wide, glaze * 1.05)
    pen.fill(polar(np.linspace(0, 6.28, 20), wide) * [1, 0.18], glaze * 0.35)


def photograph(rng: np.random.Generator, specimen: Specimen, habit: Habit, size: Size) -> Image.Image:
    """One photograph of specimens of a cultivar.

    Args:
        rng: Source of every choice.
        specimen: Draws one individual.
        habit: How the individuals are set.
        size: Width and height in pixels, each at least 1.

    Returns:
        An RGB image of that size.
    """
    short = min(size)
    grounds = POND if habit == "floating" else GROUNDS
    image = grounds[rng.integers(len(grounds))](rng, size)
    if rng.random() < 0.4:
        clutter = foreign(rng, size, int(rng.integers(3, 12)), 0.7)
        image.paste(clutter, mask=clutter)
    if (depth := rng.random()) < 0.6:
        image = image.filter(ImageFilter.BoxBlur(0.05 * depth * short))

    large = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    plants = Image.new("RGBA", large)
    potted = habit == "standing" and rng.random() < 0.15
    for pen in stage(rng, habit, ImageDraw.Draw(plants), large):
        specimen(pen)
        if potted:
            pot(pen, rng)
    plants = plants.reduce(SUPERSAMPLING)

    alpha = plants.getchannel("A")
    if rng.random() < 0.7:
        shift = rng.normal(0, 0.05 * short, 2).astype(int).tolist()
        soft = alpha.reduce(4 if short >= 64 else 1).filter(ImageFilter.BoxBlur(rng.uniform(0.5, 4)))
        shadow = soft.resize(size).point([int(v * 0.55) for v in range(256)])
        image.paste((8, 8, 14), (shift[0], shift[1]), shadow)
    image.paste(plants, mask=alpha)

    if rng.random() < 0.4:
        front = foreign(rng, size, int(rng.integers(1, 5)), rng.uniform(0.2, 0.6))
        front = front.filter(ImageFilter.BoxBlur(rng.uniform(0, 0.02) * short))
        image.paste(front, mask=front.getchannel("A"))
    return expose(rng, image)


def expose(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Uneven light, focus, white balance, contrast, exposure and the noise of the sensor."""
    size, short = image.size, min(image.size)
    grain = cloudy(rng, size, 14)
    dapple = noise(rng, grain.shape[::-1], (int(rng.integers(2, 7)), int(rng.integers(2, 7))))
    light = 1 - rng.uniform(0.0, 0.6) * dapple - 0.2 * grain
    shade = Image.fromarray((np.clip(light, 0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    image = ImageChops.multiply(image, Image.merge("RGB", [shade] * 3))
    if (soft := rng.random()) < 0.35:
        image = image.filter(ImageFilter.BoxBlur(0.03 * soft * short))
    ramp, contrast = np.linspace(0, 1, 256), rng.uniform(0.65, 1.2)
    warmth = np.array([1, 1, 1]) * rng.uniform(0.95, 1.7) * (1 + rng.normal(0, 0.07, 3))
    table = np.clip(((ramp - 0.4) * contrast + 0.4)[None] * warmth[:, None], 0, 1) ** rng.uniform(0.75, 1.3)
    pixels = np.asarray(image.point((table * 255).astype(int).ravel().tolist())).astype(np.int16)
    spread = int(rng.integers(1, 16))
    pixels += rng.integers(-spread, spread + 1, pixels.shape, dtype=np.int16)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
