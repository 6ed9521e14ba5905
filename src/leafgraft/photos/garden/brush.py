"""Shapes and the pen that draws them: all the geometry which the species share.

The y axis points down, as in images; an organ (leaf, petal) grows from the origin along +x; angles are radians.
A colour is three floats, RGB within 0-1.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

Array: TypeAlias = NDArray[np.floating[Any]]

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
"""The divergence of successive organs in most spirals of plants, 137.5 degrees (Vogel 1979)."""


def hsv(hue: float, saturation: float, value: float) -> Array:
    """The colour of that hue, saturation and value; what leaves 0-1 wraps (hue) or is clipped."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1)))


def vary(rng: np.random.Generator, colour: Array, amount: float = 0.06) -> Array:
    """The colour with its brightness and each channel changed at random by about `amount`."""
    return np.clip(colour * rng.normal(1, amount) + rng.normal(0, amount / 3, 3), 0, 1)


def polar(angle: Array, radius: Array | float) -> Array:
    """Points (n, 2) at these angles and radii about the origin."""
    points: Array = np.stack([np.cos(angle), np.sin(angle)], -1) * np.asarray(radius)[..., None]
    return points


def blade(length: float, width: float, belly: float = 0.4, blunt: float = 0.5, bend: float = 0.0) -> Array:
    """The outline of a simple leaf or petal.

    Args:
        length: From base to tip along +x.
        width: At the widest place.
        belly: Where the widest place is, 0 (base) to 1 (tip).
        blunt: 0.15 for a round end, 1 and more for drawn-out points.
        bend: Sideways displacement of the tip, in lengths.

    Returns:
        Points (22, 2): eleven from base to tip on the upper side, then eleven back on the lower.
    """
    t, half = blade_profile(belly, blunt)
    middle = bend * length * t**2
    outline = np.empty((22, 2))
    outline[:11, 0] = outline[:10:-1, 0] = t * length
    outline[:11, 1] = middle - half * width
    outline[:10:-1, 1] = middle + half * width
    return outline


@lru_cache(maxsize=256)
def blade_profile(belly: float, blunt: float) -> tuple[Array, Array]:
    """Eleven places along a blade, 0-1, and the half width there as a share of the greatest width."""
    t = np.linspace(0, 1, 11)
    a, b = 2 * blunt * belly, 2 * blunt * (1 - belly)
    return t, t**a * (1 - t) ** b / (belly**a * (1 - belly) ** b) / 2


def curve(start: tuple[float, float], end: tuple[float, float], sag: float, points: int = 9) -> Array:
    """An arc (points, 2) from start to end, its middle pushed sideways by `sag` times its length."""
    t = np.linspace(0, 1, points)[:, None]
    a, b = np.array(start, float), np.array(end, float)
    side = np.array([a[1] - b[1], b[0] - a[0]])
    path: Array = a + (b - a) * t + side * sag * 4 * t * (1 - t)
    return path


def normals(path: Array) -> Array:
    """Unit normals (n, 2) of a path (n, 2)."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    return np.stack([-along[:, 1], along[:, 0]], 1)


def ribbon(path: Array, width: Array | float) -> Array:
    """The outline (2n, 2) of a band of that full width along a path (n, 2)."""
    out = normals(path) * (np.broadcast_to(width, len(path))[:, None] / 2)
    return np.concatenate([path + out, (path - out)[::-1]])


def scatter(shape: Array, sizes: Array, turns: Array, places: Array) -> Array:
    """Copies (n, k, 2) of a shape (k, 2), each with its own size (n, 2) along x and y, angle (n,) and place (n, 2)."""
    x, y = shape[:, 0] * sizes[:, :1], shape[:, 1] * sizes[:, 1:]
    c, s = np.cos(turns)[:, None], np.sin(turns)[:, None]
    return np.stack([x * c - y * s, x * s + y * c], -1) + places[:, None]


class Pen:
    """Draws shapes given in a plant's own coordinates onto a canvas in pixels.

    Attributes:
        unit: Pixels per unit of length, to choose the level of detail by.
        gain: Factor on every colour: how much light falls on this specimen.
    """

    def __init__(
        self, canvas: ImageDraw.ImageDraw, matrix: Array, origin: Array, unit: float, gain: float = 1.0
    ) -> None:
        self.canvas, self.matrix, self.origin, self.unit, self.gain = canvas, matrix, origin, unit, gain

    def at(self, x: float = 0, y: float = 0, *, scale: float = 1, turn: float = 0, flat: float = 1) -> Pen:
        """A pen whose origin lies at (x, y), turned, scaled and, across its own x axis, foreshortened to `flat`."""
        c, s = math.cos(turn) * scale, math.sin(turn) * scale
        matrix = self.matrix @ np.array([[c, -s * flat], [s, c * flat]])
        unit = self.unit * scale * math.sqrt(flat)
        return Pen(self.canvas, matrix, self.matrix @ np.array([x, y]) + self.origin, unit, self.gain)

    def mirrored(self) -> Pen:
        """A pen that exchanges left and right."""
        return Pen(self.canvas, self.matrix * [-1, 1], self.origin, self.unit, self.gain)

    def pixels(self, points: Array) -> Array:
        """Where points (..., 2) lie on the canvas."""
        return points @ self.matrix.T + self.origin

    def ink(self, colour: Array) -> tuple[int, int, int, int]:
        """The opaque pixel value of a colour under this pen's light."""
        r, g, b = (colour * (255 * self.gain)).tolist()
        return min(max(int(r), 0), 255), min(max(int(g), 0), 255), min(max(int(b), 0), 255), 255

    def fill(self, points: Array, colour: Array) -> None:
        """Fills a polygon (n, 2)."""
        self.canvas.polygon(self.pixels(points).ravel().tolist(), fill=self.ink(colour))

    def inks(self, colours: Array) -> list[tuple[int, ...]]:
        """The opaque pixel values of colours (n, 3)."""
        values = np.full((len(colours), 4), 255)
        values[:, :3] = np.clip(colours * (255 * self.gain), 0, 255)
        return [tuple(value) for value in values.tolist()]

    def fills(self, shapes: Array, colours: Array) -> None:
        """Fills polygons (n, k, 2) in colours (n, 3), the last on top."""
        for shape, ink in zip(self.pixels(shapes).reshape(len(shapes), -1).tolist(), self.inks(colours), strict=True):
            self.canvas.polygon(shape, fill=ink)

    def stroke(self, path: Array, width: float, colour: Array) -> None:
        """Draws a line along a path (n, 2), at least one pixel wide."""
        self.canvas.line(
            self.pixels(path).ravel().tolist(), fill=self.ink(colour), width=max(1, round(width * self.unit))
        )

    def strokes(self, paths: Array, width: float, colour: Array) -> None:
        """Draws many lines (n, points, 2) of one width and colour."""
        ink, thick = self.ink(colour), max(1, round(width * self.unit))
        for path in self.pixels(paths).reshape(len(paths), -1).tolist():
            self.canvas.line(path, fill=ink, width=thick)

    def dots(self, points: Array, radius: float, colours: Array) -> None:
        """Draws discs at points (n, 2) in colours (n, 3)."""
        r = max(radius * self.unit, 0.6)
        for (x, y), ink in zip(self.pixels(points).tolist(), self.inks(colours), strict=True):
            self.canvas.ellipse((x - r, y - r, x + r, y + r), fill=ink)

    def petals(self, shapes: Array, colours: Array, fold: float = 0.06, edge: float = 0.0) -> None:
        """Draws a crowd of petals, each folded along its middle.

        Args:
            shapes: Outlines (n, 2k, 2) as for `leaf`, the last on top.
            colours: (n, 3).
            fold: Difference in brightness of a half from the mean.
            edge: Width of the dark line that sets each off from the next; 0 for none.
        """
        whole, k = self.pixels(shapes), shapes.shape[1] // 2
        halves = np.concatenate([whole[:, :k], (whole[:, k:] + whole[:, k - 1 :: -1]) / 2], 1)
        count, thick = len(shapes), max(1, round(edge * self.unit))
        dark, light, line = self.inks(colours * (1 - fold)), self.inks(colours * (1 + fold)), self.inks(colours * 0.6)
        outlines, tops = whole.reshape(count, -1).tolist(), halves.reshape(count, -1).tolist()
        for i in range(count):
            self.canvas.polygon(outlines[i], fill=dark[i])
            self.canvas.polygon(tops[i], fill=light[i])
            if edge:
                self.canvas.line(outlines[i], fill=line[i], width=thick)

    def leaf(self, outline: Array, colour: Array, fold: float = 0.12, veins: int = 0) -> None:
        """Draws a leaf or petal folded along its midrib, one half lighter than the other.

        Args:
            outline: Points (2n, 2): base to tip on one side, tip to base on the other, paired across the midrib.
            colour: Of its surface.
            fold: Difference in brightness of a half from the mean.
            veins: Pairs of lateral veins to draw beside the midrib.
        """
        n = len(outline) // 2
        whole = self.pixels(outline)
        upper, lower = whole[:n], whole[n:][::-1]
        midrib = (upper + lower) / 2
        self.canvas.polygon(whole.ravel().tolist(), fill=self.ink(colour * (1 - fold)))
        if self.unit * float(outline[n - 1, 0]) < 7:
            return
        self.canvas.polygon(
            [*upper.ravel().tolist(), *midrib[::-1].ravel().tolist()], fill=self.ink(colour * (1 + fold))
        )
        if self.unit * float(outline[n - 1, 0]) < 16:
            return
        ink, thick = self.ink(colour * 0.75), max(1, round(0.011 * self.unit))
        self.canvas.line(midrib.ravel().tolist(), fill=ink, width=thick)
        for k in np.linspace(1, n - 4, veins).astype(int).tolist():
            for edge in (upper, lower):
                tip = midrib[k] * 0.15 + edge[k + 2] * 0.85
                self.canvas.line([*midrib[k].tolist(), *tip.tolist()], fill=ink, width=thick)


Specimen: TypeAlias = Callable[[Pen], None]
"""Draws one individual of a cultivar, different at each call."""
