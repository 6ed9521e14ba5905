"""Two pages for people, each one HTML file that needs nothing else: the report of a run, and the audit of a folder.

Neither has a script or asks a network for anything, and the Content-Security-Policy in its head forbids both. Names of
species and files come from strangers' folders: Jinja escapes whatever a template prints, without exception.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from leafgraft.report import heatmap, markup, svg

Severity = Literal["fine", "look", "mend"]
SHOWN_MISTAKES = 12  # the others are folded away


@dataclass(frozen=True, slots=True)
class Thumb:
    """A small picture of a file.

    Attributes:
        photo: JPEG; None if the file cannot be shown.
        path: of the file, as people know it.
        caption: what is to be said of it; may be empty.
    """

    photo: bytes | None
    path: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Files that belong together, such as the copies of one photo.

    Attributes:
        caption: what they have in common; may be empty.
        items: the files.
    """

    caption: str
    items: Sequence[Thumb]


@dataclass(frozen=True, slots=True)
class Section:
    """What one test of an audit found.

    Attributes:
        id: a word of letters, digits and hyphens, no two alike on a page.
        title: what was looked for.
        advice: what to do about it; may be empty.
        severity: "fine", worth a "look", or to "mend" before training.
        text: what was found, in a sentence or two.
        groups: the findings that are shown.
        left_out: how many more groups there are than are shown.
    """

    id: str
    title: str
    advice: str
    severity: Severity
    text: str
    groups: Sequence[Group] = ()
    left_out: int = 0

    @property
    def quiet(self) -> bool:
        """Whether a line is enough."""
        return self.severity == "fine" and not self.groups


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far probabilities can be taken at their word; one entry for each bin that holds a photo.

    Attributes:
        name: "before" or "after" calibration.
        ece: expected calibration error, in [0, 1].
        temperature: what the logits are divided by; 1 leaves them as they are.
        confidence: mean probability of the named species, in [0, 1].
        accuracy: share of photos that were named rightly, in [0, 1].
        count: photos.
    """

    name: str
    ece: float
    temperature: float
    confidence: Sequence[float]
    accuracy: Sequence[float]
    count: Sequence[int]


@dataclass(frozen=True, slots=True)
class SpeciesRow:
    """How well one species is told; what no photo tells is None.

    Attributes:
        name: of the species.
        train: photos trained on.
        held_out: photos that the figures come from.
        precision: share of the photos so named that are of it, in [0, 1].
        recall: share of its photos that were so named, in [0, 1].
        recall_interval: 95 % interval of the recall, both ends in [0, 1].
        f1: harmonic mean of the two, in [0, 1].
    """

    name: str
    train: int
    held_out: int
    precision: float | None
    recall: float | None
    recall_interval: tuple[float, float] | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training photo that resembles a mistaken one.

    Attributes:
        photo: JPEG.
        label: its species.
        path: of its file, as people know it.
    """

    photo: bytes
    label: str
    path: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A held-out photo that was named wrongly.

    Attributes:
        photo: JPEG.
        heat: JPEG of the photo under the map of what the answer rests on; None if there is no such map.
        path: of its file, as people know it.
        label: its species.
        predicted: the species that was named.
        probability: of the named species, in [0, 1].
        neighbours: training photos that resemble it, the nearest first.
    """

    photo: bytes
    heat: bytes | None
    path: str
    label: str
    predicted: str
    probability: float
    neighbours: Sequence[Neighbour] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """How the classifier comes to say "I don't know this plant".

    Attributes:
        method: how strangeness is measured.
        accepted_val: share of the validation photos that pass, in [0, 1]; None if there are none.
        accepted_test: share of the held-out photos that pass, in [0, 1]; None if there are none.
        sentence: what this means to whoever uses the classifier.
    """

    method: str
    accepted_val: float | None
    accepted_test: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class CompareFacts:
    """Training from scratch against transfer.

    Attributes:
        sentence: what may be said of the difference.
        curves: name, seconds since the start and accuracy in [0, 1] at the end of each epoch. The last one is the
            transfer, which is drawn in the colour of the page.
    """

    sentence: str
    curves: Sequence[tuple[str, Sequence[float], Sequence[float]]]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that the report of a run shows. Whatever is empty or None has no section.

    Attributes:
        title: name of the run.
        sentence: the sentence that matters.
        notes: further remarks, such as what was left out.
        history: the rows of ``history.csv``, as numbers or text: ``stage`` ("probe", "frozen", "fine" or "scratch"),
            ``epoch`` (from 1 over all stages), ``seconds``, ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and
            ``learning_rate``; values may be None or missing.
        figures: of the held-out photos, as `leafgraft.verdict.metrics.score` returns them.
        folds: of cross-validation, ``accuracy`` (one value for each fold), ``mean`` and ``spread``, all in [0, 1].
        reliability: before and after calibration.
        matrix: int64 (k, k), photos; row = true species, column = named species.
        classes: the k names.
        species: one row for each species, in the order in which they are to be shown.
        confused: the commonest mistakes: true species, named species, photos.
        mistakes: the most confident ones first.
        rejection: how strangers are turned away.
        comparison: scratch against transfer.
        audit: what an audit of the photos found.
        record: what ``run.json`` holds.
        seconds: of each part of the run, ``total`` among them.
        peak_mb: the largest resident memory, in MB; 0 if it is not known.
    """

    title: str
    sentence: str
    notes: Sequence[str] = ()
    history: Sequence[Mapping[str, Any]] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    folds: Mapping[str, Any] | None = None
    reliability: Sequence[Reliability] = ()
    matrix: NDArray[np.int64] | None = None
    classes: Sequence[str] = ()
    species: Sequence[SpeciesRow] = ()
    confused: Sequence[tuple[str, str, int]] = ()
    mistakes: Sequence[Mistake] = ()
    rejection: Rejection | None = None
    comparison: CompareFacts | None = None
    audit: Sequence[Section] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_mb: float = 0.0


def run_report(facts: RunFacts) -> str:
    """The report of a training run as one HTML document.

    Raises:
        ValueError: if the confusion matrix does not fit the names of its species.
    """
    charts = svg.curves(facts.history)
    matrix = None
    if facts.matrix is not None and facts.matrix.any():
        matrix = heatmap.confusion(facts.matrix, facts.classes)
    comparison = None if facts.comparison is None else svg.comparison(facts.comparison.curves)
    record = markup.recorded(facts.record)
    contents = {
        "result": ("Result", True),
        "curves": ("Curves", bool(charts)),
        "calibration": ("Calibration", bool(facts.reliability)),
        "confusion": ("Confusion", matrix is not None or bool(facts.confused)),
        "species": ("Species", bool(facts.species)),
        "mistakes": ("Mistakes", bool(facts.mistakes)),
        "strangers": ("Strangers", facts.rejection is not None),
        "comparison": ("From scratch", facts.comparison is not None),
        "audit": ("Audit", bool(facts.audit)),
        "record": ("Record", bool(record)),
        "time": ("Time", bool(facts.seconds)),
    }
    return markup.render(
        "run.html.j2",
        title=facts.title,
        facts=facts,
        contents={name: title for name, (title, present) in contents.items() if present},
        tiles=markup.tiles(facts.figures, facts.folds),
        charts=charts,
        calibration=[(item, _diagram(item)) for item in facts.reliability],
        matrix=matrix,
        comparison=comparison,
        record=record,
        times=markup.times(facts.seconds),
        shown=SHOWN_MISTAKES,
        stages=svg.STAGES,
    )


def audit_page(title: str, summary: Sequence[str], sections: Sequence[Section]) -> str:
    """The audit of a folder of photos as one HTML document.

    Args:
        title: what was audited.
        summary: sentences on the whole.
        sections: what each test found, in the order in which they are to be shown.
    """
    return markup.render("check.html.j2", title=title, summary=summary, sections=sections)


def _diagram(item: Reliability) -> svg.Plot:
    summary = (
        f"Reliability {item.name} calibration: the expected calibration error is {markup.percent(item.ece)} at the "
        f"temperature {item.temperature:.2f}."
    )
    title = f"{item.name.capitalize()} calibration"
    return svg.reliability(title, item.confidence, item.accuracy, item.count, summary)


def thumbnail(canvas: NDArray[np.uint8], side: int = 160, quality: int = 75) -> bytes:
    """A small JPEG of a picture, in its own proportions; a picture that is small enough keeps its size.

    Args:
        canvas: RGB, shape (height, width, 3).
        side: the most that the longer side may have, in pixels.
        quality: of the JPEG, 1 to 95.

    Raises:
        ValueError: if the array is no picture.
    """
    from PIL import Image

    if canvas.dtype != np.uint8 or canvas.ndim != 3 or canvas.shape[2] != 3 or not canvas.size:
        raise ValueError(f"A picture is uint8 with the shape (height, width, 3), not {canvas.dtype} {canvas.shape}.")
    image = Image.fromarray(canvas)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
