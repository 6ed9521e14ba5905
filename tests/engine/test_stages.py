from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leafgraft import network
from leafgraft._tensorflow import keras
from leafgraft.engine import stages
from leafgraft.photos import Augmentation
from leafgraft.photos.dataset import CENTRE, Dataset

COLOURS = np.arange(10, 250, 20, dtype=np.uint8)


@pytest.fixture
def data() -> Dataset:
    """Twelve plain grey photos, told apart by their grey; the label is the place modulo 3. Two are equal."""
    pixels = np.broadcast_to(COLOURS[:, None, None, None], (12, 224, 224, 3)).copy()
    pixels[5] = pixels[2]
    return Dataset.of_arrays(pixels, np.arange(12) % 3, ["a", "b", "c"])


@pytest.fixture
def halves() -> network.Halves:
    """A prefix that gives the grey of a photo, and a suffix that learns."""
    photo = keras.Input((224, 224, 3), name="photo")
    kernel = np.full((1, 1, 3, 1), 1 / 3, np.float32)
    grey = keras.layers.Conv2D(1, 1, name="grey")
    x = keras.layers.GlobalAveragePooling2D()(grey(photo))
    grey.set_weights([kernel, np.zeros(1, np.float32)])
    grey.trainable = False
    model = keras.Model(photo, keras.layers.Dense(3, activation="softmax")(x))
    return network.cut(model)


def test_every_row_belongs_to_its_photo(halves: network.Halves, data: Dataset, tmp_path: Path) -> None:
    store = stages.Store(halves, tmp_path)
    store.feed(data.subset(np.array([7, 3, 3, 1])), [CENTRE], Augmentation())  # part of the bank is there already
    feed = store.feed(data, [CENTRE], Augmentation())
    expected = data.source[:, 0, 0, 0].astype(np.float16)  # type: ignore[call-overload]
    np.testing.assert_allclose(feed.tensors[0][feed.places[:, 0], 0], expected, atol=0.5)
    assert len(feed.tensors[0]) == 11  # equal photos share a row
    np.testing.assert_array_equal(feed.targets.argmax(axis=1), data.labels)


def test_an_epoch_shows_each_photo_once_with_its_label_and_weight(
    halves: network.Halves, data: Dataset, tmp_path: Path
) -> None:
    feed = stages.Store(halves, tmp_path).feed(data, [0, 1, 2], Augmentation())
    feed = stages.Feed(feed.tensors, feed.places, feed.targets, weights=np.arange(12, dtype=np.float32))
    batches = stages.Batches(feed, batch_size=5, seed=0)
    orders = []
    for _ in range(2):
        parts = [batches[i] for i in range(len(batches))]
        grey, targets, weights = (np.concatenate([part[i] for part in parts]) for i in range(3))
        order = weights.astype(int)
        assert sorted(order) == list(range(12))
        np.testing.assert_array_equal(targets.argmax(axis=1), data.labels[order])
        np.testing.assert_allclose(grey[:, 0], data.source[order, 0, 0, 0], atol=0.5)  # type: ignore[call-overload]
        orders.append(order.tolist())
        batches.on_epoch_end()
    assert orders[0] != orders[1]


def test_a_second_call_goes_on_with_the_optimizer(data: Dataset, tmp_path: Path) -> None:
    photo = keras.Input((224, 224, 3), name="photo")
    x = keras.layers.GlobalAveragePooling2D()(photo / 255.0)
    model = keras.Model(photo, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.stop_training = True  # left from something else
    steps: list[tuple[str, int, int]] = []
    for _ in range(2):
        stages.fit(
            model, data, None, bank=tmp_path, epochs=2, batch_size=4, verbose=0,
            progress=lambda *said: steps.append(said), title="Learning",
        )  # fmt: skip
    assert int(model.optimizer.iterations) == 2 * 2 * 3
    assert steps[-1] == ("Learning, steps", 6, 6)
