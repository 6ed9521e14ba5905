"""Training: the suffix is fitted from the bank, epoch by epoch, by ordinary Keras."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft._tensorflow import keras
from leafgraft.engine.batches import batches
from leafgraft.engine.checkpoint import Checkpoint, Part
from leafgraft.engine.features import through
from leafgraft.engine.history import LOG_LOSS
from leafgraft.engine.machines import Course, Variables
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Feed, Means, Prefix, Store, held
from leafgraft.errors import UserError
from leafgraft.machine import free_bytes, release_memory
from leafgraft.network import computing_in, cut
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import CENTRE, Dataset
from leafgraft.progress import Progress
from leafgraft.recipes import Views

_log = logging.getLogger(__name__)

Schedule = Callable[[int, int], float]
"""Gives the rate of a step, from its number over all epochs, 0 for the first, and how many steps an epoch has."""


@dataclass
class Place:
    """How far a training is.

    Attributes:
        size: photos a step.
        epoch: epochs that are done.
        photos: how many photos of the next one have been seen.
        ended: whether the training is over.
    """

    size: int
    epoch: int = 0
    photos: int = 0
    ended: bool = False


def fit(
    model: keras.Model,
    data: Dataset,
    validation: Dataset | None,
    *,
    means: Means,
    epochs: int,
    batch_size: int = 32,
    views: Views = 1,
    augmentation: Augmentation | None = None,
    unfreeze: int = 0,
    class_weight: dict[int, float] | None = None,
    schedule: Schedule | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    title: str = "Training",
    checkpoint: Checkpoint | None = None,
) -> keras.callbacks.History:
    """Train a compiled model as Keras' ``fit`` would, with the frozen part computed once.

    Where the processor computes in bfloat16, so do the layers that learn, except for the softmax; their weights stay
    float32 (Micikevicius et al. 2017, https://arxiv.org/abs/1710.03740; the engine "fp32" prevents it). Batches are
    smaller where memory is scarce, and if it does not suffice for one it goes on with batches of half the size.

    Args:
        model: flat and functional, compiled with categorical cross-entropy; its ``trainable`` flags decide where it is
            cut.
        data: the photos to train on.
        validation: photos for the figures after each epoch, seen as centre crops.
        means: what the frozen part is computed with.
        epochs: how many.
        batch_size: photos a step.
        views: random views kept of each photo, of which an epoch shows one; used with ``augmentation``.
        augmentation: ranges of the random views; None shows the centre crop alone.
        unfreeze: how many layers are going to be fine-tuned on these views afterwards, so that one pass through the
            frozen layers serves both.
        class_weight: what each label's loss is multiplied by.
        schedule: gives the rate of each step; None leaves it as the optimizer has it.
        seed: of the shuffling and the choice of views.
        callbacks: Keras callbacks; they see ``model``, not the suffix. ``params["skipped"]`` is the number of steps
            that an epoch which is gone on with had before. Where other machines fine-tune, they are not told of single
            steps.
        verbose: as in Keras.
        title: what the training is called where progress is told; it also names its part of the checkpoint.
        checkpoint: keeps the weights, the optimizer and how far the training is, and has it go on from there.

    Returns:
        Keras' record of the epochs.

    Raises:
        UserError: the memory does not suffice for a single photo.
    """
    halves = cut(model)
    # The optimizer is the model's own, so that a second call goes on where the first one ended, and what a callback
    # does to the rate of `model` counts.
    if not model.optimizer.built:
        # Keras would do it while it traces the first step, where it takes many times as long.
        model.optimizer.build(model.trainable_variables)
    model.stop_training = False
    # The loss may contain label smoothing, and is then no measure to compare with others by.
    metrics = ["accuracy", keras.metrics.CategoricalCrossentropy(name=LOG_LOSS)]
    halves.suffix.compile(optimizer=model.optimizer, loss=model.loss, metrics=metrics, jit_compile=False)
    history = keras.callbacks.History()
    history.on_train_begin()
    numbers = [CENTRE] if augmentation is None else list(range(epochs if views == "fresh" else int(views)))
    ranges = Augmentation() if augmentation is None else augmentation
    machines = means.machines if len(halves.shapes[0]) > 1 else None  # a head alone is fitted here
    shards = watched_shards = None
    if machines:
        # Before a checkpoint is read: what is kept is named by the network as it was when the training began.
        prefix = Prefix.with_features(model, halves)
        shards = machines.shards(prefix, means, data, numbers, ranges)
        watched_shards = machines.shards(prefix, means, validation, [CENTRE], ranges) if validation else None
    size = machines.size(batch_size) if machines else _affordable(batch_size, halves.suffix)
    keep = _Keep(halves.suffix, Place(size), seed, title, checkpoint)
    place = keep.place
    if place.ended:
        return history
    steps = _Steps(means.progress, title)
    own = [keep, history, _StopTogether(halves.suffix), steps]
    whole = keras.callbacks.CallbackList(
        [*([_Rate(schedule)] if schedule else ()), *callbacks, *own],
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=-(-len(data) // place.size),
        skipped=0,
    )
    halves.suffix.history = history
    half = choose(means.engine).name == "bf16"
    if machines:
        learning = [id(variable) for variable in halves.suffix.trainable_variables]
        order = [learning.index(id(variable)) for variable in model.trainable_variables]
        course = Course(
            halves.suffix, order, epochs, place.size, batch_size, keep.seed, schedule, class_weight or {}, half
        )

        def told(epoch: int, logs: dict[str, float], values: Variables) -> bool:
            if epoch == place.epoch:  # others may have gone back to a checkpoint of theirs
                keep.assign(values)
                whole.on_epoch_end(epoch, logs)
                place.ended = place.epoch >= epochs or halves.suffix.stop_training
                if not place.ended:
                    whole.on_epoch_begin(place.epoch)
            return place.ended

        whole.on_train_begin()
        whole.on_epoch_begin(place.epoch)
        try:
            machines.fit(course, shards, watched_shards, place, keep.values(), told, steps.at)
        except BaseException:
            if checkpoint:
                checkpoint.write()  # so that theirs, of the epoch at hand, goes on from here
            raise
        whole.on_train_end()
    else:
        if (unfreeze or means.machines) and views != "fresh":
            feed = held(through(model, means, data, numbers, ranges, unfreeze), data)
            watched = (
                held(through(model, means, validation, [CENTRE], ranges, unfreeze), validation) if validation else None
            )
        else:
            store = Store(Prefix.of(halves), means)
            feed = store.feed(data, numbers, augmentation, keep=augmentation is None or views != "fresh")
            watched = store.feed(validation, [CENTRE]) if validation else None
            store.rest(feed, *([watched] if watched else []))
        feed = replace(feed, weights=row_weights(class_weight, data.labels))
        try:
            _fit_here(halves.suffix, feed, watched, keep, whole, epochs=epochs, in_turn=views == "fresh", half=half)
        finally:
            release_memory()
            if half:  # what a callback had the whole model trace would go on computing in bfloat16
                model.predict_function = model.test_function = None
    steps.over()
    if checkpoint:
        checkpoint.write()
    return history


def _fit_here(
    suffix: keras.Model,
    feed: Feed,
    watched: Feed | None,
    keep: _Keep,
    whole: keras.callbacks.CallbackList,
    *,
    epochs: int,
    in_turn: bool,
    half: bool,
) -> None:
    """Fit a suffix by Keras, with smaller batches whenever the memory does not suffice."""
    import tensorflow as tf

    place, photos = keep.place, len(feed.places)
    failures: list[Exception] = []
    try:
        with computing_in(suffix, "mixed_bfloat16" if half else None):
            while not place.ended:
                per_epoch, seen = -(-photos // place.size), place.photos // place.size
                whole.set_params(whole.params | {"steps": per_epoch, "skipped": seen})
                try:
                    suffix.fit(
                        batches(
                            feed, place.size, keep.seed, in_turn=in_turn, failures=failures,
                            first=place.epoch, skipped=place.photos,
                        ),
                        validation_data=batches(watched, place.size, None, failures=failures) if watched else None,
                        initial_epoch=place.epoch,
                        epochs=place.epoch + 1 if place.photos else epochs,  # what is left of an epoch is a fit alone
                        callbacks=whole,
                        shuffle=False,  # the batches are shuffled already
                        verbose=whole.params["verbose"],
                    )  # fmt: skip
                except tf.errors.ResourceExhaustedError as error:
                    if place.size == 1:
                        raise UserError(
                            "The memory does not suffice to train on a single photo: close other programs, or let "
                            "fewer layers learn."
                        ) from error
                    place.size //= 2
                    _log.warning("The memory does not suffice: it goes on with %d photos a step.", place.size)
                else:
                    place.ended = place.epoch >= epochs or suffix.stop_training
    except Exception:
        if failures:
            raise failures[0] from None
        raise


def _affordable(size: int, model: keras.Model) -> int:
    """The photos a step for which half of the free memory suffices, at most ``size``."""
    values = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    photo = 4 * 2 * values  # bytes, with the gradients
    while size > 1 and size * photo > free_bytes() // 2:
        size //= 2
    return size


def row_weights(class_weight: dict[int, float] | None, labels: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """What each row's loss is multiplied by, float32 (n,), from the weights of the labels."""
    if class_weight is None:
        return None
    return np.array([class_weight.get(label, 1.0) for label in labels.tolist()], np.float32)


class _Keep(keras.callbacks.Callback):  # type: ignore[misc]
    """Knows how far the training is, and keeps a checkpoint of it.

    Attributes:
        place: how far it is.
        seed: of the training, which is that of its first beginning.
    """

    def __init__(self, suffix: keras.Model, place: Place, seed: int, name: str, checkpoint: Checkpoint | None) -> None:
        super().__init__()
        self.place, self.seed = place, seed
        self._suffix, self._checkpoint = suffix, checkpoint
        self._sums: list[NDArray[Any]] = []  # of the figures in the midst of an epoch
        if checkpoint is None:
            return
        if found := checkpoint.take(name):
            self.place, self.seed = Place(**found.facts["place"]), found.facts["seed"]
            values = list(found.arrays)
            self.assign(values)
            self._sums = values[len(self._variables) :]
        checkpoint.keep(name, self._part)

    def values(self) -> Variables:
        """The variables as they are."""
        return [np.asarray(variable) for variable in self._variables]

    def assign(self, values: Sequence[NDArray[Any]]) -> None:
        """Give the variables the first of some values."""
        for variable, value in zip(self._variables, values, strict=False):
            variable.assign(value)

    @property
    def _variables(self) -> list[Any]:
        """Weights, the state of dropout's chance, and the optimizer's."""
        return [*self._suffix.variables, *self._suffix.optimizer.variables]

    def _part(self) -> Part:
        every = [*self._variables, *(self._sums or (self._suffix.metrics_variables if self.place.photos else ()))]
        return Part({"place": asdict(self.place), "seed": self.seed}, (np.asarray(one) for one in every))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._sums:  # Keras makes the variables of its metrics in the first step; they are sums and counts
            for variable, value in zip(self._suffix.metrics_variables, self._sums, strict=True):
                variable.assign_add(value)
            self._sums = []
        self.place.photos += self.place.size
        # After the last step the epoch is not over: the figures of the validation are to come.
        if self._checkpoint and self._checkpoint.due and batch + 1 < self.params["steps"] - self.params["skipped"]:
            self._checkpoint.write()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.place.epoch, self.place.photos = epoch + 1, 0
        over = self.model.stop_training or self.place.epoch == self.params["epochs"]  # `fit` writes the last one
        if self._checkpoint and self._checkpoint.due and not over:
            self._checkpoint.write()


class _StopTogether(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands the wish to stop, which callbacks express on the whole model, to the suffix that is being fitted."""

    def __init__(self, suffix: keras.Model) -> None:
        super().__init__()
        self._suffix = suffix

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._suffix.stop_training = self.model.stop_training

    on_train_batch_end = on_epoch_end


class _Rate(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the rate of each step."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule, self._epoch = schedule, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        steps = self.params["steps"]
        step = self._epoch * steps + self.params["skipped"] + batch
        self.model.optimizer.learning_rate = self._schedule(step, steps)


class _Steps(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells how many steps of all epochs are done."""

    def __init__(self, progress: Progress | None, title: str) -> None:
        super().__init__()
        self._progress, self._title, self._done = progress, f"{title}, steps", 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._done = epoch * self.params["steps"] + self.params["skipped"]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.at(self._done + 1)

    def at(self, done: int) -> None:
        """Tell that so many are done."""
        self._done = done
        if self._progress:
            self._progress(self._title, self._done, max(self._done + 1, self.params["epochs"] * self.params["steps"]))

    def over(self) -> None:
        """Tell that there are no more."""
        if self._progress:
            self._progress(self._title, self._done, self._done)
