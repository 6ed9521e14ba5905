"""A training run: from a folder of photographs to a folder that holds the classifier and all that is known of it.

run.json          the command, recipe, seed, versions and data: enough to repeat the run
manifest.csv      every file that was seen, what became of it and why
history.csv       a line an epoch over all stages
first.json        when a first classifier was saved, in recipes that begin with one, and how good it was
metrics.json      figures on the held-out photos, seconds of each part, memory
predictions.csv   what was answered for every held-out photo
curves.png        accuracy and loss over both stages
confusion.png     which species was taken for which
model/            the classifier; see leafgraft.bundle
"""

from __future__ import annotations

import hashlib
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leafgraft import imagenet
from leafgraft.errors import UserError
from leafgraft.files import sha256, write_csv, write_json
from leafgraft.machine import Clock, peak_rss_mb, versions
from leafgraft.photos import Photo, scan, write_manifest
from leafgraft.photos.dataset import Dataset
from leafgraft.photos.split import split
from leafgraft.progress import Progress, under_way
from leafgraft.recipes import Recipe, Views
from leafgraft.report import plots
from leafgraft.report.card import CardFacts, card
from leafgraft.verdict.metrics import confusion, score

if TYPE_CHECKING:
    from leafgraft.classifier import PlantClassifierTransferLearning
    from leafgraft.comparison import Comparison, Equal

HISTORY = ("stage", "epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
PREDICTIONS = ("path", "label", "predicted", "probability", "split")


@dataclass(frozen=True)
class Settings:
    """What a run is asked for.

    Attributes:
        recipe: how to train.
        classes: the species to learn; None for all that there are.
        val_fraction: share of each species that is looked at after each epoch, 0-1.
        test_fraction: share of each species that is looked at only at the end, 0-1.
        seed: of the split and the training.
        weights: a file with ImageNet weights; None for the cache or a download.
        bank: the folder of all banks; None for the user's cache.
        bank_gb: what all banks may take of the disk, in GB; None for half of what is free.
        engine: what computes the frozen layers; see `leafgraft.engine.prefix.choose`.
        views: random views kept of each photo, or "fresh"; None for what suits the number of photos.
        deterministic: whether two runs on one machine must agree to the last digit.
    """

    recipe: Recipe
    classes: Sequence[str] | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
    weights: Path | None = None
    bank: Path | None = None
    bank_gb: float | None = None
    engine: str = "auto"
    views: Views | None = None
    deterministic: bool = False


@dataclass(frozen=True)
class Gathered:
    """Photos that are ready for training.

    Attributes:
        photos: every file that was seen.
        classes: the species, sorted.
        train: to train on.
        val: to look at after each epoch; None if there are none.
        test: to look at only at the end; None if there are none.
    """

    photos: list[Photo]
    classes: tuple[str, ...]
    train: Dataset
    val: Dataset | None
    test: Dataset | None

    def side(self, name: str) -> list[Photo]:
        """The photos of "train", "val" or "test"."""
        return [photo for photo in self.photos if photo.split == name]


def gather(source: Path, settings: Settings, progress: Progress | None = None) -> Gathered:
    """Scan and split a folder or CSV of photos.

    Raises:
        UserError: there is nothing to train on; the sentence says why.
    """
    told = None if progress is None else lambda done, total: progress("Reading the photos", done, total)
    photos = split(
        scan(source, classes=settings.classes, progress=told),
        val=settings.val_fraction,
        test=settings.test_fraction,
        seed=settings.seed,
    )
    classes = tuple(sorted({photo.label for photo in photos if not photo.problem}))
    sides = [[photo for photo in photos if photo.split == name] for name in ("train", "val", "test")]
    train, val, test = (Dataset.of_photos(side, classes) if side else None for side in sides)
    if train is None:
        raise UserError(f"{source} leaves no photo to train on; mark some as train, or lower the fractions.")
    return Gathered(photos, classes, train, val, test)


@dataclass(frozen=True)
class Watch:
    """Who is told what a run does.

    Attributes:
        progress: told how far each lasting step is: what it is, how much is done, how much there is.
        say: given a line about what was found or decided.
        epoch: given the line of the history after each epoch.
    """

    progress: Progress | None = None
    say: Callable[[str], None] = lambda text: None
    epoch: Callable[[dict[str, Any]], None] = lambda row: None


@dataclass(frozen=True)
class Trained:
    """What a run ended with.

    Attributes:
        classifier: the classifier.
        found: the photos.
        metrics: what ``metrics.json`` holds.
        elapsed: seconds of training, all in, at the end of each epoch.
        answers: float32 (n, classes), the probabilities for the test photos; None if there are none.
    """

    classifier: PlantClassifierTransferLearning
    found: Gathered
    metrics: dict[str, Any]
    elapsed: list[float]
    answers: NDArray[np.float32] | None


def train(source: Path, folder: Path, settings: Settings, watch: Watch = Watch()) -> Trained:
    """Train a classifier and write down everything about it.

    Args:
        source: a folder of photos or a CSV; see `leafgraft.photos.folder.scan`.
        folder: where the run is written; must not exist, or be empty.
        settings: what is asked for.
        watch: who is told.

    Raises:
        UserError: the photos or the folder are unfit, or the weights cannot be had.
    """
    with _begun(source, folder, settings, watch) as begun:
        return _train(begun, watch, begun.found.val)


def compare(
    source: Path, folder: Path, settings: Settings, equal: Equal, watch: Watch = Watch()
) -> tuple[Trained, Comparison]:
    """Train as `train` does, then from random weights for as long, and write down both.

    The bank begins empty, so that the seconds of the transfer hold all its work. Adds ``comparison.png`` and
    ``comparison.json`` to the run. Where there are no validation photos, the history follows the test photos; nothing
    is chosen by them.

    Args:
        source: see `train`.
        folder: see `train`.
        settings: what is asked for; some photos must be held out for the test.
        equal: whether both get the same "seconds" or the same number of "epochs".
        watch: who is told.

    Raises:
        UserError: see `train`; or no photo is held out.
    """
    with _begun(source, folder, settings, watch, needs_test=True) as begun:
        found, test = begun.found, begun.found.test
        assert test is not None  # or it would not have begun
        with under_way(watch.progress, "Loading TensorFlow"):
            from leafgraft import comparison
        with comparison.temporary_bank() as bank:
            cold = replace(begun, settings=replace(settings, bank=bank))
            trained = _train(cold, watch, found.val or test)
            curve = comparison.curve_of(comparison.TRANSFER, trained.classifier, trained.elapsed)
            watch.say(f"Now from random weights, at {comparison.basis_of(equal, curve)}.")
            assert trained.answers is not None
            transfer = comparison.Outcome.of(curve, test, trained.answers)
            scratch = comparison.from_scratch(
                found.train, found.val or test, test, curve, settings.recipe, equal,
                seed=settings.seed, bank=bank, progress=watch.progress, on_epoch=watch.epoch,
            )  # fmt: skip
        outcome = comparison.Comparison.between(scratch, transfer, comparison.basis_of(equal, curve), test.groups)
        plots.comparison([outcome.scratch.curve, outcome.transfer.curve], folder / "comparison.png", outcome.sentence)
        write_json(folder / "comparison.json", outcome.as_dict())
    return trained, outcome


@dataclass(frozen=True)
class _Begun:
    """A run whose photos and weights are at hand and whose folder is there."""

    folder: Path
    settings: Settings
    found: Gathered
    weights: Path
    record: dict[str, Any]
    clock: Clock


@contextmanager
def _begun(
    source: Path, folder: Path, settings: Settings, watch: Watch, *, needs_test: bool = False
) -> Iterator[_Begun]:
    """Begin a run, and write down how it ended."""
    require_new(folder, source)
    clock = Clock()
    with clock("scan"):
        found = gather(source, settings, watch.progress)
    if needs_test and found.test is None:
        raise UserError("A comparison needs photos held out for the test; give --test-fraction a value above 0.")
    if needs_test and settings.recipe.keep_best and found.val is None:
        raise UserError(
            f"The recipe {settings.recipe.name} chooses by validation photos; give --val-fraction a value above 0."
        )
    watch.say(described(found))
    with clock("weights"):
        weights = imagenet.fetch(settings.weights, progress=watch.progress)
    record = record_of(source, settings, found)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", record | {"status": "running"})
    try:
        write_manifest(folder / "manifest.csv", found.photos)
        yield _Begun(folder, settings, found, weights, record, clock)
    except BaseException as error:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        write_json(folder / "run.json", record | {"status": "failed", "reason": reason})
        raise
    write_json(folder / "run.json", record | {"status": "finished"})


def _train(begun: _Begun, watch: Watch, watched: Dataset | None) -> Trained:
    found, settings, clock = begun.found, begun.settings, begun.clock
    with clock("tensorflow"), under_way(watch.progress, "Loading TensorFlow"):
        from leafgraft._tensorflow import deterministic
        from leafgraft.classifier import PlantClassifierTransferLearning
        from leafgraft.engine.prefix import choose
    if settings.deterministic:
        deterministic()
    with clock("build"), under_way(watch.progress, "Building the network"):
        classifier = PlantClassifierTransferLearning(
            len(found.classes),
            weights=begun.weights,
            class_names=found.classes,
            seed=settings.seed,
            bank=settings.bank,
            bank_gb=settings.bank_gb,
            engine=settings.engine,
        )
        watch.say(choose(settings.engine).sentence)
    elapsed = _fit(classifier, found.train, watched, settings, begun.folder, clock, watch)
    metrics, answers = _finish(classifier, found, begun.record, begun.folder, clock, watch.progress)
    return Trained(classifier, found, metrics, elapsed, answers)


def _fit(
    classifier: PlantClassifierTransferLearning,
    data: Dataset,
    watched: Dataset | None,
    settings: Settings,
    folder: Path,
    clock: Clock,
    watch: Watch,
) -> list[float]:
    """Train; returns the seconds that had passed at the end of each line of the history."""
    from leafgraft._tensorflow import keras

    elapsed: list[float] = []
    start = time.perf_counter()

    def told(*_: Any) -> None:
        elapsed.append(time.perf_counter() - start)
        write_csv(folder / "history.csv", HISTORY, classifier.history)
        watch.epoch(classifier.history[-1])

    def first() -> None:
        told()
        if len(elapsed) == 1:
            _save_first(classifier, data, watched, folder, clock, watch)

    classifier.fit(
        data,
        recipe=settings.recipe,
        validation_data=watched,
        views=settings.views,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=told)],
        on_probe=first if settings.recipe.epochs_fine else told,
        verbose=0,
        progress=watch.progress,
    )
    before = sum(row["stage"] != "fine" for row in classifier.history)
    ends = [0.0, *elapsed]
    clock.seconds["frozen"] = round(ends[before], 3)
    clock.seconds["fine"] = round(time.perf_counter() - start - ends[before], 3)
    return elapsed


def _save_first(
    classifier: PlantClassifierTransferLearning,
    data: Dataset,
    watched: Dataset | None,
    folder: Path,
    clock: Clock,
    watch: Watch,
) -> None:
    """Save what there is after the first probe, so that a run that is ended early has not been for nothing."""
    row = classifier.history[-1]
    figures = {"photos": len(data), "val_accuracy": row["val_accuracy"], "seconds": clock.total()}
    card = "# A first classifier\n\nThe run that it comes from goes on, and replaces it at its end.\n"
    with under_way(watch.progress, "Saving a first classifier"):
        classifier.save(folder / "model", card=card)
    write_json(folder / "first.json", figures)
    found = (
        "" if watched is None else f", right on {100 * row['val_accuracy']:.1f} % of {len(watched)} validation photos"
    )
    watch.say(f"A first classifier is in {folder / 'model'} after {clock.total():.0f} s{found}; now for a better one.")


def _finish(
    classifier: PlantClassifierTransferLearning,
    found: Gathered,
    record: dict[str, Any],
    folder: Path,
    clock: Clock,
    progress: Progress | None,
) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
    """Measure the classifier on what it has not seen, and write it down; returns figures and test probabilities."""
    metrics: dict[str, Any] = {}
    answers: dict[str, NDArray[np.float32]] = {}
    lines: list[dict[str, Any]] = []
    with clock("evaluate"):
        for name, data in (("test", found.test), ("val", found.val)):
            if data is None:
                continue
            probabilities = answers[name] = classifier.predict_proba(data, progress=progress)
            metrics[name] = score(data.labels, probabilities, groups=data.groups)
            lines += predictions(found.side(name), probabilities, found.classes)
            if name == "test" or found.test is None:
                matrix = confusion(data.labels, probabilities.argmax(axis=1), len(found.classes))
                plots.confusion_matrix(matrix, found.classes, folder / "confusion.png")
    write_csv(folder / "predictions.csv", PREDICTIONS, lines)
    if classifier.history:
        plots.curves(classifier.history, folder / "curves.png")
    write_json(folder / "metrics.json", metrics)  # before anything else can go wrong
    with clock("save"), under_way(progress, "Saving the classifier and checking it"):
        classifier.save(folder / "model", card=_card(found, record, metrics, folder))
    metrics |= {"seconds": clock.seconds | {"total": clock.total()}, "peak_rss_mb": peak_rss_mb()}
    write_json(folder / "metrics.json", metrics)
    return metrics, answers.get("test")


def predictions(
    photos: Sequence[Photo], probabilities: NDArray[np.float32], classes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The lines of ``predictions.csv``."""
    for photo, row in zip(photos, probabilities, strict=True):
        best = int(row.argmax())
        yield {
            "path": photo.path.absolute().as_posix(),
            "label": photo.label,
            "predicted": classes[best],
            "probability": round(float(row[best]), 6),
            "split": photo.split,
        }


def described(found: Gathered) -> str:
    """How many photos of how many species there are, and how many were left out."""
    counts = Counter(photo.split for photo in found.photos if not photo.problem)
    sides = ", ".join(
        f"{counts[name]} {purpose}"
        for name, purpose in (("train", "to train on"), ("val", "to validate"), ("test", "held out for the test"))
        if counts[name]
    )
    text = f"{counts.total()} photos of {len(found.classes)} species: {sides}."
    troubled = [photo for photo in found.photos if photo.problem]
    if troubled:
        first = troubled[0]
        text += (
            f" {len(troubled)} left out, each with its reason in manifest.csv; "
            f"the first is {first.path.name}: {first.problem}."
        )
    return text


def require_new(folder: Path, source: Path) -> None:
    """Refuse a folder for a run that holds something, or that the next scan would take for a species.

    Raises:
        UserError: it does, it is a file, or it lies within the folder of photos.
    """
    if folder.is_dir():
        if any(folder.iterdir()):
            raise UserError(f"{folder} exists and is not empty; choose another folder, or remove this one first.")
    elif folder.exists():
        raise UserError(f"{folder} is a file; choose a folder that does not exist yet.")
    if folder.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{folder} lies within {source}, where it would pass for a species; choose a folder outside.")


def record_of(source: Path, settings: Settings, found: Gathered) -> dict[str, Any]:
    """What ``run.json`` says of the request, the data and the software."""
    content = sorted(f"{photo.sha256} {photo.label} {photo.split}" for photo in found.photos if not photo.problem)
    return {
        "command": shlex.join(["leafgraft", *sys.argv[1:]]),
        "photos": str(source.absolute()),
        "recipe": asdict(settings.recipe),
        "val_fraction": settings.val_fraction,
        "test_fraction": settings.test_fraction,
        "seed": settings.seed,
        "engine": settings.engine,
        "views": settings.views,
        "deterministic": settings.deterministic,
        "classes": list(found.classes),
        "counts": dict(Counter(photo.split for photo in found.photos if not photo.problem)),
        "data_sha256": hashlib.sha256("\n".join(content).encode()).hexdigest(),
        "weights": imagenet.status()
        if settings.weights is None
        else {"file": str(settings.weights), "sha256": sha256(settings.weights)},
        "garden": (source / "garden.json").is_file(),
        "versions": versions(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _card(found: Gathered, record: dict[str, Any], metrics: dict[str, Any], folder: Path) -> str:
    counts: dict[str, Counter[str]] = {name: Counter() for name in found.classes}
    for photo in found.photos:
        if photo.split:
            counts[photo.label][photo.split] += 1
    fetched = "source" in record["weights"]
    return card(
        CardFacts(
            name=folder.name,
            classes=found.classes,
            counts=counts,
            score=metrics.get("test") or metrics.get("val") or {},
            recipe=record["recipe"]["name"],
            preprocessing="shorter side to 256 pixels, centre crop of 224 x 224, RGB 0-255; the rest is in the model",
            weights_source="ResNet50 trained on ImageNet, as published with Keras"
            if fetched
            else "a file of the user's",
            weights_licence="MIT (Keras Applications)" if fetched else "that of the file",
            command=record["command"],
            seed=record["seed"],
            garden=record["garden"],
            versions=record["versions"],
        )
    )
