"""The species known by their leaves and habit.

Each function chooses a cultivar and returns what draws its individuals: a plant of height 1 that stands on the origin,
or (maple, oak) a leafy twig of about radius 1 around it.
"""

from __future__ import annotations

import math

import numpy as np

from leafgraft.photos.garden.brush import (
    GOLDEN_ANGLE,
    Array,
    Pen,
    Specimen,
    blade,
    curve,
    hsv,
    normals,
    polar,
    ribbon,
    scatter,
    vary,
)
from leafgraft.photos.garden.lsystem import rewrite, walk


def season(rng: np.random.Generator) -> Array:
    """The colour of a deciduous leaf at some time of the year: mostly green, else yellow, orange, red or brown."""
    if rng.random() < 0.5:
        return hsv(rng.uniform(0.2, 0.36), rng.uniform(0.45, 0.8), rng.uniform(0.3, 0.65))
    return hsv(rng.uniform(-0.02, 0.14), rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.9))


def fern(rng: np.random.Generator) -> Specimen:
    """Arching fronds whose apex puts out a pair of pinnae again and again: A -> F[+P][-P]A."""
    green = hsv(rng.uniform(0.2, 0.36), rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.65))
    if rng.random() < 0.2:
        green = hsv(rng.uniform(0.07, 0.13), rng.uniform(0.4, 0.7), rng.uniform(0.4, 0.7))
    pairs, wide, teeth = int(rng.integers(13, 21)), rng.uniform(0.22, 0.36), int(rng.integers(5, 9))
    program = rewrite("A", {"A": "F[+P][-P]A"}, pairs)
    t = np.linspace(0, 1, 2 * teeth + 1)
    half = (1 - t) ** 0.6 * np.where(np.arange(2 * teeth + 1) % 2, 1.0, 0.35)
    pinna = np.concatenate([np.stack([t, -half], 1), np.stack([t, half], 1)[::-1]])

    def frond(pen: Pen, heading: float, length: float) -> None:
        shrink, tone = 0.955, vary(rng, green, 0.12)
        step = length * (1 - shrink) / (1 - shrink**pairs)
        droop = rng.uniform(0.02, 0.07) * (1 if math.cos(heading) > 0 else -1)
        skeleton = walk(program, rng, heading=heading, step=step, angle=1.15, shrink=shrink, bend=droop)
        rachis = np.array([[0, 0], *[s[2:4] for s in skeleton.segments]])
        pen.stroke(rachis, 0.012, tone * 0.7)
        sites = np.array(skeleton.organs["P"])
        up = (np.arange(2 * pairs) // 2 + 1) / pairs
        size = length * wide * (1 - up) ** 0.75 * np.minimum(1, 0.45 + 3 * up) + 0.01
        shapes = scatter(pinna, np.stack([size, size * 0.13 + step * 0.22], 1), sites[:, 2], sites[:, :2])
        pen.fills(shapes, tone * np.tile([[0.86], [1.12]], (pairs, 1)))

    def crozier(pen: Pen, heading: float, height: float) -> None:
        turns = np.linspace(0, 9, 30)
        coil = polar(turns - heading, 0.09 * height * np.exp(-0.16 * turns)) * [1, -1]
        path = np.concatenate(
            [np.linspace([0, 0], [height * math.cos(heading), height * math.sin(heading)], 6)[:-1], coil]
        )
        path[5:] += path[4] - coil[0]
        pen.stroke(path, 0.022, vary(rng, green))

    def draw(pen: Pen) -> None:
        number = int(rng.integers(3, 8 if pen.unit > 160 else 5))
        spread = rng.uniform(0.5, 1.25)
        for lean in rng.permutation(np.linspace(-spread, spread, number)):
            frond(pen, -math.pi / 2 + lean + rng.normal(0, 0.1), rng.uniform(0.75, 1.15))
        if rng.random() < 0.25:
            crozier(pen, -math.pi / 2 + rng.normal(0, 0.3), rng.uniform(0.3, 0.6))

    return draw


def maple_outline(lobes: int, sinus: float, slim: float) -> tuple[Array, Array]:
    """A palmate leaf along +x: its outline (n, 2) and the tips (lobes, 2) to which the main veins run."""
    angles = np.linspace(-1, 1, lobes) * (2.0 if lobes == 5 else 2.3)
    lengths = 1 - 0.52 * np.abs(np.linspace(-1, 1, lobes)) ** 2.2
    a, r = [], []
    for k, (angle, length) in enumerate(zip(angles, lengths, strict=True)):
        for offset, reach in (
            (-0.26, 0.66),
            (-0.13, 0.68),
            (-0.10, 0.83),
            (0, 1),
            (0.10, 0.83),
            (0.13, 0.68),
            (0.26, 0.66),
        ):
            a.append(angle + offset * slim / (0.6 + 0.4 * length))
            r.append(length * reach)
        if k < lobes - 1:
            a.append((angle + angles[k + 1]) / 2)
            r.append(sinus * min(length, lengths[k + 1]))
    return np.concatenate([[[0, 0]], polar(np.array(a), np.array(r))]), polar(angles, lengths)


def maple(rng: np.random.Generator) -> Specimen:
    """Palmate toothed leaves, in pairs on the twig or fallen."""
    japanese = rng.random() < 0.2
    outline, tips = (
        maple_outline(7, 0.3, 0.75) if japanese else maple_outline(5, rng.uniform(0.42, 0.58), rng.uniform(0.95, 1.25))
    )
    colour, bark = season(rng), hsv(rng.uniform(0.0, 0.1), 0.35, rng.uniform(0.2, 0.4))
    fallen = rng.random() < 0.35

    def leaf(pen: Pen) -> None:
        tone, stalk = vary(rng, colour, 0.12), rng.uniform(0.3, 0.7)
        pen.stroke(curve((0, 0), (stalk, 0), rng.normal(0, 0.08), 5), 0.03, bark * 1.2)
        site = pen.at(stalk, 0, flat=rng.uniform(0.65, 1))
        shape = outline * (1 + rng.normal(0, 0.02, outline.shape))
        site.fill(shape, tone)
        site.fill(shape[: len(shape) // 2 + 1], tone * rng.uniform(0.84, 1.12))
        site.strokes(np.stack([tips * 0, tips * 0.92], 1), 0.02, tone * 0.7 + 0.06)
        roots = np.concatenate([tips * 0.4, tips * 0.62])
        for side in (-0.5, 0.5):
            aside = roots @ np.array([[math.cos(side), math.sin(side)], [-math.sin(side), math.cos(side)]])
            site.strokes(np.stack([roots, roots + aside * 0.4], 1), 0.01, tone * 0.8 + 0.03)

    def draw(pen: Pen) -> None:
        if fallen:
            turn = rng.uniform(0, 6.3)
            leaf(pen.at(-0.7 * math.cos(turn), -0.7 * math.sin(turn), turn=turn, scale=1.15))
            return
        twig(pen.at(scale=1.15), rng, leaf, bark, "F[+L][-L]X", rng.uniform(0.65, 0.95))

    return draw


def oak(rng: np.random.Generator) -> Specimen:
    """Long leaves with round lobes, one by one along the twig, at times with acorns."""
    lobes, deep, wide = int(rng.integers(3, 6)), rng.uniform(0.4, 0.62), rng.uniform(0.55, 0.75)
    colour, bark = season(rng), hsv(rng.uniform(0.03, 0.1), 0.3, rng.uniform(0.2, 0.4))
    acorns, fallen = rng.random() < 0.35, rng.random() < 0.35
    t = np.linspace(0, 1, 12 * lobes)
    wave = 1 - deep + deep * np.abs(np.sin(math.pi * (lobes * t**0.95))) ** 0.7
    envelope = (t**0.75 * (1 - t) ** 0.3) / 0.70
    wave = wave + (1 - wave) * np.clip((t - 0.86) / 0.14, 0, 1)
    reach = t + 0.10 * (wave - 0.8) * np.sin(math.pi * t)
    half = envelope * wave * wide / 2
    outline = np.concatenate([np.stack([reach, -half], 1), np.stack([reach, half], 1)[::-1]])

    def leaf(pen: Pen) -> None:
        tone, n = vary(rng, colour, 0.12), len(t)
        bent = outline + np.stack([np.zeros(2 * n), rng.normal(0, 0.1) * outline[:, 0] ** 2], 1)
        pen.stroke(np.array([[-0.12, 0], [0.05, 0]]), 0.025, bark * 1.2)
        site = pen.at(flat=rng.uniform(0.65, 1))
        site.leaf(bent, tone, rng.uniform(0.03, 0.14))
        tips = (np.minimum((np.arange(lobes) + 0.55) / lobes, 0.9) * n).astype(int)
        roots = np.maximum(tips - n // (2 * lobes) - 2, 0)
        middle = (bent[roots] + bent[-1 - roots]) / 2
        for edge in (bent[tips], bent[-1 - tips]):
            site.strokes(np.stack([middle, middle * 0.2 + edge * 0.8], 1), 0.012, tone * 0.72 + 0.03)

    def acorn(pen: Pen) -> None:
        pen.leaf(blade(0.34, 0.22, 0.45, 0.3), hsv(0.1, 0.6, 0.55), 0.15)
        pen.fill(polar(np.linspace(1.57, 4.71, 9), 0.13) * [0.8, 1] + [0.1, 0], hsv(0.09, 0.45, 0.38))

    def draw(pen: Pen) -> None:
        if fallen:
            turn = rng.uniform(0, 6.3)
            leaf(pen.at(-0.85 * math.cos(turn), -0.85 * math.sin(turn), turn=turn, scale=1.7))
        else:
            twig(pen.at(scale=1.1), rng, leaf, bark, "F[+L]F[-L]X", rng.uniform(1.0, 1.35))
        if acorns:
            for _ in range(rng.integers(1, 4)):
                acorn(pen.at(*rng.normal(0, 0.35, 2), turn=rng.uniform(0.8, 2.3), scale=1.1))

    return draw


def twig(pen: Pen, rng: np.random.Generator, leaf: Specimen, bark: Array, rule: str, size: float) -> None:
    """Draws a branching twig across the origin, grown by the rule for its apex X, with leaves at L and at the ends."""
    heading = rng.uniform(0, 6.3)
    program = rewrite("FX", {"X": rule}, int(rng.integers(2, 4)))
    skeleton = walk(program, rng, heading=heading, step=0.55, angle=0.9, shrink=0.85, bend=rng.normal(0, 0.08))
    site = pen.at(-0.9 * math.cos(heading), -0.9 * math.sin(heading))
    back = np.array([[-2.5 * math.cos(heading), -2.5 * math.sin(heading)], [0, 0]])
    site.stroke(back, 0.06, bark)
    for x0, y0, x1, y1, length in skeleton.segments:
        site.stroke(np.array([[x0, y0], [x1, y1]]), 0.09 * length, bark)
    for x, y, turn, _ in rng.permutation(skeleton.organs.get("L", []) + skeleton.organs.get("X", [])):
        leaf(site.at(x, y, turn=turn + rng.normal(0, 0.2), scale=size * rng.uniform(0.75, 1.15)))


def bamboo(rng: np.random.Generator) -> Specimen:
    """Straight jointed culms with whorls of slim leaves at the nodes."""
    hue, saturation, value = (
        (0.25, 0.6, 0.55),
        (0.3, 0.5, 0.4),
        (0.15, 0.6, 0.75),
        (0.1, 0.45, 0.5),
        (0.08, 0.3, 0.2),
    )[rng.integers(5)]
    culm = hsv(hue + rng.normal(0, 0.02), saturation, value * rng.uniform(0.85, 1.15))
    green = hsv(rng.uniform(0.18, 0.34), rng.uniform(0.4, 0.75), rng.uniform(0.35, 0.65))
    girth, internode, leafy = rng.uniform(0.05, 0.11), rng.uniform(0.16, 0.3), rng.uniform(0.25, 0.8)
    leaf = blade(1, 1, 0.3, 0.6, rng.normal(0, 0.03))

    def spray(pen: Pen) -> None:
        pen.stroke(curve((0, 0), (0.22, 0.02), 0.1), 0.008, culm * 0.8)
        n = int(rng.integers(3, 7))
        sizes = rng.uniform([0.15, 0.03], [0.32, 0.045], (n, 2))
        places = np.stack([rng.uniform(0.05, 0.22, n), np.zeros(n)], 1)
        leaves = scatter(leaf, sizes, rng.normal(0.25, 0.5, n), places)
        pen.petals(leaves, green * rng.normal(1, 0.12, (n, 1)), 0.1)

    def draw(pen: Pen) -> None:
        lean = rng.normal(0, 0.12)
        path = curve((0, 0.5), (lean, -1.4), rng.normal(0, 0.02), 15)
        tone, width = vary(rng, culm, 0.08), girth * rng.uniform(0.75, 1.2)
        for strip in np.linspace(-0.4, 0.4, 5):
            light = 0.62 + 0.55 * math.cos((strip + 0.15) * 2.6)
            pen.fill(ribbon(path + np.array([strip * width, 0]), width * 0.22), tone * light)
        for y in np.arange(0.2 + rng.uniform(0, internode), -1.35, -internode):
            x = float(np.interp(-y, -path[:, 1], path[:, 0]))
            node = np.array([[x - width * 0.56, y], [x, y + width * 0.08], [x + width * 0.56, y]])
            pen.stroke(node, width * 0.16, tone * 0.5)
            pen.stroke(node - [0, width * 0.16], width * 0.1, np.minimum(tone * 1.3 + 0.1, 1))
            if rng.random() < leafy * min(1, 0.4 + pen.unit / 500):
                left = bool(rng.random() < 0.5)
                spray(pen.at(x, y, turn=(math.pi if left else 0) + rng.normal(0, 0.4), scale=rng.uniform(0.8, 1.3)))

    return draw


def cactus(rng: np.random.Generator) -> Specimen:
    """Ribbed columns or globes, or flat joints, all set with spines in rows."""
    green = hsv(rng.uniform(0.24, 0.45), rng.uniform(0.2, 0.55), rng.uniform(0.3, 0.62))
    spine, blossom = (
        hsv(0.12, rng.uniform(0.05, 0.4), rng.uniform(0.7, 1)),
        hsv(rng.choice([0.93, 0.13, 0.02]), 0.7, 0.95),
    )
    form, ribs, flowering = (
        rng.choice(["column", "globe", "joints"], p=[0.45, 0.3, 0.25]),
        int(rng.integers(6, 12)),
        rng.random() < 0.3,
    )

    def spines(pen: Pen, sites: Array, length: float) -> None:
        roots = np.repeat(sites, 3 if pen.unit > 220 else 1, axis=0)
        pen.strokes(np.stack([roots, roots + polar(rng.uniform(0, 6.3, len(roots)), length)], 1), 0.004, spine)

    def flower(pen: Pen) -> None:
        for a in np.linspace(-2.6, -0.5, 7):
            pen.at(turn=float(a)).leaf(blade(0.09, 0.045, 0.6, 0.4), vary(rng, blossom), 0.1)

    def ribbed(pen: Pen, path: Array, radius: Array) -> None:
        side = normals(path) * radius[:, None]
        edges = np.sin(np.linspace(-math.pi / 2, math.pi / 2, ribs + 1))
        for k in range(ribs):
            left, right = path + side * edges[k], path + side * edges[k + 1]
            middle, light = (left + right) / 2, 0.75 + 0.4 * math.sin(math.pi * (k + 0.8) / ribs)
            pen.fill(np.concatenate([left, middle[::-1]]), green * light * 0.78)
            pen.fill(np.concatenate([middle, right[::-1]]), green * light * 1.12)
            spines(pen, middle[1:-1], 0.028)

    def column(pen: Pen, path: Array, radius: float) -> None:
        along = np.linspace(0, 1, len(path))
        ribbed(pen, path, radius * np.sqrt(np.clip(1 - (np.clip(along - 0.88, 0, 1) / 0.121) ** 2, 0, 1)))

    def draw(pen: Pen) -> None:
        if form == "column":
            radius, top = rng.uniform(0.07, 0.13), (rng.normal(0, 0.04), -rng.uniform(0.8, 1.1))
            for side in rng.permutation([-1, 1])[: rng.integers(0, 3)]:
                y, out, rise = -rng.uniform(0.25, 0.5), radius * rng.uniform(2.2, 3), rng.uniform(0.2, 0.45)
                bow = polar(np.linspace(math.pi / 2, 0, 7), out) * [side, 1] + [0, y - out]
                tip = np.linspace(bow[-1], bow[-1] - [0, rise], 8)[1:]
                column(pen, np.concatenate([bow, tip]), radius * 0.7)
            column(pen, np.concatenate([[[0, 0.4]], curve((0, 0), top, 0, 17)]), radius)
            if flowering:
                flower(pen.at(*top))
        elif form == "globe":
            tall = rng.uniform(0.5, 0.8)
            along = np.linspace(-1, 1, 15)
            path = np.stack([np.zeros(15), -tall / 2 - along * tall / 2], 1)
            ribbed(pen, path, rng.uniform(0.3, 0.42) * np.sqrt(1 - along**2 * 0.995))
            for x in rng.uniform(-0.12, 0.12, 3 * flowering):
                flower(pen.at(x, -tall * 0.97))
        else:
            joint(pen, -math.pi / 2 + rng.normal(0, 0.1), rng.uniform(0.38, 0.5), 3)

    def joint(pen: Pen, heading: float, length: float, more: int) -> None:
        site, tone = pen.at(turn=heading), vary(rng, green, 0.08)
        shape = blade(length, length * 0.68, 0.58, 0.32)
        site.fill(shape * 1.02, tone * 0.6)
        site.leaf(shape, tone, 0.04)
        k = np.arange(20)
        areoles = polar(k * GOLDEN_ANGLE, np.sqrt(k / 20) * 0.9) * [length * 0.46, length * 0.31] + [length * 0.52, 0]
        spines(site, areoles, 0.035)
        if more:
            for lean in rng.permutation([-0.65, 0.0, 0.65])[: rng.integers(1, 3)]:
                away = lean * 1.2
                base = (length * (0.55 + 0.38 * math.cos(away)), length * 0.32 * math.sin(away))
                joint(site.at(*base), lean + rng.normal(0, 0.15), length * rng.uniform(0.65, 0.85), more - 1)
        elif flowering:
            flower(site.at(length * 0.97, 0, turn=math.pi / 2))

    return draw


def pineapple(rng: np.random.Generator) -> Specimen:
    """A fruit of scales in crossing spirals under a crown of stiff blades, in a rosette of longer ones."""
    fruit, green = (
        hsv(rng.uniform(0.06, 0.15), rng.uniform(0.55, 0.8), rng.uniform(0.5, 0.85)),
        hsv(rng.uniform(0.25, 0.42), 0.4, 0.5),
    )
    leaf = blade(1, 1, 0.3, 0.55, rng.normal(0, 0.1))
    scale = np.array([[-1, 0], [0, -0.7], [1, 0], [0, 0.7]])

    def draw(pen: Pen) -> None:
        rosette = rng.permutation(np.linspace(-math.pi, 0, 12)) + rng.normal(0, 0.1, 12)
        crown = np.concatenate([np.linspace(-2.9, -0.24, 10), np.linspace(-2.2, -0.9, 7)])
        for turns, y, shortest, longest in ((rosette, 0.0, 0.5, 0.8), (crown, -0.62, 0.28, 0.42)):
            n = len(turns)
            sizes = rng.uniform([shortest, 0.055], [longest, 0.075], (n, 2))
            blades = scatter(leaf, sizes, turns, np.tile([0, y], (n, 1)))
            pen.petals(blades, green * rng.normal(1, 0.08, (n, 1)), 0.12)
        body = polar(np.linspace(0, 6.28, 24), 1.0) * [0.2, 0.3] - [0, 0.4]
        pen.fill(body, fruit * 0.5)
        for row in range(9):
            high = 0.9 - row * 0.225
            longitude = (np.arange(-3, 3.5) + 0.5 * (row % 2))[: 7 - row % 2] * 0.5
            squeeze = np.cos(longitude)
            places = np.stack([0.2 * np.sin(longitude) * math.sqrt(1 - high**2), 0 * squeeze - 0.4 + 0.29 * high], 1)
            sizes = np.stack([0.055 * squeeze + 0.008, 0 * squeeze + 0.05], 1)
            tones = fruit * (0.6 + 0.45 * squeeze[:, None]) * rng.normal(1, 0.1, (len(squeeze), 1))
            pen.fills(scatter(scale, sizes, 0 * squeeze, places), tones)

    return draw
