"""The prefix engine against Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from leafgraft import network
from leafgraft.engine.prefix import Engine, convert, fingerprint


@pytest.fixture(scope="module")
def halves() -> Any:
    keras.utils.set_random_seed(0)
    base = network.resnet50()
    model = network.custom_head(base, 3)
    network.unfreeze_last(base, 50)
    return network.cut(model)


@pytest.mark.parametrize("batch", [1, 3])
def test_engine_gives_what_keras_gives(halves: Any, batch: int) -> None:
    photos = np.random.default_rng(1).integers(0, 256, (7, 224, 224, 3), np.uint8)  # the last batch is not full
    expected = halves.prefix.predict_on_batch(photos)
    parts = [
        [tensor.copy() for tensor in outputs] for outputs in Engine(convert(halves.prefix), batch=batch).run(photos)
    ]
    for i, tensor in enumerate(expected):
        got = np.concatenate([part[i] for part in parts])
        assert got.shape == tensor.shape
        np.testing.assert_allclose(got, tensor, atol=1e-5 * float(np.abs(tensor).max()))


def test_no_photos_no_outputs(halves: Any) -> None:
    assert list(Engine(convert(halves.prefix)).run([])) == []


def small(seed: int, width: int = 4) -> Any:
    keras.utils.set_random_seed(seed)
    photo = keras.Input((8, 8, 3), name="photo")
    x = keras.layers.Conv2D(width, 3)(photo[..., ::-1] - 1.0)
    return keras.Model(photo, keras.layers.Conv2D(2, 1)(x) + 0.0)


def test_fingerprint_is_that_of_graph_and_weights_not_of_names() -> None:
    first = fingerprint(small(0))
    small(5)  # moves on the numbers that Keras gives to names
    assert fingerprint(small(0)) == first
    assert fingerprint(small(1)) != first
    assert fingerprint(small(0, width=5)) != first
