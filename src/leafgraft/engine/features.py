"""Features of views, 2,048 numbers each, from the activations that fine-tuning needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft._tensorflow import keras
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Means, Prefix, Store
from leafgraft.network import base_of, cut_at_pool, cut_for, without_xla
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import Dataset

_ROWS = 16  # a batch of the layers between the two cuts: each of its rows is a megabyte, and TensorFlow keeps batches


def through(
    model: keras.Model,
    means: Means,
    data: Dataset,
    numbers: Sequence[int],
    augmentation: Augmentation,
    unfreeze: int,
) -> NDArray[np.floating[Any]]:
    """Compute the pooled features of views, as the model is now.

    What the last layers need is put into the bank with them: the network sees each view once, for the features and for
    the fine-tuning of these layers alike. Where the bank has what they need already, because they have learned since,
    the features are computed from there.

    Args:
        model: with one of our heads.
        means: what the frozen part is computed with.
        data: the photos.
        numbers: of the views.
        augmentation: ranges of the random views.
        unfreeze: how many of the last layers of the base will learn, or have learned; 0 for none.

    Returns:
        (photos, views, 2048), at least 0; float32, but for so many from other machines that they are in a file.
    """
    halves = cut_for(model, unfreeze)
    if means.machines:
        learned = any(layer.trainable for layer in base_of(model).layers)  # then nobody needs the activations again
        prefix = Prefix.of(cut_at_pool(model)) if learned else Prefix.with_features(model, halves)
        return means.machines.rows(prefix, means, data, numbers, augmentation)
    if len(halves.shapes[0]) == 1:  # none of these layers has anything to learn, and the cut lies behind the pooling
        return Store(Prefix.of(cut_at_pool(model)), means).all_rows(data, numbers, augmentation)
    store = Store(Prefix.of(halves), means)
    if not halves.takes_photos and choose(means.engine).name != "int8":  # in which each network is calibrated by itself
        whole = Store(Prefix.with_features(model, halves), means)
        if whole.fill_with(store, data, numbers, augmentation):
            return whole.all_rows(data, numbers, augmentation)
    feed = store.feed(data, numbers, augmentation)
    store.rest(feed)
    rest = without_xla(keras.Model(halves.prefix.outputs, model.get_layer("pool").output))
    parts = []
    for done, rows in enumerate(feed.read_all(_ROWS), start=1):
        wide = [tensor.astype(np.float32) for tensor in rows]
        parts.append(np.asarray(rest.predict_on_batch(wide if len(wide) > 1 else wide[0])))
        if means.progress:
            means.progress("Computing the features of the views", min(done * _ROWS, feed.places.size), feed.places.size)
    return np.concatenate(parts).reshape(len(data), len(numbers), -1)
