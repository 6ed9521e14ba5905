"""The built-in garden: photographs of ten kinds of plant for whoever has none at hand, drawn rather than taken.

The botany is in the drawing: heads and blossoms by the golden angle (Vogel 1979, A better way to construct the
sunflower head), ferns and twigs by L-systems (Prusinkiewicz & Lindenmayer 1990, The Algorithmic Beauty of Plants).
Colour, ground, light, pose and distance are chosen independently of the species, except where nature forbids, so that
only the plant itself tells its name.
"""

from __future__ import annotations

from leafgraft.photos.garden.plot import SPECIES, STRANGERS, draw, grow

__all__ = ["SPECIES", "STRANGERS", "draw", "grow"]
