"""A step of a worker is that of Keras, in whatever precision, and padding counts for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from leafgraft._tensorflow import half_of, keras
from leafgraft.cluster.learner import Task, _Learner, figures
from leafgraft.cluster.shards import Batch, Shards

PHOTOS, CLASSES = 5, 3


@pytest.fixture
def suffix() -> keras.Model:
    """A suffix of two dense layers behind a layer that does not learn, compiled."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(trainable=False)(inputs)
    x = keras.layers.Dense(8, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def batch() -> Batch:
    """Some rows."""
    chance = np.random.default_rng(0)
    return [chance.normal(size=(PHOTOS, 4)).astype(np.float32)], chance.integers(0, CLASSES, PHOTOS)


@pytest.fixture
def task(suffix: keras.Model) -> Task:
    """What `leafgraft.cluster.training` would ask for."""
    return Task(
        suffix=suffix.to_json(),
        loss=keras.losses.serialize(suffix.loss),
        optimizer=keras.optimizers.serialize(suffix.optimizer),
        order=range(len(suffix.trainable_variables)),
        variables=[np.asarray(one) for one in (*suffix.variables, *suffix.optimizer.variables)],
        shards=Shards("", (), (), ((4,),), 1, ("a", "b", "c")),
        watched=None, epochs=1, size=8, factor=1.0, schedule=None, seed=0, weights={}, policy=None, threads=1,
        epoch=0, every=60.0, desk=None,
    )  # fmt: skip


@contextmanager
def alone(task: Task) -> Iterator[_Learner]:
    """A worker without others."""
    import tensorflow as tf

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with ExitStack() as stack:
        stack.enter_context(strategy.scope())
        yield _Learner(task, strategy, 0, 1, stack)


def learned(learner: _Learner, batch: Batch) -> tuple[Any, list[Any]]:
    """The figures of one step, and the weights after it."""
    sums = learner._run(learner._learned, batch, len(batch[1]), np.zeros(2))
    return sums, [np.asarray(one) for one in learner.suffix.variables]


@pytest.mark.parametrize("weights", [{}, {0: 2.0, 2: 0.5}])
def test_a_step_is_that_of_keras(task: Task, suffix: keras.Model, batch: Batch, weights: dict[int, float]) -> None:
    targets = np.eye(CLASSES, dtype=np.float32)[batch[1]]
    rows = np.array([weights.get(label, 1.0) for label in batch[1].tolist()], np.float32)
    expected = suffix.train_on_batch(batch[0][0], targets, sample_weight=rows if weights else None, return_dict=True)
    with alone(replace(task, weights=weights)) as learner:
        sums, values = learned(learner, batch)
    found = figures(sums[:4])
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(expected["accuracy"])
    for one, other in zip(suffix.variables, values, strict=True):
        np.testing.assert_allclose(np.asarray(one), other, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_learns_nearly_the_same(task: Task, batch: Batch, policy: str) -> None:
    with alone(task) as learner:
        _, expected = learned(learner, batch)
    with alone(replace(task, policy=policy)) as learner:
        _, found = learned(learner, batch)
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=0.02)  # the first step of Adam moves each weight by the rate


def test_what_overflows_in_float16_is_left_out(task: Task, batch: Batch) -> None:
    with alone(replace(task, policy="mixed_float16")) as learner:
        _, values = learned(learner, ([np.full((PHOTOS, 4), 1e6, np.float32)], batch[1]))
    for before, after in zip(task.variables, values, strict=False):
        np.testing.assert_array_equal(before, after)


def test_a_worker_with_nothing_left_keeps_step(task: Task) -> None:
    with alone(task) as learner:
        sums = learner._run(learner._learned, None, 1, np.zeros(2))
        assert sums.tolist() == [0.0] * 6
        for before, after in zip(task.variables, learner.suffix.variables, strict=False):
            np.testing.assert_array_equal(before, np.asarray(after))


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "mixed_bfloat16"), ((8, 0), "mixed_bfloat16"), ((7, 5), "mixed_float16"),
                                 ((6, 1), None), ((0, 0), None)],
)  # fmt: skip
def test_which_half_precision_a_gpu_has(capability: tuple[int, int], expected: str | None) -> None:
    assert half_of(capability) == expected
