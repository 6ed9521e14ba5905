"""The species known by their blossoms.

Each function chooses a cultivar and returns what draws its individuals: a blossom of radius 1 about the origin on a
stem that runs down out of sight, or (lavender, tulip) a plant of height 1 that stands on the origin.
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
    polar,
    ribbon,
    scatter,
    vary,
)

BLOSSOM_HUES = (
    (0.98, 0.85, 0.75),
    (0.94, 0.45, 0.95),
    (0.12, 0.12, 0.97),
    (0.14, 0.75, 0.97),
    (0.06, 0.75, 0.95),
    (0.82, 0.55, 0.72),
    (0.97, 0.25, 0.97),
    (0.99, 0.90, 0.50),
)
"""Garden colours common to the bred flowers, so that colour alone does not tell a rose from a dahlia."""


def blossom_colour(rng: np.random.Generator) -> Array:
    """One of the garden colours, slightly varied."""
    hue, saturation, value = BLOSSOM_HUES[rng.integers(len(BLOSSOM_HUES))]
    return hsv(hue + rng.normal(0, 0.012), saturation * rng.uniform(0.8, 1.15), value * rng.uniform(0.85, 1.05))


def leaf_green(rng: np.random.Generator) -> Array:
    """A green of leaves, from yellowish to bluish."""
    return hsv(rng.uniform(0.22, 0.38), rng.uniform(0.35, 0.75), rng.uniform(0.28, 0.62))


def stalk(pen: Pen, rng: np.random.Generator, width: float, green: Array) -> Array:
    """Draws a stem from the blossom down out of the picture and returns its path (9, 2)."""
    path = curve((0, 0), (rng.normal(0, 0.5), 5.0), rng.normal(0, 0.06))
    pen.fill(ribbon(path, width), green * 0.85)
    pen.fill(ribbon(path + np.array([width * 0.18, 0]), width * 0.35), green * 1.1)
    return path


def facing(pen: Pen, rng: np.random.Generator, least: float) -> tuple[Pen, float]:
    """A pen for a blossom that looks some way aside: foreshortened to at least `least`; and how much it is."""
    flat = rng.uniform(least, 1)
    return pen.at(turn=rng.normal(0, 0.5), flat=flat), flat


def sunflower(rng: np.random.Generator) -> Specimen:
    """Ray florets around a disc whose florets lie at the golden angle, r ~ sqrt(n) (Vogel 1979)."""
    hue, saturation, value = (
        (0.13, 0.92, 0.96),
        (0.13, 0.85, 0.93),
        (0.10, 0.90, 0.95),
        (0.16, 0.50, 0.96),
        (0.03, 0.85, 0.55),
        (0.12, 0.20, 0.97),
    )[rng.integers(6)]
    petal, green = hsv(hue, saturation, value), leaf_green(rng)
    ray = blade(1, 1, 0.45, 0.55, rng.normal(0, 0.08))
    disc, rays = rng.uniform(0.36, 0.58), int(rng.integers(15, 25))
    rim, heart = hsv(rng.uniform(0.07, 0.12), 0.75, rng.uniform(0.35, 0.7)), hsv(0.08, 0.6, rng.uniform(0.12, 0.3))

    def draw(pen: Pen) -> None:
        age = rng.random()
        path = stalk(pen, rng, 0.16, green)
        for k in rng.choice(np.arange(2, 8), rng.integers(1, 4), replace=False):
            side = rng.choice([0.25, math.pi - 0.25]) + rng.normal(0, 0.3)
            site = pen.at(*path[k], turn=side)
            site.leaf(
                blade(rng.uniform(0.9, 1.5), rng.uniform(0.6, 0.9), 0.3, 0.45, rng.normal(0, 0.2)), green, veins=4
            )
        head, flat = facing(pen, rng, 0.4)
        head = head.at(turn=rng.uniform(0, 6.3)) if flat > 0.7 else head
        for layer in range(3 if head.unit > 90 else 2):
            turns = (np.arange(rays) + layer / 2.4) * 2 * math.pi / rays
            turns = turns[rng.random(rays) > 0.25 * age]
            n = len(turns)
            length = (1.02 - disc * 0.85) * (1 - 0.06 * layer) * (1 - 0.25 * age)
            sizes = rng.normal(1, [0.06, 0.12], (n, 2)) * [length, 0.24]
            rays_of_layer = scatter(ray, sizes, turns + rng.normal(0, 0.1, n), polar(turns, disc * 0.85))
            head.petals(rays_of_layer, petal * rng.uniform(0.9, 1.1, (n, 1)) * (0.75 + 0.13 * layer))
        florets = int(np.clip(head.unit * 1.4, 30, 200))
        k = np.arange(florets)
        ring = polar(np.linspace(0, 6.28, 24), disc)
        head.fill(ring, heart)
        depth = np.sqrt(k / florets)
        tones = heart + (rim - heart) * np.clip((depth - 0.35 * age) * 1.5, 0, 1)[:, None]
        tones = tones * rng.uniform(0.75, 1.3, (florets, 1))
        head.dots(polar(k * GOLDEN_ANGLE, disc * depth), 0.75 * disc / math.sqrt(florets), tones)

    return draw


def compound_leaf(pen: Pen, rng: np.random.Generator, green: Array) -> None:
    """A rose's leaf: three to seven toothed leaflets on a stalk along +x, one of them at the end."""
    pairs = int(rng.integers(1, 4))
    pen.stroke(np.array([[0, 0], [0.35 * (pairs + 1), 0]]), 0.03, green * 0.8)
    n = 2 * pairs + 1
    turns = np.append(np.tile([-1.1, 1.1], pairs), 0) + rng.normal(0, 0.1, n)
    places = np.stack([0.35 * (np.arange(n) // 2 + 1), np.zeros(n)], 1)
    leaflet = blade(0.5, 0.32, 0.45, 0.45)
    leaflet[1:-1:2] *= 0.95
    pen.petals(scatter(leaflet, np.ones((n, 2)), turns, places), green * rng.normal(1, 0.08, (n, 1)), 0.12)


def rose(rng: np.random.Generator) -> Specimen:
    """Broad petals rolled at the rim, at the golden angle around a tight whorl."""
    colour, green = blossom_colour(rng), leaf_green(rng)
    petals, heart = int(rng.integers(14, 26)), vary(rng, colour, 0.1)

    def draw(pen: Pen) -> None:
        path = stalk(pen, rng, 0.1, green)
        for k in rng.choice(np.arange(1, 8), rng.integers(2, 5), replace=False):
            side = rng.choice([0.0, math.pi]) + rng.normal(0, 0.5)
            compound_leaf(pen.at(*path[k], turn=side, scale=rng.uniform(0.7, 1.1)), rng, green)
        open_, (head, flat) = rng.uniform(0.55, 1), facing(pen, rng, 0.5)
        for a in np.arange(5) * 1.2566 + rng.uniform(0, 6):
            head.at(turn=float(a)).leaf(blade(1.1, 0.3, 0.3, 0.7), green)
        spin, lift = rng.uniform(0, 6.3), 0.55 * (1 - flat)
        n = int(petals * min(1, 0.45 + head.unit / 250))
        inner, phi = np.arange(n) / n, np.linspace(-1.0, 1.0, 11)
        radius = open_ + (0.14 - open_) * inner**0.85
        rim = radius[:, None] * (1 - 0.2 * phi**4 - 0.05 * np.exp(-((phi / 0.2) ** 2)) + rng.normal(0, 0.015, (n, 11)))
        around = spin + np.arange(n)[:, None] * GOLDEN_ANGLE + 0.95 * phi
        # Each petal in four layers: its shadow on those below, its blade, its rolled rim, the hollow inside.
        bands = ((1.04, 0.2, 0.55), (1.0, 0.2, 1.0), (1.0, 0.84, 1.25), (0.66, 0.2, 0.8))
        layers = [np.concatenate([polar(around, rim * a), polar(around, rim * b)[:, ::-1]], 1) for a, b, _ in bands]
        places = np.stack([np.zeros(n), -lift * inner], 1)[:, None, None]
        shapes = (np.stack(layers, 1) + places).reshape(4 * n, 22, 2)
        tones = (colour + (heart - colour) * inner[:, None]) * (1 - 0.3 * inner[:, None]) * rng.normal(1, 0.04, (n, 1))
        head.fills(shapes, (tones[:, None] * np.array([band[2] for band in bands])[:, None]).reshape(4 * n, 3))
        turns = np.linspace(0, 9, 18)
        head.at(0, -lift).stroke(polar(turns + spin, 0.015 + 0.012 * turns), 0.02, colour * 0.5)

    return draw


def dahlia(rng: np.random.Generator) -> Specimen:
    """Very many quilled petals in golden-angle spirals, smaller and closer towards the middle, without an open disc."""
    colour, green = blossom_colour(rng), leaf_green(rng)
    two_coloured, tip = rng.random() < 0.25, blossom_colour(rng)
    count, blunt, slim = int(rng.integers(50, 95)), rng.uniform(0.25, 0.6), rng.uniform(0.75, 1.3)
    cup, shape = rng.uniform(0.1, 0.4), blade(1, 1, 0.62, blunt)

    def draw(pen: Pen) -> None:
        path = stalk(pen, rng, 0.1, green)
        for k in rng.choice(np.arange(1, 8), rng.integers(1, 4), replace=False):
            side = rng.choice([0.3, math.pi - 0.3]) + rng.normal(0, 0.3)
            pen.at(*path[k], turn=side).leaf(blade(rng.uniform(0.8, 1.3), 0.5, 0.35, 0.5), green, veins=4)
        head, flat = facing(pen, rng, 0.5)
        spin, lift = rng.uniform(0, 6.3), cup * (1 - flat) * 2
        petals = int(count * min(1, 0.35 + head.unit / 180))
        i = np.arange(petals)
        reach, turns = np.sqrt(1 - i / petals), spin + i * GOLDEN_ANGLE
        length = 0.16 + 0.36 * reach
        sizes = np.stack([length * 1.05, (0.08 + 0.18 * reach) * slim], 1)
        bases = polar(turns, np.maximum(reach - length, 0)) - np.stack([0 * reach, lift * (1 - reach)], 1)
        shade = (0.62 + 0.4 * reach**0.7) * rng.uniform(0.92, 1.08, petals)
        shapes, tones = scatter(shape, sizes, turns, bases), colour * shade[:, None]
        if two_coloured:
            ends = scatter(shape, sizes * [0.42, 0.7], turns, bases + polar(turns, length * 0.62))
            shapes = np.stack([shapes, ends], 1).reshape(2 * petals, -1, 2)
            tones = np.stack([tones, tip * shade[:, None]], 1).reshape(2 * petals, 3)
        head.petals(shapes, tones, edge=0.012)

    return draw


def waterlily(rng: np.random.Generator) -> Specimen:
    """A cup of pointed petals in tiers around yellow stamens, among round notched pads on the water."""
    colour = blossom_colour(rng)
    pad, tilt = hsv(rng.uniform(0.2, 0.4), rng.uniform(0.35, 0.7), rng.uniform(0.25, 0.55)), rng.uniform(0.45, 0.95)
    rust = hsv(rng.uniform(0.0, 0.08), 0.6, 0.4)

    def floating_pad(pen: Pen, x: float, y: float, size: float) -> None:
        site = pen.at(x, y, scale=size, flat=math.sin(tilt)).at(turn=rng.uniform(0, 6.3))
        tone = vary(rng, pad + (rust - pad) * float(rng.random() < 0.2) * 0.7, 0.1)
        around = np.linspace(0.16, 6.12, 26)
        edge = np.concatenate([polar(around, 1 + rng.normal(0, 0.012, 26)), [[0.08, 0.0]]])
        site.fill(edge * 1.03, tone * 0.5)
        site.fill(edge, tone)
        veins = polar(np.linspace(0.4, 5.9, 11), 0.85)
        site.strokes(np.stack([veins * 0.05, veins], 1), 0.015, tone * 1.25)

    def draw(pen: Pen) -> None:
        for _ in range(rng.integers(2, 5)):
            away = rng.uniform(0, 6.3)
            distance = rng.uniform(0.5, 2.4)
            x, y = math.cos(away) * distance * 1.3, math.sin(away) * distance * math.sin(tilt) + 0.35
            floating_pad(pen, x, y, rng.uniform(0.7, 1.3))
        if rng.random() < 0.12:
            return
        wide = rng.uniform(0.5, 1.1)
        petals = list[tuple[float, float, float, float]]()
        for tier, (number, rise, length) in enumerate(((9, 0.35, 1.0), (8, 0.75, 0.9), (6, 1.15, 0.75))):
            for k in range(number):
                around = (k + 0.5 * (tier % 2)) * 2 * math.pi / number + rng.normal(0, 0.1)
                petals.append((math.sin(around) - tier * 0.02, around, rise / wide * 0.8, length * rng.normal(1, 0.04)))
        petals.sort()
        halfway = len(petals) // 2
        for i, (_, around, rise, length) in enumerate(petals):
            rise = min(rise, 1.45)
            x = length * math.cos(rise) * math.cos(around)
            y = length * (math.cos(rise) * math.sin(around) * math.sin(tilt) - math.sin(rise) * math.cos(tilt))
            reach = math.hypot(x, y) + 0.05
            tone = colour * (rng.uniform(0.94, 1.06) * (0.72 + 0.28 * min(reach, 1)))
            shape = blade(reach, 0.36 * length, 0.5, 0.5, rng.normal(0, 0.05))
            pen.at(turn=math.atan2(y, x)).petals(shape[None], tone[None], edge=0.012)
            if i == halfway:
                tips = rng.normal(0, 0.13, (26, 2)) * [1, math.sin(tilt)] - [0, 0.16]
                pen.dots(tips, 0.035, hsv(0.13, 0.85, 0.9) * rng.uniform(0.7, 1.1, (26, 1)))

    return draw


BUDS = np.array([-1.0, 1.0, -0.5, 0.5])
"""Where the buds of a whorl stand across the stem."""


def lavender(rng: np.random.Generator) -> Specimen:
    """Thin square stems above narrow grey leaves, each ended by a spike of small buds in whorls."""
    hue = rng.choice([0.70, 0.74, 0.77, 0.8, 0.92])
    colour = hsv(hue, rng.uniform(0.1, 0.6), rng.uniform(0.55, 0.9))
    green = hsv(rng.uniform(0.2, 0.36), rng.uniform(0.15, 0.4), rng.uniform(0.4, 0.6))
    leaf = blade(1, 1, 0.5, 0.4, 0.1)
    spike, stems = rng.uniform(0.22, 0.42), int(rng.integers(4, 12))

    def draw(pen: Pen) -> None:
        turns, sizes = rng.normal(-1.57, 0.5, 14), rng.uniform([0.2, 0.02], [0.45, 0.035], (14, 2))
        roots = rng.normal(0, [0.05, 0.005], (14, 2))
        pen.petals(scatter(leaf, sizes, turns, roots), green * rng.uniform(0.8, 1.2, (14, 1)), 0.12)
        for _ in range(stems):
            height, spread = rng.uniform(0.65, 1.1), rng.normal(0, 0.28)
            path = curve((rng.normal(0, 0.03), 0), (spread, -height), rng.normal(0, 0.06), 13)
            pen.stroke(path, 0.012, vary(rng, green))
            whorls = 9 if pen.unit > 90 else 6
            at = np.linspace(1 - spike, 1, whorls)
            if rng.random() < 0.5:
                at = np.append(at, 1 - spike - 0.1)
            sites = np.stack([np.interp(at * 12, np.arange(13), path[:, axis]) for axis in (0, 1)], 1)
            girth = 0.034 * (1.15 - 0.6 * np.clip((at - 1 + spike) / spike, 0, 1))
            buds = np.stack([girth[:, None] * BUDS, rng.normal(0, 0.008, (len(at), len(BUDS)))], 2) + sites[:, None]
            buds = buds.reshape(-1, 2)
            pen.dots(buds, 0.015, colour * rng.uniform(0.55, 1.2, (len(buds), 1)))

    return draw


def tulip(rng: np.random.Generator) -> Specimen:
    """A smooth egg-shaped cup of six petals on a bare stem between long blades."""
    colour, green = blossom_colour(rng), hsv(rng.uniform(0.28, 0.42), rng.uniform(0.3, 0.55), rng.uniform(0.4, 0.6))
    width, blunt = rng.uniform(0.3, 0.42), rng.uniform(0.3, 0.5)

    def draw(pen: Pen) -> None:
        lean = rng.normal(0, 0.08)
        path = curve((0, 0.1), (lean, -0.62), rng.normal(0, 0.05))
        pen.fill(ribbon(path, 0.035), green)
        for side in (-1, 1):
            turn = -1.57 + side * rng.uniform(0.1, 0.5)
            pen.at(0, 0.1, turn=turn).leaf(blade(rng.uniform(0.5, 0.85), 0.13, 0.35, 0.5, side * 0.1), vary(rng, green))
        cup = pen.at(lean, -0.6, turn=-1.57 + lean * 2)
        for aside, length, shade in (
            (-0.3, 0.4, 0.7),
            (0.3, 0.4, 0.72),
            (-0.38, 0.4, 0.9),
            (0.38, 0.4, 0.95),
            (0, 0.38, 1.0),
        ):
            petal = blade(length, width * (0.62 if aside else 0.75), 0.42, blunt, -aside * 0.55)
            site = cup.at(turn=aside * rng.normal(1, 0.1))
            site.fill(petal * [1.02, 1.08], colour * shade * 0.6)
            site.leaf(petal, vary(rng, colour, 0.04) * shade, 0.05)

    return draw
