"""Training: the suffix is fitted from the bank, epoch by epoch, by ordinary Keras."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft._tensorflow import keras
from leafgraft.engine.features import through
from leafgraft.engine.history import LOG_LOSS
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Feed, Means, Prefix, Store, held
from leafgraft.machine import release_memory
from leafgraft.network import computing_in_bfloat16, cut
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import CENTRE, Dataset
from leafgraft.progress import Progress
from leafgraft.recipes import Views


def batches(
    feed: Feed, size: int, seed: int | None, *, in_turn: bool = False, failures: list[Exception] | None = None
) -> Any:
    """Read a feed epoch after epoch, each photo once an epoch, straight from the bank.

    Args:
        feed: what to read.
        size: photos a batch.
        seed: of the shuffling and the choice of views; None keeps the order and takes the first view.
        failures: takes what goes wrong while rows are computed, which TensorFlow would turn into errors of its own.
        in_turn: whether the epochs show one view after another instead of drawing one for each photo.

    Returns:
        A ``tf.data.Dataset`` of (inputs, targets) or (inputs, targets, weights), inputs and weights in float32. Each
        pass over it is an epoch.
    """
    import tensorflow as tf

    photos, views = feed.places.shape
    chance = None if seed is None else np.random.default_rng(seed)
    epochs = itertools.count()

    def epoch() -> Iterator[tuple[Any, ...]]:
        turn = next(epochs)
        order: NDArray[np.int64] = np.arange(photos, dtype=np.int64)
        view: NDArray[np.int64] = np.zeros(photos, np.int64)
        if chance is not None:
            order = np.asarray(chance.permutation(photos), np.int64)
            view = np.asarray(np.full(photos, turn % views) if in_turn else chance.integers(0, views, photos))
        rows = feed.read(list(zip(order.tolist(), view[order].tolist(), strict=True)), size)
        for start, tensors in zip(range(0, photos, size), rows, strict=True):
            chosen = order[start : start + size]
            rest = () if feed.weights is None else (feed.weights[chosen],)
            wide = tuple(tensor.astype(np.float32) for tensor in tensors)
            yield wide if len(wide) > 1 else wide[0], feed.targets[chosen], *rest

    inputs = tuple(tf.TensorSpec((None, *shape), tf.float32) for shape in feed.rows.shapes)
    signature = (
        inputs if len(inputs) > 1 else inputs[0],
        tf.TensorSpec((None, feed.targets.shape[1]), tf.float32),
        *(() if feed.weights is None else (tf.TensorSpec((None,), tf.float32),)),
    )

    def told() -> Iterator[tuple[Any, ...]]:
        try:
            yield from epoch()
        except Exception as error:
            if failures is not None:
                failures.append(error)
            raise

    data = tf.data.Dataset.from_generator(told, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(-(-photos // size))).prefetch(2)
    # There is nothing to tune, and at the end of an epoch TensorFlow waits up to 8 s for the thread that would do it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


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
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    title: str = "Training",
) -> keras.callbacks.History:
    """Train a compiled model as Keras' ``fit`` would, with the frozen part computed once.

    Where the processor computes in bfloat16, so do the layers that learn, except for the softmax; their weights stay
    float32 (Micikevicius et al. 2017, https://arxiv.org/abs/1710.03740; the engine "fp32" prevents it).

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
        seed: of the shuffling and the choice of views.
        callbacks: Keras callbacks; they see ``model``, not the suffix.
        verbose: as in Keras.
        title: what the training is called where progress is told.

    Returns:
        Keras' record of the epochs.
    """
    halves = cut(model)
    fresh = views == "fresh"
    numbers = [CENTRE] if augmentation is None else list(range(epochs if fresh else int(views)))
    if unfreeze and not fresh:
        ranges = Augmentation() if augmentation is None else augmentation
        feed = held(through(model, means, data, numbers, ranges, unfreeze), data)
        crops = None if validation is None else through(model, means, validation, [CENTRE], ranges, unfreeze)
        watched = None if validation is None or crops is None else held(crops, validation)
    else:
        store = Store(Prefix.of(halves), means)
        feed = store.feed(data, numbers, augmentation, keep=augmentation is None or not fresh)
        watched = None if validation is None else store.feed(validation, [CENTRE])
        store.rest(feed, *([watched] if watched else []))
    feed = replace(feed, weights=row_weights(class_weight, data.labels))
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
    own = [history, _StopTogether(halves.suffix)]
    if means.progress:
        own.append(_Steps(means.progress, title))
    whole = keras.callbacks.CallbackList(
        [*callbacks, *own],
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=-(-len(data) // batch_size),
    )
    halves.suffix.history = history
    failures: list[Exception] = []
    half = choose(means.engine).name == "bf16"
    try:
        with computing_in_bfloat16(halves.suffix, wanted=half):
            halves.suffix.fit(
                batches(feed, batch_size, seed, in_turn=fresh, failures=failures),
                validation_data=batches(watched, batch_size, None, failures=failures) if watched else None,
                epochs=epochs,
                callbacks=whole,
                shuffle=False,  # the batches are shuffled already
                verbose=verbose,
            )
    except Exception:
        if failures:
            raise failures[0] from None
        raise
    finally:
        release_memory()
        if half:  # what a callback had the whole model trace would go on computing in bfloat16
            model.predict_function = model.test_function = None
    return history


def row_weights(class_weight: dict[int, float] | None, labels: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """What each row's loss is multiplied by, float32 (n,), from the weights of the labels."""
    if class_weight is None:
        return None
    return np.array([class_weight.get(label, 1.0) for label in labels.tolist()], np.float32)


class _StopTogether(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands the wish to stop, which callbacks express on the whole model, to the suffix that is being fitted."""

    def __init__(self, suffix: keras.Model) -> None:
        super().__init__()
        self._suffix = suffix

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._suffix.stop_training = self.model.stop_training

    on_train_batch_end = on_epoch_end


class _Steps(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells how many steps of all epochs are done."""

    def __init__(self, progress: Progress, title: str) -> None:
        super().__init__()
        self._progress, self._title, self._done = progress, f"{title}, steps", 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._done += 1
        self._progress(self._title, self._done, max(self._done + 1, self.params["epochs"] * self.params["steps"]))

    def on_train_end(self, logs: Any = None) -> None:
        self._progress(self._title, self._done, self._done)
