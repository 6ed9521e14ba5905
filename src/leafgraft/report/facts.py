"""What the report of a run shows, from what the run found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.audit.examine import Audit
from leafgraft.photos import Photo, UnreadablePhoto, centre, load_canvas
from leafgraft.photos.dataset import Dataset
from leafgraft.report.findings import sections
from leafgraft.report.page import Mistake, Neighbour, Rejection, Reliability, RunFacts, SpeciesRow, thumbnail
from leafgraft.verdict.calibration import reliability
from leafgraft.verdict.explain import overlay
from leafgraft.verdict.metrics import accuracy_interval, confusion, expected_calibration_error, most_confused, sentence
from leafgraft.verdict.unknown import ACCEPTED, NEIGHBOURS

if TYPE_CHECKING:
    from leafgraft.bundle import Draft
    from leafgraft.folds import Folds
    from leafgraft.gathering import Gathered

MISTAKES = 12
"""How many of the most confident mistakes are shown."""


@dataclass(frozen=True)
class Measured:
    """What a classifier, or those of a cross-validation, answered to photos that it had not been trained on.

    Attributes:
        name: "test", "folds" or "val".
        data: the photos.
        photos: their records.
        probabilities: float32 (n, classes), calibrated where that was possible.
        raw: float32 (n, classes), before calibration; None where it is not known.
        unknown: bool (n,), whether each was called unknown; None where it is not known.
        features: float32 (n, 2048); None where they are not known.
    """

    name: str
    data: Dataset
    photos: Sequence[Photo]
    probabilities: NDArray[np.float32]
    raw: NDArray[np.float32] | None = None
    unknown: NDArray[np.bool_] | None = None
    features: NDArray[np.float32] | None = None

    @property
    def named(self) -> NDArray[np.int64]:
        """The likeliest class of each photo, int64 (n,)."""
        named: NDArray[np.int64] = self.probabilities.argmax(axis=1).astype(np.int64)
        return named


def run_facts(
    draft: Draft,
    found: Gathered,
    sides: Sequence[Measured],
    audit: Audit | None,
    folds: Folds | None,
    history: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    record: Mapping[str, Any],
    title: str,
) -> RunFacts:
    """Put together what the report of a run shows.

    Args:
        draft: the classifier as it is saved.
        found: the photos of the run.
        sides: answers to photos held out; the figures come from the first.
        audit: what was found in the photos.
        folds: what a cross-validation found.
        history: of the training.
        metrics: what ``metrics.json`` holds.
        record: what ``run.json`` holds.
        title: name of the run.
    """
    main = sides[0] if sides else None
    judged = next((side for side in sides if side.raw is not None), None)
    matrix = None if main is None else confusion(main.data.labels, main.named, len(found.classes))
    figures = {} if main is None else dict(metrics["folds"]["pooled"] if main.name == "folds" else metrics[main.name])
    return RunFacts(
        title=title,
        sentence=lead(figures, None if main is None else main.name),
        notes=list(_notes(found, record)),
        history=history,
        figures=figures,
        folds=None if folds is None else {name: metrics["folds"][name] for name in ("accuracy", "mean", "spread")},
        reliability=[] if judged is None else list(_reliability(judged, draft)),
        matrix=matrix,
        classes=found.classes,
        species=[] if main is None else list(_species(main, found)),
        confused=[] if matrix is None else most_confused(matrix, found.classes),
        mistakes=[] if judged is None else _mistakes(judged, draft, found.classes),
        rejection=_rejection(metrics),
        audit=[] if audit is None else sections(audit, shown=6),
        record=record,
    )


def lead(figures: Mapping[str, Any], basis: str | None) -> str:
    """The sentence that matters, and what it rests on."""
    if basis is None:
        return "No photo was held out, so nothing is known of how good this classifier is."
    text = sentence(figures)
    if basis == "folds":
        text += " Each was judged by a classifier of the same recipe that had not seen it."
    if basis == "val":
        text += " They were looked at after each epoch, and no others were held out."
    return text


def _notes(found: Gathered, record: Mapping[str, Any]) -> Iterator[str]:
    if record["garden"]:
        yield "The photos are drawings made by the program, not plants: the figures say nothing about real photos."
    if troubled := [photo for photo in found.photos if photo.problem]:
        count = "1 file was" if len(troubled) == 1 else f"{len(troubled):,} files were"
        yield f"{count} left out; manifest.csv says why."


def _reliability(side: Measured, draft: Draft) -> Iterator[Reliability]:
    both = (("before", side.raw, 1.0), ("after", side.probabilities, draft.calibration.temperature))
    for name, shares, temperature in both:
        if shares is None or not draft.calibration.photos:
            continue
        bins = reliability(side.data.labels, shares)
        error = expected_calibration_error(shares.max(axis=1), shares.argmax(axis=1) == side.data.labels)
        yield Reliability(name, error, temperature, bins.confidence, bins.accuracy, bins.count)


def _species(side: Measured, found: Gathered) -> Iterator[SpeciesRow]:
    trained = Counter(photo.label for photo in found.photos if photo.split == "train")
    groups = np.array(side.data.groups)
    for label, name in enumerate(found.classes):
        of_it, so_named = side.data.labels == label, side.named == label
        right = of_it & so_named
        recall = float(right.sum() / of_it.sum()) if of_it.any() else None
        precision = float(right.sum() / so_named.sum()) if so_named.any() else None
        interval = accuracy_interval(right[of_it], groups=groups[of_it]) if of_it.any() else None
        f1 = None
        if of_it.any() or so_named.any():
            f1 = float(2 * right.sum() / (of_it.sum() + so_named.sum()))
        yield SpeciesRow(
            name, trained[name], int(of_it.sum()), precision, recall,
            None if interval is None else (interval.low, interval.high), f1,
        )  # fmt: skip


def _mistakes(side: Measured, draft: Draft, classes: Sequence[str]) -> list[Mistake]:
    """The mistakes that were made with the highest probability, each with the reason as far as it can be shown."""
    sure = side.probabilities.max(axis=1)
    wrong = np.flatnonzero(side.named != side.data.labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    if not len(wrong) or side.features is None:
        return []
    crops = np.stack([centre(side.data.canvas(position)) for position in wrong.tolist()])
    maps = draft.heat(crops, side.named[wrong])
    nearest, _ = draft.known.nearest(side.features[wrong], NEIGHBOURS)
    found = []
    for crop, heat, position, near in zip(crops, maps, wrong.tolist(), nearest.tolist(), strict=True):
        photo = side.photos[position]
        found.append(
            Mistake(
                thumbnail(crop), thumbnail(overlay(crop, heat)), photo.path.as_posix(), photo.label,
                classes[int(side.named[position])], float(sure[position]),
                [shown for one in near if (shown := _neighbour(draft, one, classes)) is not None],
            )
        )  # fmt: skip
    return found


def _neighbour(draft: Draft, position: int, classes: Sequence[str]) -> Neighbour | None:
    path = draft.known.paths[position]
    try:
        picture = thumbnail(centre(load_canvas(Path(path))), side=96)
    except UnreadablePhoto:
        return None
    return Neighbour(picture, classes[int(draft.known.labels[position])], path)


def _rejection(metrics: Mapping[str, Any]) -> Rejection | None:
    unknown = metrics.get("unknown")
    if unknown is None:
        return None
    return Rejection(
        "distance to the nearest known photo, and entropy of the answer",
        unknown.get("accepted_val"),
        unknown.get("accepted_test"),
        f"A photo that is stranger than {100 * ACCEPTED:.0f} % of the validation photos is called unknown: far from "
        "all that was learned, or between several species. Species that resemble a known one can still pass for it.",
    )
