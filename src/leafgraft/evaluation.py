"""What a classifier is worth: the files that will be saved are calibrated, measured on photos held out, and described.

Every figure is of the saved files themselves, not of the network in memory that they were written from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.audit.examine import Audit
from leafgraft.bundle import Draft
from leafgraft.files import write_csv, write_json, write_text
from leafgraft.folds import Folds
from leafgraft.gathering import Gathered
from leafgraft.machine import Clock, peak_rss_mb
from leafgraft.progress import Progress, under_way
from leafgraft.records import PREDICTIONS, card_of, predictions
from leafgraft.report import plots
from leafgraft.report.facts import Measured, run_facts
from leafgraft.report.page import RunFacts, run_report
from leafgraft.verdict.metrics import confusion, score

if TYPE_CHECKING:
    from leafgraft.classifier import PlantClassifierTransferLearning

FOLDS = ("fold", "photos", "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece")


@dataclass(frozen=True)
class Evaluated:
    """What was found of a classifier.

    Attributes:
        metrics: what ``metrics.json`` holds.
        answers: float32 (n, classes), the probabilities for the test photos; None if there are none.
        facts: what ``report.html`` shows.
    """

    metrics: dict[str, Any]
    answers: NDArray[np.float32] | None
    facts: RunFacts


def evaluated(
    classifier: PlantClassifierTransferLearning,
    found: Gathered,
    record: Mapping[str, Any],
    folder: Path,
    clock: Clock,
    *,
    audit: Audit | None,
    folds: Folds | None,
    progress: Progress | None,
) -> Evaluated:
    """Calibrate and measure a trained classifier, and write down what was found and the classifier itself.

    Args:
        classifier: trained.
        found: the photos of its run.
        record: what ``run.json`` holds.
        folder: of the run.
        clock: of the run.
        audit: what was found in the photos.
        folds: what a cross-validation found.
        progress: told how far each lasting step is.
    """
    start = time.perf_counter()
    with classifier.drafted(folder / "model", progress=progress) as draft:
        clock.seconds["save"] = round(time.perf_counter() - start, 3)
        with clock("evaluate"):
            sides = _sides(draft, found, folds, progress)
        metrics = _metrics(sides, draft, folds)
        write_csv(folder / "predictions.csv", PREDICTIONS, _lines(sides, found.classes))
        if folds is not None:
            write_csv(folder / "folds.csv", FOLDS, ({name: row[name] for name in FOLDS} for row in folds.rows))
        if classifier.history:
            plots.curves(classifier.history, folder / "curves.png")
        if sides:
            matrix = confusion(sides[0].data.labels, sides[0].named, len(found.classes))
            plots.confusion_matrix(matrix, found.classes, folder / "confusion.png")
        write_json(folder / "metrics.json", metrics)  # before anything else can go wrong
        with clock("explain"), under_way(progress, "Writing the report"):
            facts = run_facts(draft, found, sides, audit, folds, classifier.history, metrics, record, folder.name)
        draft.card = card_of(found, record, metrics, folder.name)
    metrics |= {"seconds": clock.seconds | {"total": clock.total()}, "peak_rss_mb": peak_rss_mb()}
    write_json(folder / "metrics.json", metrics)
    facts = replace(facts, seconds=metrics["seconds"], peak_mb=metrics["peak_rss_mb"])
    write_text(folder / "report.html", run_report(facts))
    tested = next((side for side in sides if side.name == "test"), None)
    return Evaluated(metrics, None if tested is None else tested.probabilities, facts)


def _sides(draft: Draft, found: Gathered, folds: Folds | None, progress: Progress | None) -> list[Measured]:
    """Calibrate on the validation photos, then answer to all that were held out; what counts most comes first."""
    sides = []
    raw = {}
    for name, data in (("val", found.val), ("test", found.test)):
        if data is not None:
            raw[name] = draft.seen(data, progress)
    if found.val is not None:
        draft.calibrate(*raw["val"], found.val.labels)
    for name, data in (("test", found.test), ("val", found.val)):
        if data is not None:
            shares, features = raw[name]
            answers = draft.judged(shares, features)
            sides.append(
                Measured(name, data, found.side(name), answers.probabilities, shares, answers.unknown, features)
            )
    if folds is not None:
        fold = Measured("folds", folds.data, folds.photos, folds.probabilities)
        sides.insert(1 if found.test is not None else 0, fold)
    return sides


def _metrics(sides: Sequence[Measured], draft: Draft, folds: Folds | None) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for side in sides:
        if side.name in ("test", "val"):
            metrics[side.name] = score(side.data.labels, side.probabilities, groups=side.data.groups)
    if folds is not None:
        metrics["folds"] = folds.as_dict()
    calibration = draft.calibration
    if calibration.photos:
        metrics["calibration"] = {"temperature": calibration.temperature, "photos": calibration.photos}
        metrics["unknown"] = None if calibration.strangers is None else calibration.strangers.as_dict()
        for side in sides:
            if side.raw is not None and side.unknown is not None:
                before = score(side.data.labels, side.raw)
                metrics["calibration"][side.name] = {
                    f"{name}_{when}": figures[name]
                    for name in ("ece", "log_loss")
                    for when, figures in (("before", before), ("after", metrics[side.name]))
                }
                if calibration.strangers is not None:
                    metrics["unknown"][f"accepted_{side.name}"] = float(1 - side.unknown.mean())
    return metrics


def _lines(sides: Sequence[Measured], classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    judged = {side.name for side in sides}
    for side in sides:
        if side.name == "val" and "folds" in judged:
            continue  # these photos have been judged by a fold that had not seen them
        yield from predictions(side.photos, side.probabilities, classes)
