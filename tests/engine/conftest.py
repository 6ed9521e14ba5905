"""Twelve plain photos and a network that sees their grey."""

from __future__ import annotations

import numpy as np
import pytest

from leafgraft import network
from leafgraft._tensorflow import keras
from leafgraft.photos.dataset import Dataset

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
