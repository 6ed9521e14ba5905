"""A training run: from a folder of photographs to a folder that holds the classifier and all that is known of it.

run.json          the command, recipe, seed, versions and data: enough to repeat the run
manifest.csv      every file that was seen, what became of it and why
history.csv       a line an epoch over all stages
first.json        when a first classifier was saved, in recipes that begin with one, and how good it was
metrics.json      figures on the held-out photos, seconds of each part, memory
checkpoints/      while it runs: the state of the training, from which the same command goes on; see leafgraft.runfolder
predictions.csv   what was answered for every held-out photo
curves.png        accuracy and loss over both stages
confusion.png     which species was taken for which
report.html       all of it on one page, with pictures
folds.csv         the figures of each fold of a cross-validation
model/            the classifier; see leafgraft.bundle
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leafgraft import imagenet
from leafgraft.audit.examine import Audit, brief, examine
from leafgraft.engine.backbone import pooled
from leafgraft.engine.checkpoint import Checkpoint, Part
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Means
from leafgraft.errors import UserError
from leafgraft.evaluation import evaluated
from leafgraft.files import sha256, write_csv, write_json, write_text
from leafgraft.folds import cross_validated
from leafgraft.gathering import Gathered, Settings, described, divided, gather, scanned, scanning
from leafgraft.machine import Clock
from leafgraft.photos import Photo, write_manifest
from leafgraft.photos.dataset import Dataset
from leafgraft.progress import NOBODY, Progress, Watch, under_way
from leafgraft.records import record_of, request_of
from leafgraft.report import plots
from leafgraft.report.page import CompareFacts, RunFacts, run_report
from leafgraft.runfolder import CHECKPOINTS, RECORD, asked_otherwise, held, record_in, require_fit, require_same_photos
from leafgraft.track import Tracker, tracker

if TYPE_CHECKING:
    from leafgraft.classifier import PlantClassifierTransferLearning
    from leafgraft.cluster.training import Cluster
    from leafgraft.comparison import Comparison, Equal

__all__ = ["Gathered", "Settings", "Trained", "Watch", "compare", "finished", "gather", "train"]

HISTORY = ("stage", "epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@dataclass(frozen=True)
class Trained:
    """What a run ended with.

    Attributes:
        classifier: the classifier.
        found: the photos.
        metrics: what ``metrics.json`` holds.
        elapsed: seconds of training, all in, at the end of each epoch.
        answers: float32 (n, classes), the probabilities for the test photos; None if there are none.
        facts: what ``report.html`` shows.
    """

    classifier: PlantClassifierTransferLearning
    found: Gathered
    metrics: dict[str, Any]
    elapsed: list[float]
    answers: NDArray[np.float32] | None
    facts: RunFacts


def train(source: Path, folder: Path, settings: Settings, watch: Watch = NOBODY) -> Trained:
    """Train a classifier and write down everything about it.

    Args:
        source: a folder of photos or a CSV; see `leafgraft.photos.folder.scan`.
        folder: where the run is written; must not exist, be empty, or hold an interrupted run of the same request,
            which is then gone on with.
        settings: what is asked for.
        watch: who is told; see also `Watch.ending`.

    Raises:
        UserError: the photos or the folder are unfit, or the weights cannot be had.
        KeyboardInterrupt: somebody wanted to end.
    """
    watch = watch.heeding()
    with _machines(folder, settings) as machines, _begun(source, folder, settings, watch, machines=machines) as begun:
        classifier = _classifier(begun, watch, machines)
        deep = settings.recipe.unfreeze if settings.recipe.epochs_fine else 0
        audit = _audited(begun, watch, lambda data: classifier.features(data, unfreeze=deep, progress=watch.progress))
        of = [begun.record["data_sha256"], sha256(begun.weights), choose(settings.engine).key]
        belongs = hashlib.sha256(json.dumps([request_of(source, settings), *of]).encode()).hexdigest()
        checkpoint = Checkpoint(
            folder / CHECKPOINTS, belongs, every=settings.checkpoint_every, ending=watch.ending, say=watch.say
        )
        return _trained(begun, classifier, audit, watch, begun.found.val, checkpoint)


def finished(source: Path, folder: Path, settings: Settings) -> dict[str, Any] | None:
    """What ``metrics.json`` says of a run that is finished and was asked for the same; None if there is none.

    What a process left that was killed as it finished is removed.
    """
    if record_in(folder).get("status") != "finished" or asked_otherwise(folder, request_of(source, settings)):
        return None
    if (folder / CHECKPOINTS).exists():
        with held(folder):
            pass
        shutil.rmtree(folder / CHECKPOINTS)
    return dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))


def compare(
    source: Path, folder: Path, settings: Settings, equal: Equal, watch: Watch = NOBODY
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
    watch = watch.heeding()
    with _begun(source, folder, settings, watch, equal) as begun:
        with under_way(watch.progress, "Loading TensorFlow"):
            from leafgraft import comparison
        audit = _audited(begun, watch, lambda data: _looked(begun, data, watch.progress))
        found, test = begun.found, begun.found.test
        assert test is not None  # or it would not have begun
        with comparison.temporary_bank() as bank:
            begun.settings = replace(settings, bank=bank)
            trained = _trained(begun, _classifier(begun, watch), audit, watch, found.val or test, None)
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
        curves = [(line.name, line.seconds, line.accuracy) for line in (outcome.scratch.curve, outcome.transfer.curve)]
        facts = replace(trained.facts, comparison=CompareFacts(outcome.sentence, curves))
        write_text(folder / "report.html", run_report(facts))
    return trained, outcome


def _looked(begun: _Begun, data: Dataset, progress: Progress | None) -> NDArray[np.float32]:
    """Features from the user's own bank: the one whose filling is timed must begin empty."""
    root = begun.settings.bank or imagenet.cache_dir() / "bank"
    return pooled(begun.weights, data, Means(root, begun.settings.engine, begun.settings.bank_gb, progress))


@dataclass
class _Begun:
    """A run whose photos and weights are at hand and whose folder is there."""

    source: Path
    folder: Path
    settings: Settings
    photos: list[Photo]
    found: Gathered
    weights: Path
    record: dict[str, Any]
    clock: Clock


@contextmanager
def _machines(folder: Path, settings: Settings) -> Iterator[Cluster | None]:
    """The machines of a cluster, if the run is to use one."""
    if settings.cluster is None:
        yield None
        return
    from leafgraft.cluster.training import cluster

    with cluster(
        settings.cluster, folder, engine=settings.engine, gpus=settings.gpus_per_worker, every=settings.checkpoint_every
    ) as machines:
        yield machines


@contextmanager
def _begun(
    source: Path,
    folder: Path,
    settings: Settings,
    watch: Watch,
    equal: Equal | None = None,
    machines: Cluster | None = None,
) -> Iterator[_Begun]:
    """Begin a run, or go on with one, and write down how it ended."""
    request = request_of(source, settings, equal)
    require_fit(folder, source, request)
    clock = Clock()
    with clock("scan"):
        if machines is None:
            photos = scanned(source, settings, watch.progress)
        else:
            means = Means(settings.bank or imagenet.cache_dir() / "bank", settings.engine, progress=watch.progress)
            weights = imagenet.fetch(settings.weights, progress=watch.progress)
            photos = machines.scanned(scanning(source, settings), weights, means)
        found = divided(photos, source, settings)  # what cannot be split is refused before anything is computed
    if equal and found.test is None:
        raise UserError("A comparison needs photos held out for the test; give --test-fraction a value above 0.")
    if equal and settings.recipe.keep_best and found.val is None:
        raise UserError(
            f"The recipe {settings.recipe.name} chooses by validation photos; give --val-fraction a value above 0."
        )
    with clock("weights"):
        weights = imagenet.fetch(settings.weights, progress=watch.progress)
    begun = _Begun(source, folder, settings, photos, found, weights, record_of(source, settings, found, equal), clock)
    with held(folder):
        if require_fit(folder, source, request):  # again, as another process may have been at it
            require_same_photos(folder, photos)
            watch.say(f"Going on with the interrupted run in {folder}.")
        write_json(folder / RECORD, begun.record | {"status": "running"})
        try:
            write_manifest(folder / "manifest.csv", photos)
            yield begun
        except BaseException as error:
            how = {"status": "interrupted"} if isinstance(error, KeyboardInterrupt) else {"status": "failed"}
            write_json(folder / RECORD, begun.record | how | {"reason": str(error)})
            raise
        write_json(folder / RECORD, begun.record | {"status": "finished"})
    shutil.rmtree(folder / CHECKPOINTS)


def _classifier(begun: _Begun, watch: Watch, machines: Cluster | None = None) -> PlantClassifierTransferLearning:
    """A new classifier for the species of a run."""
    settings, clock = begun.settings, begun.clock
    with clock("tensorflow"), under_way(watch.progress, "Loading TensorFlow"):
        from leafgraft._tensorflow import deterministic
    if settings.deterministic:
        deterministic()
    with clock("build"), under_way(watch.progress, "Building the network"):
        classifier = settings.classifier(begun.found.classes, begun.weights, machines)
    classifier.freeze_base_model()  # so that it remembers the features which the audit asks for
    if machines:
        classifier.take_features(machines.seen)
    return classifier


def _audited(begun: _Begun, watch: Watch, features: Callable[[Dataset], NDArray[np.float32]]) -> Audit | None:
    """Look for copies and bursts, and split the photos so that each stays on one side."""
    settings = begun.settings
    audit = None
    if settings.check:
        with begun.clock("audit"):
            usable = [photo for photo in begun.photos if not photo.problem]
            rows = features(Dataset.of_photos(usable, begun.found.classes))
            audit = examine(begun.photos, rows, thorough=False, progress=watch.progress)
            begun.found = divided(audit.grouped(), begun.source, settings)
    watch.say(described(begun.found))
    for line in brief(audit) if audit else ():
        watch.say(f"  {line}")
    before = {name: begun.record[name] for name in ("equal", "started")}
    begun.record = record_of(begun.source, settings, begun.found) | before
    write_manifest(begun.folder / "manifest.csv", begun.found.photos)
    return audit


def _trained(
    begun: _Begun,
    classifier: PlantClassifierTransferLearning,
    audit: Audit | None,
    watch: Watch,
    watched: Dataset | None,
    checkpoint: Checkpoint | None,
) -> Trained:
    found, settings, clock = begun.found, begun.settings, begun.clock
    watch.say(choose(settings.engine).sentence)
    track = None if settings.track is None else tracker(settings.track, begun.folder, watch.say)
    if track:
        track.start(begun.record)
    try:
        folds = None
        if settings.folds:
            with clock("folds"):
                folds = cross_validated(found, settings, begun.weights, watch, checkpoint)
        elapsed = _fit(classifier, begun, watched, watch, track, checkpoint)
        result = evaluated(
            classifier, found, begun.record, begun.folder, clock, audit=audit, folds=folds, progress=watch.progress
        )
    except BaseException:
        if track:
            track.failed()
        raise
    if track:
        track.finish(result.metrics, [path for path in sorted(begun.folder.iterdir()) if path.is_file()])
    return Trained(classifier, found, result.metrics, elapsed, result.answers, result.facts)


def _fit(
    classifier: PlantClassifierTransferLearning,
    begun: _Begun,
    watched: Dataset | None,
    watch: Watch,
    track: Tracker | None,
    checkpoint: Checkpoint | None,
) -> list[float]:
    """Train; returns the seconds that had passed at the end of each line of the history."""
    from leafgraft._tensorflow import keras

    settings, folder, clock, data = begun.settings, begun.folder, begun.clock, begun.found.train
    elapsed: list[float] = []
    start = time.perf_counter()
    if checkpoint:
        if found := checkpoint.take("run"):
            elapsed += found.facts["elapsed"]
            start -= found.facts["seconds"]
            clock.add(found.facts["parts"], found.facts["total"])
        checkpoint.keep(
            "run",
            lambda: Part(
                {"elapsed": elapsed, "seconds": time.perf_counter() - start}
                | {"parts": clock.seconds, "total": clock.total()}
            ),
        )

    def told(*_: Any) -> None:
        elapsed.append(time.perf_counter() - start)
        write_csv(folder / "history.csv", HISTORY, classifier.history)
        watch.epoch(classifier.history[-1])
        if track:
            track.epoch(classifier.history[-1], len(elapsed))

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
        checkpoint=checkpoint,
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
