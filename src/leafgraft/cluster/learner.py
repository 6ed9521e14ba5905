"""What each worker of Ray Train does: it learns from its own shards, in step with all others.

Each step adds up the gradients of all workers before anybody takes it, so that the weights stay the same everywhere
(synchronous data parallelism; https://www.tensorflow.org/guide/distributed_training#multiworkermirroredstrategy). The
loop is our own, as Keras' ``fit`` cannot run under that strategy.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.cluster.shards import Batch, Shards
from leafgraft.engine.history import LOG_LOSS
from leafgraft.engine.machines import Variables
from leafgraft.engine.stages import Schedule

ASK_EVERY = 0.5
"""Seconds between two questions whether somebody wants to end."""

SCALE = 1024.0
"""What a loss in float16 is multiplied by, so that small gradients do not vanish (Micikevicius et al. 2017)."""


@dataclass(frozen=True)
class Task:
    """What workers are to do.

    Attributes:
        suffix: a Keras model, as JSON.
        loss: its loss, as Keras serializes it.
        optimizer: its optimizer, as Keras serializes it.
        order: the places of the optimizer's variables among those of the suffix that learn.
        variables: the values of the suffix's and the optimizer's.
        shards: of the photos to learn from.
        watched: of those to look at after each epoch.
        epochs: how many.
        size: photos a step, of all workers together.
        factor: what rates are multiplied by.
        schedule: gives the rate of each step; None leaves the optimizer's.
        seed: of the order of the photos.
        weights: what each label's loss is multiplied by, if not 1.
        policy: Keras' name of the precision to compute in; None for float32.
        threads: how many each worker computes in.
        epoch: the first epoch to do.
        every: seconds between two checkpoints in the midst of an epoch.
        desk: an actor `leafgraft.cluster.training.Desk`, which is told.
    """

    suffix: str
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    order: Sequence[int]
    variables: Variables
    shards: Shards
    watched: Shards | None
    epochs: int
    size: int
    factor: float
    schedule: Schedule | None
    seed: int
    weights: Mapping[int, float]
    policy: str | None
    threads: int
    epoch: int
    every: float
    desk: Any


def learn(config: Mapping[str, Any]) -> None:
    """Learn until the last epoch, or until somebody wants to end; ``config`` holds a reference to a `Task`."""
    import ray
    import ray.train
    import tensorflow as tf

    task: Task = ray.get(config["task"])
    # Before anything else is asked of TensorFlow, or it has made up its mind already.
    tf.config.threading.set_intra_op_parallelism_threads(task.threads)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    context = ray.train.get_context()
    with ExitStack() as stack:
        stack.enter_context(strategy.scope())
        _Learner(task, strategy, context.get_world_rank(), context.get_world_size(), stack).run()


class _Learner:
    """One worker. Its state is what a checkpoint holds: epoch, steps and sums of the one at hand, and the variables."""

    def __init__(self, task: Task, strategy: Any, rank: int, workers: int, stack: ExitStack) -> None:
        from leafgraft._tensorflow import half_on_gpu, keras
        from leafgraft.network import computing_in, without_xla

        self.task, self.rank, self.workers = task, rank, workers
        self.local = -(-task.size // workers)
        self.steps = task.shards.steps(workers, self.local)
        self.suffix = without_xla(keras.models.model_from_json(task.suffix))
        policy = half_on_gpu() or task.policy
        stack.enter_context(computing_in(self.suffix, policy))
        self.optimizer = keras.optimizers.deserialize(task.optimizer)
        learning = self.suffix.trainable_variables
        self.optimizer.build([learning[place] for place in task.order])
        self._compile(strategy, SCALE if policy == "mixed_float16" else 1.0)
        self.epoch, self.step = task.epoch, 0
        self.sums = np.zeros(4)
        self._assign(task.variables)
        self._saved = self._asked = time.monotonic()

    def _compile(self, strategy: Any, scale: float) -> None:
        """Make the two steps, of learning and of looking, as graphs.

        Each takes the tensors (b, *shape), targets (b, classes), weights (b,), which photos count (b,), how many count
        on all workers, and flags. Each returns loss, hits, log loss, photos and flags, summed over all workers.
        """
        import tensorflow as tf

        from leafgraft._tensorflow import keras

        config = dict(self.task.loss["config"]) | {"reduction": None}
        loss = keras.losses.deserialize({**self.task.loss, "config": config})
        suffix, optimizer, learning = self.suffix, self.optimizer, self.suffix.trainable_variables

        def told(answers: Any, losses: Any, targets: Any, counts: Any, flags: Any) -> Any:
            hits = tf.cast(tf.argmax(answers, 1) == tf.argmax(targets, 1), tf.float32)
            plain = keras.losses.categorical_crossentropy(targets, answers)
            figures = [tf.reduce_sum(one * counts) for one in (losses, hits, plain, tf.ones_like(hits))]
            return tf.distribute.get_replica_context().all_reduce("SUM", tf.concat([tf.stack(figures), flags], 0))

        def learned(tensors: Any, targets: Any, weights: Any, counts: Any, photos: Any, flags: Any) -> Any:
            with tf.GradientTape() as tape:
                answers = tf.cast(suffix(tensors, training=True), tf.float32)
                losses = loss(targets, answers) * weights
                mean = tf.reduce_sum(losses * counts) / photos * scale
            slopes = [slope / scale for slope in tape.gradient(mean, [variable.value for variable in learning])]
            if scale != 1.0:  # what has overflowed on any worker counts nowhere
                bad = tf.cast(tf.reduce_any([tf.reduce_any(~tf.math.is_finite(slope)) for slope in slopes]), tf.float32)
                bad = tf.distribute.get_replica_context().all_reduce("SUM", bad)
                slopes = [tf.where(bad > 0, tf.zeros_like(slope), slope) for slope in slopes]
            optimizer.apply(slopes, learning)  # which adds up those of all workers
            return told(answers, losses, targets, counts, flags)

        def looked(tensors: Any, targets: Any, weights: Any, counts: Any, photos: Any, flags: Any) -> Any:
            answers = tf.cast(suffix(tensors, training=False), tf.float32)
            return told(answers, loss(targets, answers), targets, counts, flags)

        # Without autograph, which looks for Python's branches and loops to rewrite: there are none.
        self._learned, self._looked = (
            tf.function(lambda *given, part=part: strategy.run(part, given), autograph=False, jit_compile=False)
            for part in (learned, looked)
        )
        self._total = tf.function(
            lambda value: strategy.run(
                # What has not been computed on a device has none to be added up for.
                lambda one: tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(one)),
                (value,),
            ),
            autograph=False,
        )

    @property
    def _variables(self) -> list[Any]:
        return [*self.suffix.variables, *self.optimizer.variables]

    def _values(self) -> Variables:
        return [np.asarray(variable) for variable in self._variables]

    def _assign(self, values: Variables) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def run(self) -> None:
        """Go on from the last checkpoint to the end."""
        self._resume()
        over = False
        while not over and self.epoch < self.task.epochs:
            if not self._epoch():
                return
            logs = self._watched()
            self.epoch, self.step, self.sums = self.epoch + 1, 0, np.zeros(4)
            self._require_equal()
            over = self._told(logs)
            if not over and self._total(np.int64(self._due())):
                self._save()

    def _epoch(self) -> bool:
        """Do the rest of an epoch; returns whether it came to its end."""
        task, shards = self.task, self.task.shards.of(self.rank, self.workers)
        photos = [task.shards.of(rank, self.workers).photos for rank in range(self.workers)]
        batches = shards.batches(self.local, (task.seed, self.epoch, self.rank), self.step)
        while self.step < self.steps:
            if task.schedule:
                self.optimizer.learning_rate = task.factor * task.schedule(
                    self.epoch * self.steps + self.step, self.steps
                )
            counts = sum(min(self.local, max(0, each - self.step * self.local)) for each in photos)
            found = self._run(self._learned, next(batches, None), counts, self._flags())
            self.sums += found[:4]
            self.step += 1
            ending, due = found[4:] > 0
            if ending or (due and self.step < self.steps):
                self._save()
            if ending:
                return False
        return True

    def _watched(self) -> dict[str, float]:
        """The figures of an epoch by its sums, and those of the photos to look at."""
        logs = figures(self.sums)
        if self.task.watched is not None:
            batches = self.task.watched.of(self.rank, self.workers).batches(self.local)
            sums = np.zeros(4)
            for _ in range(self.task.watched.steps(self.workers, self.local)):
                sums += self._run(self._looked, next(batches, None), 1, np.zeros(2))[:4]
            logs |= {f"val_{name}": value for name, value in figures(sums).items()}
        return logs

    def _run(self, step: Any, batch: Batch | None, photos: int, flags: NDArray[Any]) -> NDArray[Any]:
        """Take a step; a batch that is not full is filled up with rows that do not count."""
        classes = len(self.task.shards.classes)
        if batch is None:  # the others have some left
            batch = [np.zeros((1, *shape), np.float32) for shape in self.task.shards.shapes], np.zeros(0, np.int64)
        tensors, labels = batch
        counts = (np.arange(self.local) < len(labels)).astype(np.float32)
        rows = np.minimum(np.arange(self.local), max(0, len(labels) - 1))
        labels = labels[rows] if len(labels) else np.zeros(self.local, np.int64)
        weights = np.array([self.task.weights.get(label, 1.0) for label in labels.tolist()], np.float32)
        wide = [tensor[rows] for tensor in tensors]
        targets = np.eye(classes, dtype=np.float32)[labels]
        given = (wide if len(wide) > 1 else wide[0], targets, weights, counts, np.float32(photos), np.float32(flags))
        return np.asarray(step(*map(_tensors, given)))

    def _flags(self) -> NDArray[np.float32]:
        """Whether somebody wants to end, and whether a checkpoint is due; the first worker decides for all."""
        flags = np.zeros(2, np.float32)
        now = time.monotonic()
        if self.rank == 0 and now - self._asked > ASK_EVERY:
            import ray

            self._asked = now
            flags[0] = ray.get(self.task.desk.step.remote(self.epoch * self.steps + self.step))
        flags[1] = self._due()
        return flags

    def _due(self) -> bool:
        """Whether it is time for a checkpoint; the first worker decides for all."""
        return self.rank == 0 and time.monotonic() - self._saved > self.task.every

    def _require_equal(self) -> None:
        """Have all workers compare their weights.

        Raises:
            RuntimeError: they differ.
        """
        digest = hashlib.sha256()
        for variable in self.suffix.variables:
            digest.update(np.ascontiguousarray(variable).data)
        own = int(digest.hexdigest()[:10], 16)
        if int(self._total(np.int64(own))) != own * self.workers:
            raise RuntimeError(f"The workers' weights differ after epoch {self.epoch}.")

    def _save(self) -> None:
        """Have Ray Train keep a checkpoint."""
        import ray.train

        self._saved = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="leafgraft-") as name:
            checkpoint = None
            if self.rank == 0:
                facts = {"epoch": self.epoch, "step": self.step, "sums": self.sums.tolist()}
                Path(name, "state.json").write_text(json.dumps(facts), encoding="utf-8")
                np.savez(Path(name, "state.npz"), *self._values())
                checkpoint = ray.train.Checkpoint.from_directory(name)
            ray.train.report({"epoch": self.epoch, "step": self.step}, checkpoint=checkpoint)

    def _resume(self) -> None:
        """Take up the last checkpoint, if it goes on from an epoch that whoever asked knows of."""
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return
        with checkpoint.as_directory() as name:
            facts = json.loads(Path(name, "state.json").read_text(encoding="utf-8"))
            if not self.task.epoch <= facts["epoch"] <= ray.get(self.task.desk.known.remote()):
                return
            with np.load(Path(name, "state.npz")) as arrays:
                self._assign([arrays[f"arr_{place}"] for place in range(len(arrays.files))])
        self.epoch, self.step, self.sums = facts["epoch"], facts["step"], np.array(facts["sums"])

    def _told(self, logs: dict[str, float]) -> bool:
        """Tell of the epoch that is done; returns whether it was the last."""
        over = 0
        if self.rank == 0:
            import ray

            desk, last = self.task.desk, self.epoch - 1
            ray.get(desk.tell.remote(last, self.epoch * self.steps, logs, self._values()))
            while (answer := ray.get(desk.verdict.remote(last))) is None:
                time.sleep(0.05)
            over = int(answer)
        return bool(self._total(np.int64(over)) > 0)


def figures(sums: NDArray[Any]) -> dict[str, float]:
    """The means by Keras' names, from sums of loss, hits, log loss and photos."""
    loss, hits, plain, photos = sums.tolist()
    return {"loss": loss / photos, "accuracy": hits / photos, LOG_LOSS: plain / photos}


def _tensors(given: Any) -> Any:
    import tensorflow as tf

    return [tf.constant(one) for one in given] if isinstance(given, list) else tf.constant(given)
