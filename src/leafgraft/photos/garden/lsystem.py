"""Branching by rewriting: bracketed L-systems and the turtle that reads them.

Source: Prusinkiewicz & Lindenmayer, The Algorithmic Beauty of Plants (1990), sections 1.3 and 1.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


def rewrite(axiom: str, rules: dict[str, str], steps: int) -> str:
    """Replaces every symbol by its rule, all at once, `steps` times; symbols without a rule stay."""
    for _ in range(steps):
        axiom = "".join(rules.get(symbol, symbol) for symbol in axiom)
    return axiom


@dataclass
class Skeleton:
    """What the turtle left behind.

    Attributes:
        segments: (x0, y0, x1, y1, length) of every internode, in the order of growth.
        organs: For every organ symbol its sites as (x, y, heading, length of the internode before it).
    """

    segments: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    organs: dict[str, list[tuple[float, float, float, float]]] = field(default_factory=dict)


def walk(
    program: str, rng: np.random.Generator, *, heading: float, step: float, angle: float, shrink: float, bend: float = 0
) -> Skeleton:
    """Lets a turtle grow the program from the origin.

    `F` grows one internode, after which internodes are `shrink` times as long and the heading has turned by `bend`;
    `+` and `-` turn by `angle` (with some scatter); brackets save and restore the state; other letters are organs.

    Returns:
        The internodes and the sites of the organs.
    """
    skeleton = Skeleton()
    x, y, saved = 0.0, 0.0, list[tuple[float, float, float, float]]()
    for symbol in program:
        if symbol == "F":
            fx, fy = x + step * math.cos(heading), y + step * math.sin(heading)
            skeleton.segments.append((x, y, fx, fy, step))
            x, y, heading, step = fx, fy, heading + bend, step * shrink
        elif symbol in "+-":
            heading += (angle if symbol == "+" else -angle) * rng.normal(1, 0.12)
        elif symbol == "[":
            saved.append((x, y, heading, step))
        elif symbol == "]":
            x, y, heading, step = saved.pop()
        else:
            skeleton.organs.setdefault(symbol, []).append((x, y, heading, step))
    return skeleton
