"""The pictures of a run, as PNG files that are legible at 900 pixels of width.

Drawn with matplotlib's objects on an off-screen canvas: no display, no state shared between calls. The colours are
those of Okabe and Ito (Color Universal Design, 2008), which people with any kind of colour vision can tell apart.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leafgraft.files import whole
from leafgraft.report.svg import number
from leafgraft.verdict.compare import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.0  # inches; with the font sizes below, letters are 13 pixels high in a picture 900 pixels wide
DPI = 150
FONT = 10
SMALL = 9
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#E69F00", "#000000")
MARKERS = "osD^vPX"
INK, FAINT, GREY = "#222222", "#E3E3E3", "#A9A9A9"
LONGEST_NAME = 42  # characters; longer names lose their middle
NUMBERED_CLASSES = 30  # beyond this, a cell of the confusion matrix is too small for a number
TILE = 160  # pixels, side of a picture on the contact sheet

# Where a name needs more letters than matplotlib's own font has; the first ones that are installed are used.
OTHER_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "WenQuanYi Zen Hei",
    "Noto Sans Devanagari",
    "Nirmala UI",
    "Noto Sans",
)


def curves(history: Sequence[Mapping[str, object]], path: Path) -> Path:
    """Accuracy and loss of training and validation over both stages, with the place where fine-tuning starts.

    Args:
        history: the rows of ``history.csv``, as numbers or as text: ``stage`` ("probe", "frozen" or "fine"),
            ``epoch`` (from 1 over all stages), ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``; a value may
            be missing.
        path: the PNG file to write.

    Returns:
        ``path``.

    Raises:
        ValueError: if there are no rows.
    """
    if not history:
        raise ValueError("There is no epoch to draw.")
    figure = new_figure(WIDTH, 4.2)
    epochs = [number(row.get("epoch")) for row in history]
    stages = [str(row.get("stage", "")) for row in history]
    fine = stages.index("fine") if "fine" in stages else 0
    for position, (key, title, scale) in enumerate((("accuracy", "Accuracy (%)", 100.0), ("loss", "Loss", 1.0))):
        axes = figure.add_subplot(1, 2, position + 1)
        for column, label, colour, marker in ((key, "training", BLUE, "o"), (f"val_{key}", "held out", ORANGE, "s")):
            values = np.array([scale * number(row.get(column)) for row in history])
            if np.isfinite(values).any():
                axes.plot(epochs, values, color=colour, marker=marker, markersize=4, linewidth=2, label=label)
                if key == "loss":
                    axes.set_ylim(0, max(axes.get_ylim()[1], 1.06 * values[np.isfinite(values)].max()))
        _style(axes, "Epoch", title)
        _whole_numbers(axes)
        if fine > 0:
            start = (epochs[fine - 1] + epochs[fine]) / 2
            axes.axvline(start, color=INK, linestyle=(0, (4, 3)), linewidth=1)
            _note(axes, start, "probe" if stages[0] == "probe" else "head alone", "right")
            _note(axes, start, "fine-tuning", "left")
        axes.legend(frameon=False, fontsize=FONT, loc="best")
    return save(figure, path)


def confusion_matrix(matrix: ArrayLike, classes: Sequence[str], path: Path) -> Path:
    """Which species was taken for which: rows are the true species, columns the named ones.

    A cell's depth of colour is its share of the row, so rare species are as legible as common ones; blue is right,
    orange is mistaken. Cells carry their counts up to 30 species.

    Args:
        matrix: counts of photos, shape (k, k).
        classes: the k names.
        path: the PNG file to write.

    Raises:
        ValueError: if the shape does not fit the names.
    """
    from matplotlib.patches import Patch

    counts = np.asarray(matrix)
    k = len(classes)
    if counts.shape != (k, k) or k == 0:
        raise ValueError(f"A confusion matrix of {k} species has the shape ({k}, {k}), not {counts.shape}.")
    names = [short_name(name) for name in classes]
    numbered = k <= NUMBERED_CLASSES
    cell = min(max(0.42, 5.0 / k), 0.9) if numbered else 0.19  # inches
    font = FONT if numbered else 8
    margin = 0.6 + 0.09 * font / FONT * max(map(len, names))  # inches that the names take
    side = k * cell + margin
    figure = new_figure(max(side, 5.2), side + 0.9)
    axes = figure.add_subplot()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # Not imshow, which takes 50 MB for it; see the peak of a training in docs/performance.md.
    edges = np.arange(k + 1) - 0.5
    axes.pcolormesh(edges, edges, _two_hues(share))
    axes.set_aspect("equal")
    axes.invert_yaxis()
    ticks = range(k)
    axes.set_xticks(ticks, labels=names, fontsize=font, parse_math=False)
    axes.set_yticks(ticks, labels=names, fontsize=font, parse_math=False)
    steep = k > 12
    for label in axes.get_xticklabels():
        if steep:
            label.set(rotation=90)
        else:
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    borders = np.arange(1, k) - 0.5
    axes.hlines(borders, -0.5, k - 0.5, color=FAINT, linewidth=0.6)
    axes.vlines(borders, -0.5, k - 0.5, color=FAINT, linewidth=0.6)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_color(FAINT)
    axes.set_xlabel("Named species", fontsize=FONT + 1, color=INK)
    axes.set_ylabel("True species", fontsize=FONT + 1, color=INK)
    if numbered:
        for row, column in np.argwhere(counts > 0):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=FONT if cell > 0.5 else SMALL,
                color="white" if share[row, column] > 0.45 else INK,
            )
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right:,} of {total:,} photos named rightly", fontsize=FONT + 2, color=INK, loc="left", pad=28)
    keys = [Patch(color=BLUE, label="right"), Patch(color=ORANGE, label="mistaken (the deeper, the larger its share)")]
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.4}
    axes.legend(handles=keys, ncols=2, frameon=False, fontsize=SMALL, handlelength=1, borderpad=0, **place)
    return save(figure, path)


def comparison(lines: Sequence[Curve], path: Path, sentence: str = "") -> Path:
    """Held-out accuracy of several trainings, against seconds and against epochs, with their final values.

    Args:
        lines: one curve for each training; not empty, each with at least one epoch.
        path: the PNG file to write.
        sentence: what the picture shows, set above it.

    Raises:
        ValueError: if there is no curve, or one without epochs.
    """
    if not lines or not all(len(line.epochs) for line in lines):
        raise ValueError("A comparison needs at least one curve, and each curve at least one epoch.")
    figure = new_figure(WIDTH, 4.9)
    minutes = max(line.seconds[-1] for line in lines) > 600
    for position in range(2):
        axes = figure.add_subplot(1, 2, position + 1)
        ends = []
        for line, colour, marker in zip(lines, cycle(CYCLE), cycle(MARKERS), strict=False):
            x = list(line.epochs) if position else [second / (60 if minutes else 1) for second in line.seconds]
            y = [100 * value for value in line.accuracy]
            # A leading underscore would hide a name from the legend.
            axes.plot(
                x, y, color=colour, marker=marker, markersize=4, linewidth=2, label=short_name(line.name).lstrip("_")
            )
            ends.append((x[-1], y[-1], colour))
        _style(axes, "Epoch" if position else f"Training time ({'minutes' if minutes else 'seconds'})", "Accuracy (%)")
        if position:
            _whole_numbers(axes)
        else:
            axes.set_xlim(left=0)
        axes.margins(x=0.05, y=0.1)
        axes.set_xlim(right=axes.get_xlim()[1] + 0.12 * (axes.get_xlim()[1] - axes.get_xlim()[0]))
        _label_ends(axes, ends)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, loc="outside lower center", ncols=min(3, len(lines)), frameon=False, fontsize=FONT
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    if sentence:
        figure.suptitle(wrapped(sentence, 100), fontsize=FONT + 1, color=INK, parse_math=False)
    return save(figure, path)


def sample_prediction(
    pixels: NDArray[np.uint8],
    probabilities: ArrayLike,
    classes: Sequence[str],
    path: Path,
    top: int = 5,
    truth: str | None = None,
) -> Path:
    """A photo beside its most probable species.

    Args:
        pixels: RGB, shape (height, width, 3).
        probabilities: shape (k,), in [0, 1].
        classes: the k names.
        path: the PNG file to write.
        top: how many species to show.
        truth: the true species, where it is known.

    Raises:
        ValueError: if there is not one probability for each name.
    """
    shares = np.asarray(probabilities, dtype=np.float64)
    if shares.shape != (len(classes),) or not len(classes):
        raise ValueError(f"{len(classes)} species need as many probabilities, not an array of shape {shares.shape}.")
    order = np.argsort(-shares, kind="stable")[:top]
    figure = new_figure(WIDTH, 4.4)
    photo, bars = figure.subplots(1, 2, width_ratios=[1, 1.15])
    photo.imshow(pixels)
    photo.set_axis_off()
    rows = np.arange(len(order))
    colours = [BLUE, *[GREY] * (len(order) - 1)]
    bars.barh(rows, 100 * shares[order], height=0.34, color=colours)
    for row, index in enumerate(order):
        name, bold = short_name(classes[index]), "bold" if row == 0 else "normal"
        mark = "  (the true species)" if truth == classes[index] else ""
        bars.text(0, row - 0.26, name + mark, va="bottom", fontsize=FONT + 1, color=INK, weight=bold, parse_math=False)
        value = f"{100 * shares[index]:.1f} %"
        bars.text(100 * shares[index] + 1.5, row, value, va="center", fontsize=FONT, color=INK, weight=bold)
    bars.set_xlim(0, 118)  # room for the figure beside a full bar
    bars.set_ylim(max(len(order), 3) - 0.5, -0.8)
    bars.set_xticks(range(0, 101, 25))
    bars.set_yticks([])
    _style(bars, "Probability (%)", "")
    bars.spines["left"].set_visible(False)
    bars.spines["bottom"].set_bounds(0, 100)
    bars.grid(visible=False)
    if truth is not None and truth not in [classes[index] for index in order]:
        figure.suptitle(f"True species: {short_name(truth)}", fontsize=FONT + 1, color=INK, parse_math=False)
    return save(figure, path)


def contact_sheet(images: Mapping[str, Sequence[NDArray[np.uint8]]], path: Path) -> Path:
    """A row of pictures for each species.

    Args:
        images: for each species, RGB pictures of shape (height, width, 3) and any size.
        path: the PNG file to write.

    Raises:
        ValueError: if there is no picture.
    """
    columns = max((len(row) for row in images.values()), default=0)
    if columns == 0:
        raise ValueError("There is no picture to show.")
    gap = 6
    step = TILE + gap
    sheet = np.full((len(images) * step - gap, columns * step - gap, 3), 255, dtype=np.uint8)
    for row, pictures in enumerate(images.values()):
        for column, picture in enumerate(pictures):
            top, left = row * step, column * step
            sheet[top : top + TILE, left : left + TILE] = tile(picture)
    names = [wrapped(short_name(name), 24) for name in images]
    margin = 0.4 + 0.085 * max(len(line) for name in names for line in name.split("\n"))
    figure = new_figure(sheet.shape[1] / DPI + margin, sheet.shape[0] / DPI + 0.3)
    axes = figure.add_subplot()
    axes.imshow(sheet)
    axes.set_xticks([])
    middles = np.arange(len(names)) * step + TILE / 2
    axes.set_yticks(middles, labels=names, fontsize=FONT, parse_math=False)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    return save(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of some inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _style(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=FONT, color=INK)
    axes.set_ylabel(y, fontsize=FONT, color=INK)
    axes.tick_params(labelsize=SMALL, color=GREY, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _note(axes: Axes, x: float, text: str, side: str) -> None:
    """Writes above the axes, with the given side of the text at ``x``."""
    shift = -5 if side == "right" else 5
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate(text, (x, 1), xytext=(shift, 6), ha=side, fontsize=SMALL, color=INK, annotation_clip=False, **place)


def _label_ends(axes: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """Writes the last value of each curve beside its end, moved down where it would lie on another."""
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    style: dict[str, Any] = {"va": "center", "fontsize": FONT, "weight": "bold", "annotation_clip": False}
    placed: list[tuple[float, float]] = []
    for x, y, colour in sorted(ends, key=lambda end: -end[1]):
        beside = [other_y for other_x, other_y in placed if abs(other_x - x) < 0.15 * (right - left)]
        place = min([y, *(other_y - 0.06 * (high - low) for other_y in beside)])
        placed.append((x, place))
        axes.annotate(f"{y:.1f}", (x, place), xytext=(7, 0), textcoords="offset points", color=colour, **style)


def _two_hues(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (k, k, 3): white to blue on the diagonal, white to orange elsewhere; small shares are lifted by a root."""
    from matplotlib.colors import to_rgb

    diagonal = np.eye(len(share), dtype=bool)[..., None]
    hue = np.where(diagonal, to_rgb(BLUE), to_rgb(ORANGE))
    mixed: NDArray[np.float64] = 1 - np.sqrt(share)[..., None] * (1 - hue)
    return mixed


def tile(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle square of a picture, shape (TILE, TILE, 3)."""
    from PIL import Image, ImageOps

    image = Image.fromarray(picture)
    return np.asarray(ImageOps.fit(image, (TILE, TILE), Image.Resampling.LANCZOS), dtype=np.uint8)


def short_name(name: str) -> str:
    """A name that fits on one line; bytes in the name of a folder that are no Unicode become question marks."""
    name = " ".join(name.encode("utf-8", "replace").decode("utf-8").split())
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 17].rstrip()}…{name[-16:].lstrip()}"


def wrapped(text: str, width: int) -> str:
    """Lines of at most ``width`` characters, with a figure and its per cent sign on one line."""
    return "\n".join(textwrap.wrap(text.replace(" %", "\u00a0%"), width)) or text


def save(figure: Figure, path: Path) -> Path:
    """Writes the PNG, with letters of other scripts where a font for them is installed."""
    from matplotlib.font_manager import fontManager
    from matplotlib.text import Text

    installed = {font.name for font in fontManager.ttflist}
    families = ["DejaVu Sans", *[name for name in OTHER_FONTS if name in installed]]
    texts: list[Any] = figure.findobj(Text)
    for text in texts:
        text.set_fontfamily(families)
    with whole(path) as temporary, warnings.catch_warnings():
        # A letter that no installed font has is drawn as a box; the picture is still worth having.
        warnings.filterwarnings("ignore", message="(?s).*missing from font")
        figure.savefig(temporary, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.12)
    return path
