"""Where everything in a chart with two axes goes; ``templates/charts.html.j2`` draws it as inline SVG.

Only places and words are settled here. Colours are the style sheet's, so that one drawing serves light, dark and paper,
and names are escaped where they are printed.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

WIDTH, HEIGHT = 400.0, 260.0  # units; about the pixels of a phone, so that letters keep their size on it
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 38.0, 44.0
LETTER = 6.3  # units, mean width of a letter in a chart
DOTTED = 40  # epochs; beyond this, a dot for each is a thick line
LONGEST = 26  # letters of a name beside a chart
STAGES = {"probe": "probe", "frozen": "head alone", "fine": "fine-tuning", "scratch": "from scratch"}


@dataclass(frozen=True, slots=True)
class Text:
    """A word and where its middle or its end goes; which of them is up to the drawing."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point and what it says when it is pointed at."""

    x: float
    y: float
    r: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is drawn.

    Attributes:
        name: in the legend, with its last value; empty for what needs none.
        style: the class of the style sheet.
        paths: the points of unbroken pieces, as SVG writes them.
        dots: the points that are drawn as such.
    """

    name: str
    style: str
    paths: Sequence[str]
    dots: Sequence[Dot] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart with two axes.

    Attributes:
        title: what is drawn.
        width: of the whole, in units.
        height: of the whole.
        left: where the plotted area begins; likewise the other three.
        x_title: below the x axis.
        y_title: above the y axis; empty where the title says it.
        x_ticks: the words below the x axis.
        y_ticks: the words beside the y axis.
        lines: what is drawn, from the bottom to the top.
        borders: x of the borders between stages.
        stages: their names, above the plotted area.
        summary: all of it in words, for whoever does not see it.
    """

    title: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_title: str
    y_title: str
    x_ticks: Sequence[Text]
    y_ticks: Sequence[Text]
    lines: Sequence[Line]
    borders: Sequence[float]
    stages: Sequence[Text]
    summary: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def curves(history: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """Accuracy and loss over the epochs; a chart without any value is left out.

    Lines join the epochs of training and break where a value is missing. The rows of a probe, each of which is a
    training of its own, are dots.

    Args:
        history: see `leafgraft.report.page.RunFacts`.
    """
    plots = [_curve(history, "accuracy", "Accuracy", 100.0), _curve(history, "loss", "Loss", 1.0)]
    return [plot for plot in plots if plot is not None]


def reliability(
    name: str, confidence: Sequence[float], accuracy: Sequence[float], count: Sequence[int], summary: str
) -> Plot:
    """How often the species named with a probability is the right one; on the diagonal, as often as the probability.

    The area of a dot is in proportion to its photos, down to a size that can still be seen.

    Args:
        name: the title.
        confidence: mean probability of each bin, in [0, 1].
        accuracy: share of each bin that is right, in [0, 1].
        count: photos of each bin, at least 1.
        summary: the chart in words.
    """
    width, height, top = 340.0, 320.0, 16.0
    x, y = _Axis(0, 100, LEFT, width - RIGHT), _Axis(0, 100, height - BOTTOM, top)
    places = [(x(100 * sure), y(100 * right)) for sure, right in zip(confidence, accuracy, strict=True)]
    gaps = [f"{at},{y(100 * sure)} {at},{level}" for (at, level), sure in zip(places, confidence, strict=True)]
    dots = [
        Dot(*place, round(max(3.0, 13 * math.sqrt(photos / max(count))), 1),
            f"{photos} photos named with {100 * sure:.0f} % on average, {100 * right:.0f} % of them rightly")
        for place, photos, sure, right in zip(places, count, confidence, accuracy, strict=True)
    ]  # fmt: skip
    marks = [0.0, 25.0, 50.0, 75.0, 100.0]
    lines = [
        Line("", "guide", [f"{x(0)},{y(0)} {x(100)},{y(100)}"]),
        Line("", "gap", gaps),
        Line("", "s0", [], dots),
    ]
    return _plot(
        name, "Probability (%)", "Right (%)", x, y, marks, marks, lines, summary, width=width, height=height, top=top
    )


def comparison(lines: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> Plot | None:
    """Accuracy against seconds of several trainings; None if none of them has an epoch.

    Args:
        lines: see `leafgraft.report.page.CompareFacts`.
    """
    points = {
        index: [(float(at), 100 * float(value)) for at, value in zip(seconds, accuracy, strict=True)]
        for index, (_, seconds, accuracy) in enumerate(lines)
    }
    everything = [point for series in points.values() for point in series if math.isfinite(point[1])]
    if not everything:
        return None
    latest = max(at for at, _ in everything)
    unit, word = (60.0, "minutes") if latest > 600 else (1.0, "seconds")
    x_marks = ticks(0, latest / unit)
    y_marks = _percent_ticks([value for _, value in everything])
    x = _Axis(0, max(x_marks[-1], latest / unit), LEFT, WIDTH - RIGHT)
    y = _Axis(y_marks[0], y_marks[-1], HEIGHT - BOTTOM, 18)
    drawn, said = [], []
    for index, series in points.items():
        finite = [(at, value) for at, value in series if math.isfinite(value)]
        if not finite:
            continue
        end = f"{lines[index][0]}: {finite[-1][1]:.1f} % after {_time(finite[-1][0])}"
        said.append(end)
        runs = _pieces([(x(at / unit), y(value)) if math.isfinite(value) else None for at, value in series])
        dots = [
            Dot(x(at / unit), y(value), 2.8, f"{value:.1f} % after {_time(at)}")
            for at, value in finite
            if len(finite) <= DOTTED
        ]
        # The last one is what the page is about.
        style = f"s{(len(lines) - 1 - index) % 4}"
        drawn.append(Line(end, style, [_path(run) for run in runs if len(run) > 1], dots))
    return _plot(
        "Accuracy (%) on photos that are not trained on", f"Training time ({word})", "", x, y, x_marks, y_marks, drawn,
        f"Accuracy against training time. {'; '.join(said)}.", top=18,
    )  # fmt: skip


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """About ``most`` round numbers at equal distances, from at most ``low`` to at least ``high``; always two or more.

    Args:
        low: the least value, finite.
        high: the largest value, finite, not below ``low``.
        most: steps between them.
    """
    span = high - low
    if span <= 1e-9 * max(abs(high), 1.0):  # nothing that could be told apart
        span = max(abs(high), 1.0)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(unit * power for unit in (1, 2, 5, 10) if unit * power >= span / most * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def short(name: str, longest: int = LONGEST) -> str:
    """A name on one line, without its middle where it is long."""
    name = " ".join(name.split())
    if wide(name) <= longest:
        return name
    kept = longest if wide(name) == len(name) else longest // 2  # letters of some scripts are twice as wide
    tail = kept // 3
    return f"{name[: kept - tail - 1].rstrip()}…{name[-tail:].lstrip()}"


def wide(text: str) -> int:
    """Width in letters of the Latin script."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def number(value: object) -> float:
    """A value of the history; NaN where there is none."""
    return math.nan if value is None or value == "" else float(str(value))


def _curve(history: Sequence[Mapping[str, Any]], key: str, title: str, scale: float) -> Plot | None:
    epochs = [number(row.get("epoch")) for row in history]
    stages = [str(row.get("stage", "")) for row in history]
    series = {column: [scale * number(row.get(column)) for row in history] for column in (key, f"val_{key}")}
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    if not finite:
        return None
    unit = " %" if scale == 100 else ""
    y_marks = _percent_ticks(finite) if unit else ticks(0, max(finite))
    x = _Axis(epochs[0] - 0.5, epochs[-1] + 0.5, LEFT, WIDTH - RIGHT)
    y = _Axis(y_marks[0], y_marks[-1], HEIGHT - BOTTOM, TOP)
    lines, said = [], []
    for (column, values), name, style in zip(series.items(), ("training", "held out"), ("s1", "s0"), strict=True):
        last = next((value for value in reversed(values) if math.isfinite(value)), None)
        if last is None:
            continue
        ending = f"{name}: {last:.1f} %" if unit else f"{name}: {last:.3f}"
        said.append(ending)
        dots, places = [], []
        for epoch, stage, value in zip(epochs, stages, values, strict=True):
            place = (x(epoch), y(value)) if math.isfinite(value) else None
            places.append(None if stage == "probe" else place)
            if place and (stage == "probe" or len(history) <= DOTTED):
                text = f"{name}, epoch {epoch:.0f}: {value:.4g}{unit}"
                dots.append(Dot(*place, 4.5 if stage == "probe" else 2.6, text))
        runs = _pieces(places)
        if len(history) > DOTTED:
            dots += [Dot(*run[0], 2.6, column) for run in runs if len(run) == 1]
        lines.append(Line(ending, style, [_path(run) for run in runs if len(run) > 1], dots))
    return _plot(
        f"{title} (%)" if unit else title, "Epoch", "", x, y,
        [mark for mark in ticks(epochs[0], epochs[-1], 6) if mark == int(mark) and epochs[0] <= mark <= epochs[-1]],
        y_marks, lines, f"{title} over {len(history)} epochs. At the end, {'; '.join(said)}.",
        borders=[x(epochs[at] - 0.5) for at in range(1, len(stages)) if stages[at] != stages[at - 1]],
        stages=_stage_names(epochs, stages, x),
    )  # fmt: skip


def _plot(
    title: str,
    x_title: str,
    y_title: str,
    x: _Axis,
    y: _Axis,
    x_marks: Iterable[float],
    y_marks: Iterable[float],
    lines: Sequence[Line],
    summary: str,
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    top: float = TOP,
    borders: Sequence[float] = (),
    stages: Sequence[Text] = (),
) -> Plot:
    bottom = height - BOTTOM
    return Plot(
        title, width, height, LEFT, width - RIGHT, top, bottom, x_title, y_title,
        [Text(x(mark), bottom + 17, f"{mark:g}") for mark in x_marks],
        [Text(LEFT - 7, y(mark), f"{mark:g}") for mark in y_marks],
        lines, borders, stages, summary,
    )  # fmt: skip


def _stage_names(epochs: Sequence[float], stages: Sequence[str], x: _Axis) -> list[Text]:
    """The name of each stage above its middle; one that would lie on the one before goes a line higher."""
    texts: list[Text] = []
    end = -math.inf
    for stage, members in groupby(zip(epochs, stages, strict=True), key=lambda pair: pair[1]):
        within = [epoch for epoch, _ in members]
        name = STAGES.get(stage, short(stage, 16))
        half = wide(name) * LETTER / 2
        middle = min(max(x((within[0] + within[-1]) / 2), half + 2), WIDTH - half - 2)
        above = middle - half < end + 8 and (not texts or texts[-1].y == TOP - 13)
        texts.append(Text(round(middle, 1), TOP - 27 if above else TOP - 13, name))
        end = middle + half
    return texts


def _pieces(places: Iterable[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """The unbroken runs of places."""
    groups = groupby(places, key=lambda place: place is None)
    return [[place for place in run if place is not None] for missing, run in groups if not missing]


def _path(run: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in run)


def _percent_ticks(values: Sequence[float]) -> list[float]:
    """Ticks that hold the values and stay within 0 and 100."""
    low, high = min(values), max(values)
    if high - low < 2:
        low, high = low - 2, high + 2
    return ticks(max(0.0, low), min(100.0, high))


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds <= 600 else f"{seconds / 60:.0f} min"
