"""Cross-validation: every photo is judged by a classifier that was trained without it (Stone 1974)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.checkpoint import Checkpoint, Part
from leafgraft.errors import UserError
from leafgraft.gathering import Gathered, Settings
from leafgraft.photos import Photo
from leafgraft.photos.dataset import Dataset
from leafgraft.progress import Watch
from leafgraft.verdict.calibration import temperature, tempered
from leafgraft.verdict.metrics import score


@dataclass(frozen=True)
class Folds:
    """What a cross-validation found.

    Attributes:
        data: the photos, in the order of what follows.
        photos: their records; ``split`` says which fold each was judged in.
        probabilities: float32 (n, classes), each row from a classifier that has not seen the photo.
        rows: the figures of each fold, as plain data.
    """

    data: Dataset
    photos: list[Photo]
    probabilities: NDArray[np.float32]
    rows: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Accuracy of each fold, their mean and their spread (standard deviation), and the figures over all photos."""
        accuracies = [row["accuracy"] for row in self.rows]
        pooled = score(self.data.labels, self.probabilities, groups=self.data.groups)
        return {"accuracy": accuracies, "mean": mean(accuracies), "spread": stdev(accuracies), "pooled": pooled}


def cross_validated(
    found: Gathered, settings: Settings, weights: Path, watch: Watch, checkpoint: Checkpoint | None = None
) -> Folds:
    """Train once for each fold, on the others, and judge it on that fold.

    Folds are stratified by species and keep groups whole. What the frozen layers make of the photos is computed once
    for all of them.

    Args:
        found: the photos; those of the test side are left out.
        settings: of the run; ``folds`` is at least 2.
        weights: a file with ImageNet weights.
        watch: who is told.
        checkpoint: remembers what each fold has answered, and how far the one at work is.

    Raises:
        UserError: a species has fewer groups of photos than there are folds, or too few to train and validate on
            outside of one.
    """
    photos = [photo for photo in found.photos if photo.split in ("train", "val")]
    data = Dataset.of_photos(photos, found.classes)
    probabilities = np.zeros((len(data), len(data.classes)), np.float32)
    rows: list[dict[str, Any]] = []
    if checkpoint:
        if past := checkpoint.take("folds"):
            rows, (probabilities,) = past.facts["rows"], past.arrays
        checkpoint.keep("folds", lambda: Part({"rows": rows}, [probabilities]))
    judged = list(photos)
    folds = _folds(data, settings.folds, settings.seed, validated=settings.val_fraction > 0)
    for number, (inside, outside) in enumerate(folds, start=1):
        for position in outside.tolist():
            judged[position] = replace(photos[position], split=f"fold {number}")
        if number <= len(rows):
            continue  # an earlier process has judged it
        classifier = settings.classifier(data.classes, weights)
        rest, val = data.subset(inside), None
        if settings.val_fraction:
            rest, val = rest.divide(settings.val_fraction, settings.seed)
        own = checkpoint.inner(f"fold-{number}") if checkpoint else None
        classifier.fit(
            rest, recipe=settings.recipe, validation_data=val, views=settings.views, verbose=0,
            progress=watch.progress, checkpoint=own,
        )  # fmt: skip
        unseen = data.subset(outside)
        shares = classifier.judge(unseen, progress=watch.progress)
        if val is not None:
            shares = tempered(shares, temperature(val.labels, classifier.judge(val, progress=watch.progress)))
        probabilities[outside] = shares
        figures = score(unseen.labels, shares, groups=unseen.groups)
        rows.append({"fold": number, "photos": len(unseen)} | figures)
        watch.say(f"fold {number} of {settings.folds}: {100 * figures['accuracy']:.1f} % of {len(unseen)} photos")
        if own and checkpoint:
            checkpoint.write()
            own.remove()
    return Folds(data, judged, probabilities, rows)


def _folds(
    data: Dataset, count: int, seed: int, *, validated: bool
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each fold the positions of the photos to learn from, and of those to judge."""
    from sklearn.model_selection import StratifiedGroupKFold

    groups = np.unique(data.groups, return_inverse=True)[1]

    def require(inside: NDArray[np.int64], least: int, what: str, way: str) -> None:
        for label, name in enumerate(data.classes):
            if len(np.unique(groups[inside[data.labels[inside] == label]])) < least:
                held = len(np.unique(groups[data.labels == label]))
                raise UserError(
                    f"{name} has {held} {'group' if held == 1 else 'groups'} of photos, too few {what}; {way}."
                )

    require(np.arange(len(data)), count, f"for {count} folds", "take fewer folds, or leave the species out")
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    folds = list(splitter.split(np.zeros(len(data)), data.labels, groups))
    for inside, _ in folds:
        if validated:
            way = "add photos, or leave the validation out with --val-fraction 0"
            require(inside, 2, f"to train and validate on outside of each of {count} folds", way)
        else:
            require(inside, 1, f"to train on outside of each of {count} folds", "use smaller groups")
    return folds
