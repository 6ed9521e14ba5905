"""The slopes of a head are those that TensorFlow finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leafgraft._tensorflow import keras
from leafgraft.engine.head import Head
from leafgraft.network import custom_head, linear_head

pytestmark = pytest.mark.quick


@pytest.fixture(params=[custom_head, linear_head])
def model(request: pytest.FixtureRequest) -> Any:
    """A small base with one of our heads."""
    keras.utils.set_random_seed(3)
    photo = keras.Input((8, 8, 3), name="photo")
    base = keras.Model(photo, keras.layers.Conv2D(20, 3, activation="relu")(photo))
    return request.param(base, 4)


def test_slopes_are_those_of_automatic_differentiation(model: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    features = np.random.default_rng(0).exponential(size=(6, 20)).astype(np.float32)
    features[:, ::5] = 0
    labels = np.array([0, 1, 2, 3, 1, 0])
    last = model.get_layer("probabilities")
    head = keras.Model(model.get_layer("pool").output, last.input)
    watched = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        scores = keras.ops.matmul(head(watched, training=False), last.kernel) + last.bias
        chosen = tf.reduce_sum(tf.gather(scores, labels, axis=1, batch_dims=1))
    expected = tape.gradient(chosen, watched).numpy()
    assert np.abs(expected).max() > 0
    found = Head.of(model)
    np.testing.assert_allclose(found.slopes(features, labels), expected, atol=1e-5 * np.abs(expected).max())
    found.write(tmp_path / "head.npz")
    again = Head.read(tmp_path / "head.npz")
    np.testing.assert_array_equal(again.slopes(features, labels), found.slopes(features, labels))
    assert (again.rooted, len(again.layers)) == (found.rooted, len(found.layers))
