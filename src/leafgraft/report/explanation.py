"""The picture that explains one answer: the photo, where in it the evidence lies, and the photos it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from leafgraft.report.plots import FONT, INK, SMALL, WIDTH, new_figure, save, short_name, tile, wrapped
from leafgraft.verdict.explain import overlay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

Neighbour = tuple[NDArray[np.uint8], str]
"""A photo, RGB (height, width, 3), and what to write beneath it."""

PANELS = 5.4  # inches, height of the photo beside its overlay, with a title of one line and the scale
LINE = 0.2  # inches, of a title
FEWEST_COLUMNS = 5  # fewer neighbours than this are not made larger


def explanation(
    photo: NDArray[np.uint8],
    heat: NDArray[np.float32],
    answer: tuple[str, float],
    path: Path,
    *,
    species: tuple[str, float] | None = None,
    neighbours: Sequence[Neighbour] = (),
) -> Path:
    """A photo beside what in it speaks for a species, under the answer that it got.

    Args:
        photo: what the classifier saw, RGB, shape (height, width, 3).
        heat: shape (a, b), in [0, 1], as from `leafgraft.verdict.explain.heat_maps`.
        answer: the likeliest species and its probability, in [0, 1].
        path: the PNG file to write.
        species: the species that the heat is of and its probability, where that is not the answer.
        neighbours: photos that the classifier takes for alike, shown in a row beneath.

    Returns:
        ``path``.
    """
    name, probability = answer
    shown, chance = (name, "") if species is None else (species[0], f" ({100 * species[1]:.1f} %)")
    title = wrapped(f"What speaks for {short_name(shown)}{chance}", 44)
    panels = PANELS + LINE * title.count("\n")
    columns = max(len(neighbours), FEWEST_COLUMNS)
    row = WIDTH / columns + 0.9 if neighbours else 0.0  # inches: a tile, its caption and the title of the row
    whole = new_figure(WIDTH, panels + row)
    above: FigureBase = whole
    if neighbours:
        places = whole.add_gridspec(2, 1, height_ratios=[panels, row])
        above = whole.add_subfigure(places[0])
        _row(whole.add_subfigure(places[1]), neighbours, columns)
    headline = f"{short_name(name)}, {100 * probability:.1f} %"
    above.suptitle(headline, fontsize=FONT + 5, weight="bold", color=INK, parse_math=False)
    (left, right), (beneath, scale) = above.subplots(2, 2, height_ratios=[1, 0.03])
    beneath.set_axis_off()
    for axes, pixels, text in (
        (left, photo, "The photo as the classifier sees it"),
        (right, overlay(photo, heat), title),
    ):
        _show(axes, pixels, "S")
        axes.set_title(text, fontsize=FONT + 1, color=INK, pad=8, parse_math=False)
    if np.any(heat > 0):
        _scale(scale)
    else:
        scale.set_axis_off()
        right.set_xlabel("Nothing in this photo does.", fontsize=FONT, color=INK)
    return save(whole, path)


def _show(axes: Axes, pixels: NDArray[np.uint8], anchor: Literal["N", "S"]) -> None:
    axes.imshow(pixels)
    axes.set_anchor(anchor)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _scale(axes: Axes) -> None:
    """From little to much, in the colours that an overlay has on a middling grey."""
    shades = np.linspace(0, 1, 256, dtype=np.float32)[None]
    axes.imshow(overlay(np.full((1, 256, 3), 128, np.uint8), shades), aspect="auto")
    axes.set_yticks([])
    axes.set_xticks([0, 255], labels=["nothing", "most"], fontsize=SMALL, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    little, much = axes.get_xticklabels()
    little.set_horizontalalignment("left")
    much.set_horizontalalignment("right")


def _row(figure: FigureBase, neighbours: Sequence[Neighbour], columns: int) -> None:
    figure.suptitle("most like these, from which it has learned", fontsize=FONT + 1, color=INK)
    characters = int(12 * WIDTH / columns)
    for axes, (picture, text) in zip(figure.subplots(1, len(neighbours), squeeze=False)[0], neighbours, strict=True):
        _show(axes, tile(picture), "N")
        axes.set_xlabel(wrapped(short_name(text), characters), fontsize=SMALL, color=INK, parse_math=False)
