"""Where everything in a confusion matrix goes; ``templates/charts.html.j2`` draws it as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leafgraft.report.svg import Text, short, wide

NUMBERED = 30  # species; beyond this, a cell is too small for a number
LETTER = 0.6  # of the size of the font, width of a letter; names are cut off where they are wider
LIFT = 0.12  # depth of colour of the smallest share
# Depths from which black is easier to read than white on a dark page, and white than black on a light one.
MID, HIGH = 0.59, 0.92


@dataclass(frozen=True, slots=True)
class Cell:
    """Photos of one species that were given one name.

    Attributes:
        x: left end.
        y: upper end.
        style: "right" or "wrong".
        depth: of the colour, in (0, 1].
        tone: "low", "mid" or "high"; which of them takes black letters depends on the colours of the page.
        text: the number, or nothing.
        title: what it says when it is pointed at.
    """

    x: float
    y: float
    style: str
    depth: float
    tone: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """A confusion matrix.

    Attributes:
        width: of the whole, in pixels.
        height: of the whole.
        left: where the cells begin; likewise ``top``.
        side: of a cell.
        cells: those with a photo.
        rows: the true species.
        columns: the named species.
        angle: of the names of the columns, in degrees.
        font: size of the names, in pixels.
        summary: all of it in words.
    """

    width: float
    height: float
    left: float
    top: float
    side: float
    cells: Sequence[Cell]
    rows: Sequence[Text]
    columns: Sequence[Text]
    angle: int
    font: int
    summary: str

    @property
    def borders(self) -> list[float]:
        """Where lines between cells run, from the left end of the first to the right end of the last."""
        return [round(number * self.side, 1) for number in range(len(self.rows) + 1)]


def confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Matrix:
    """Which species was taken for which; cells carry their counts up to 30 species.

    The depth of a cell's colour is the root of its share of the row, so that rare species are as legible as common
    ones and single mistakes are seen.

    Args:
        matrix: photos, shape (k, k); row = true species, column = named species.
        classes: the k names.

    Raises:
        ValueError: if the shape does not fit the names.
    """
    k = len(classes)
    if matrix.shape != (k, k) or k == 0:
        raise ValueError(f"A confusion matrix of {k} species has the shape ({k}, {k}), not {matrix.shape}.")
    numbered = k <= NUMBERED
    side, font, angle = (28.0, 12, -50) if numbered else (13.0, 10, -90)
    names = [short(name) for name in classes]
    longest = max(map(wide, names)) * LETTER * font
    left = longest + 14
    slope = math.radians(-angle)
    top = longest * math.sin(slope) + font + 6
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cells = []
    for row, column in np.argwhere(matrix > 0):
        depth = LIFT + (1 - LIFT) * math.sqrt(share[row, column])
        count = int(matrix[row, column])
        photos = f"{count} photo{'' if count == 1 else 's'} of {classes[row]}"
        cells.append(
            Cell(
                round(column * side, 1), round(row * side, 1), "right" if row == column else "wrong", round(depth, 2),
                "low" if depth < MID else "mid" if depth < HIGH else "high", str(count) if numbered else "",
                f"{photos} named rightly" if row == column else f"{photos} named {classes[column]}",
            )
        )  # fmt: skip
    middles = [round((number + 0.5) * side, 1) for number in range(k)]
    right, total = int(np.trace(matrix)), int(matrix.sum())
    return Matrix(
        round(left + k * side + longest * math.cos(slope) + 8, 1), round(top + k * side + 2, 1), round(left, 1),
        round(top, 1), side, cells, [Text(-8, middle, name) for middle, name in zip(middles, names, strict=True)],
        [Text(middle, -6, name) for middle, name in zip(middles, names, strict=True)], angle, font,
        f"Confusion matrix of {k} species: {right:,} of {total:,} photos were named rightly.",
    )  # fmt: skip
