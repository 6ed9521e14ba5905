"""What transfer buys: the same photos, split, head and augmentation, from random weights and from ImageNet's."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from leafgraft import imagenet, network
from leafgraft._tensorflow import keras
from leafgraft.classifier import PlantClassifierTransferLearning
from leafgraft.engine.store import Means, Prefix, Store
from leafgraft.errors import UserError
from leafgraft.photos.dataset import Dataset
from leafgraft.progress import Progress
from leafgraft.recipes import CLASSIC, Recipe, views_per_photo
from leafgraft.verdict.compare import Curve, difference, verdict_sentence
from leafgraft.verdict.metrics import Interval, accuracy_interval

Equal = Literal["seconds", "epochs"]

TRANSFER = "transfer"
SCRATCH = "scratch"

SCRATCH_MOMENTUM = 0.9
"""BatchNorm's statistics of a network that sees few steps: with Keras' 0.99 they would still be half those of the
random start after 70 steps, and the scratch classifier would look worse than it is."""


@dataclass(frozen=True)
class Outcome:
    """What one training came to.

    Attributes:
        curve: accuracy on photos that are not trained on, against seconds and epochs.
        correct: bool (n,), whether each of the test photos was named rightly at the end.
        accuracy: their mean.
        interval: its 95 % interval.
    """

    curve: Curve
    correct: NDArray[np.bool_]
    accuracy: float
    interval: Interval

    @classmethod
    def of(cls, curve: Curve, test: Dataset, probabilities: NDArray[np.float32]) -> Outcome:
        """Judge a training by its answers to the test photos."""
        correct = probabilities.argmax(axis=1) == test.labels
        return cls(curve, correct, float(correct.mean()), accuracy_interval(correct, groups=test.groups))


@dataclass(frozen=True)
class Comparison:
    """Two trainings, side by side.

    Attributes:
        scratch: from random weights.
        transfer: from ImageNet's.
        basis: what was held equal.
        difference: accuracy of the transfer minus that of scratch, -1 to 1.
        interval: its 95 % interval, paired over the photos.
        sentence: what the comparison shows, and no more than the interval does.
    """

    scratch: Outcome
    transfer: Outcome
    basis: str
    difference: float
    interval: Interval
    sentence: str

    @classmethod
    def between(cls, scratch: Outcome, transfer: Outcome, basis: str, groups: tuple[str, ...]) -> Comparison:
        """Compare two outcomes on the same test photos."""
        points, interval = difference(scratch.correct, transfer.correct, groups=groups)
        text = verdict_sentence(
            SCRATCH, TRANSFER, scratch.accuracy, scratch.interval, transfer.accuracy, transfer.interval,
            points, interval, basis, len(groups),
        )  # fmt: skip
        return cls(scratch, transfer, basis, points, interval, text[0].upper() + text[1:])

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and lists, for JSON."""
        sides = {
            name: {
                "accuracy": outcome.accuracy,
                "accuracy_ci95": list(outcome.interval),
                "seconds": list(outcome.curve.seconds),
                "epochs": list(outcome.curve.epochs),
                "curve": list(outcome.curve.accuracy),
            }
            for name, outcome in (("scratch", self.scratch), ("transfer", self.transfer))
        }
        gap = {"difference": self.difference, "difference_ci95": list(self.interval), "n": len(self.scratch.correct)}
        return {"equal": self.basis, **sides, **gap, "sentence": self.sentence}


def compare(
    data: Dataset,
    test: Dataset,
    *,
    recipe: Recipe,
    equal: Equal = "seconds",
    seed: int = 0,
    weights: str | Path | None = "imagenet",
    progress: Progress | None = None,
) -> Comparison:
    """Train both from nothing and compare them.

    The seconds of the transfer include computing the frozen layers, in a bank that begins empty.

    Args:
        data: the photos to train on.
        test: the photos to judge by. The curves show the accuracy on them too; nothing is chosen by it.
        recipe: settings of the transfer; one that chooses nothing by the photos that are looked at after each epoch.
        equal: what is held equal.
        seed: of both trainings.
        weights: of the transfer, as for the class.
        progress: told how far each lasting step is.
    """
    if recipe.keep_best:
        raise UserError(f"The recipe {recipe.name} chooses by the photos it looks at; compare with the classic one.")
    with temporary_bank() as bank:
        stopwatch = _Stopwatch()
        classifier = PlantClassifierTransferLearning(
            len(data.classes), weights=weights, class_names=data.classes, seed=seed, bank=bank
        )
        stopwatch.start()
        classifier.fit(
            data,
            recipe=recipe,
            validation_data=test,
            callbacks=[stopwatch],
            on_probe=stopwatch.note,
            verbose=0,
            progress=progress,
        )
        curve = curve_of(TRANSFER, classifier, stopwatch.elapsed)
        transfer = Outcome.of(curve, test, classifier.predict_proba(test, progress=progress))
        scratch = from_scratch(data, test, test, curve, recipe, equal, seed=seed, bank=bank, progress=progress)
    return Comparison.between(scratch, transfer, basis_of(equal, curve), test.groups)


def from_scratch(
    data: Dataset,
    watched: Dataset,
    test: Dataset,
    against: Curve,
    recipe: Recipe,
    equal: Equal,
    *,
    seed: int,
    bank: Path,
    progress: Progress | None = None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
) -> Outcome:
    """Train all layers from random weights, for as long as the other training took.

    Args:
        data: the photos to train on.
        watched: photos for the curve.
        test: photos to judge by in the end.
        against: the curve of the other training.
        recipe: of the other training: its augmentation and batch size are used.
        equal: whether the seconds or the epochs of ``against`` are the budget.
        seed: of weights, dropout, order and views.
        bank: folder for the views.
        progress: told how far the training is.
        on_epoch: given each line of the history.
    """
    classifier = PlantClassifierTransferLearning(
        len(data.classes), weights=None, class_names=data.classes, batch_norm="train", seed=seed, bank=bank
    )
    for layer in classifier.base_model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = SCRATCH_MOMENTUM
    classifier.add_custom_head()
    # The rate of fine-tuning is for weights that already know something.
    classifier.fine_tune(len(classifier.base_model.layers), learning_rate=CLASSIC.rate_frozen)
    limit = against.seconds[-1] if equal == "seconds" else None
    stopwatch = _Stopwatch(limit, progress, on_epoch=lambda: on_epoch(classifier.history[-1] | {"stage": SCRATCH}))
    stopwatch.start()
    assert classifier.model is not None
    views = range(views_per_photo(len(data)))
    Store(Prefix.of(network.cut(classifier.model)), Means(bank, progress=progress)).feed(
        data, views, recipe.augmentation
    )
    classifier.train_fine_tuning(
        data,
        epochs=10_000 if equal == "seconds" else len(against.epochs),
        validation_data=watched,
        batch_size=recipe.batch_size,
        augment=recipe.augmentation,
        callbacks=[stopwatch],
        verbose=0,
        progress=progress if equal == "epochs" else None,  # the stopwatch tells of seconds
    )
    curve = curve_of(SCRATCH, classifier, stopwatch.elapsed)
    return Outcome.of(curve, test, classifier.predict_proba(test, progress=progress))


@contextmanager
def temporary_bank() -> Iterator[Path]:
    """A bank that begins empty and is removed; what a killed process left of one, `bank clear` removes."""
    root = imagenet.cache_dir() / "bank"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="temporary-", dir=root, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def curve_of(name: str, classifier: PlantClassifierTransferLearning, elapsed: list[float]) -> Curve:
    """The curve of a training that was followed on photos held out."""
    rows = classifier.history
    return Curve(name, elapsed, [row["epoch"] for row in rows], [row["val_accuracy"] for row in rows])


def basis_of(equal: Equal, curve: Curve) -> str:
    """In words, what was held equal."""
    if equal == "seconds":
        return f"equal wall-clock time ({curve.seconds[-1]:.0f} s each)"
    return f"an equal number of epochs ({len(curve.epochs)} each)"


class _Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes when each epoch ended, and ends the training when its time is up."""

    def __init__(
        self,
        limit: float | None = None,
        progress: Progress | None = None,
        on_epoch: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.elapsed: list[float] = []
        self._limit, self._progress, self._on_epoch = limit, progress, on_epoch

    def start(self) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if self._limit is None:
            return
        now = time.perf_counter() - self._start
        if self._progress:
            self._progress("Training from scratch, seconds", min(int(now), int(self._limit)), int(self._limit))
        if now >= self._limit:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.note()

    def note(self) -> None:
        """Note the time of a line of the history."""
        self.elapsed.append(time.perf_counter() - self._start)
        self._on_epoch()
