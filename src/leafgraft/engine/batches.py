"""The order in which a training reads the bank: epoch after epoch, batch after batch."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.store import Feed


def batches(
    feed: Feed,
    size: int,
    seed: int | None,
    *,
    in_turn: bool = False,
    failures: list[Exception] | None = None,
    first: int = 0,
    skipped: int = 0,
) -> Any:
    """Read a feed epoch after epoch, each photo once an epoch, straight from the bank.

    The order of an epoch depends on the seed and its number alone, so that a training can go on in the midst of one.

    Args:
        feed: what to read; the caller keeps it for as long as it is read.
        size: photos a batch.
        seed: of the shuffling and the choice of views; None keeps the order and takes the first view.
        failures: takes what goes wrong while rows are computed, which TensorFlow would turn into errors of its own.
        in_turn: whether the epochs show one view after another instead of drawing one for each photo.
        first: the number of the first epoch.
        skipped: how many of its photos have been seen already; there is then no other epoch.

    Returns:
        A ``tf.data.Dataset`` of (inputs, targets) or (inputs, targets, weights), inputs and weights in float32. Each
        pass over it is an epoch.
    """
    import tensorflow as tf

    photos, views = feed.places.shape
    epochs = itertools.count(first)
    # TensorFlow keeps every generator for good (https://github.com/tensorflow/tensorflow/issues/37653), so that what
    # it holds, the network included, would never be let go.
    lent = weakref.ref(feed)

    def epoch() -> Iterator[tuple[Any, ...]]:
        turn = next(epochs)
        feed = lent()
        assert feed is not None
        order: NDArray[np.int64] = np.arange(photos, dtype=np.int64)
        view: NDArray[np.int64] = np.zeros(photos, np.int64)
        if seed is not None:
            chance = np.random.default_rng([seed, turn])
            order = np.asarray(chance.permutation(photos), np.int64)
            view = np.asarray(np.full(photos, turn % views) if in_turn else chance.integers(0, views, photos))
        order = order[skipped:]
        rows = feed.read(list(zip(order.tolist(), view[order].tolist(), strict=True)), size)
        for start, tensors in zip(range(0, len(order), size), rows, strict=True):
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
    data = data.apply(tf.data.experimental.assert_cardinality(-(-(photos - skipped) // size))).prefetch(2)
    # There is nothing to tune, and at the end of an epoch TensorFlow waits up to 8 s for the thread that would do it.
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)
