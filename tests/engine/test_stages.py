from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leafgraft._tensorflow import keras
from leafgraft.engine import stages
from leafgraft.engine.checkpoint import Checkpoint, Part
from leafgraft.engine.history import EpochLog
from leafgraft.engine.store import Means
from leafgraft.errors import UserError
from leafgraft.photos.dataset import Dataset


def test_a_second_call_goes_on_with_the_optimizer(data: Dataset, tmp_path: Path) -> None:
    photo = keras.Input((224, 224, 3), name="photo")
    x = keras.layers.GlobalAveragePooling2D()(photo / 255.0)
    model = keras.Model(photo, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.stop_training = True  # left from something else
    steps: list[tuple[str, int, int]] = []
    for _ in range(2):
        stages.fit(
            model, data, None, means=Means(tmp_path, progress=lambda *said: steps.append(said)), epochs=2, batch_size=4,
            verbose=0, title="Learning",
        )  # fmt: skip
    assert int(model.optimizer.iterations) == 2 * 2 * 3
    assert steps[-1] == ("Learning, steps", 6, 6)


class UnheardError(Exception):
    """What no part of the program catches."""


class Strike(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises something before some step, counted from 0 over all epochs."""

    def __init__(self, step: int, error: Exception) -> None:
        super().__init__()
        self.step, self.error = step, error

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.step -= 1
        if self.step < 0:
            self.step = 1_000_000
            raise self.error


def out_of_memory() -> Exception:
    """What TensorFlow raises."""
    import tensorflow as tf

    error: Exception = tf.errors.ResourceExhaustedError(None, None, "no memory")
    return error


def with_chance() -> keras.Model:
    """A small network with dropout and an optimizer that remembers."""
    keras.utils.set_random_seed(0)
    photo = keras.Input((224, 224, 3), name="photo")
    x = keras.layers.GlobalAveragePooling2D()(photo / 255.0)
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(8, activation="relu")(x))
    model = keras.Model(photo, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    return model


def fitted(
    data: Dataset, bank: Path, history: list[dict[str, Any]], checkpoint: Checkpoint | None, *strikes: Strike
) -> list[Any]:
    """The weights after two epochs of three steps."""
    model = with_chance()
    stages.fit(
        model, data, data.subset(np.arange(6)), means=Means(bank), epochs=2, batch_size=4, verbose=0,
        callbacks=[EpochLog("fine", history), *strikes], checkpoint=checkpoint, title="Learning", seed=3,
    )  # fmt: skip
    return [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("steps", [(0, 2, 1), pytest.param((3,), marks=pytest.mark.slow)])
def test_it_goes_on_after_any_step_to_the_last_bit(data: Dataset, tmp_path: Path, steps: tuple[int, ...]) -> None:
    lines: list[dict[str, Any]] = []
    expected = fitted(data, tmp_path / "bank", lines, None)
    kept: list[dict[str, Any]] = []

    def opened() -> Checkpoint:
        checkpoint = Checkpoint(tmp_path / "checkpoint", "mine", every=0.0)
        if found := checkpoint.take("history"):
            kept[:] = found.facts["lines"]
        checkpoint.keep("history", lambda: Part({"lines": kept}))
        return checkpoint

    for step in steps:
        with pytest.raises(UnheardError):
            fitted(data, tmp_path / "bank", kept, opened(), Strike(step, UnheardError()))
    weights = fitted(data, tmp_path / "bank", kept, opened())
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [line | {"seconds": 0} for line in kept] == [line | {"seconds": 0} for line in lines]
    again = fitted(data, tmp_path / "bank", [], opened())  # it is over, and stays as it is
    np.testing.assert_array_equal(again[0], expected[0])


def test_it_tells_what_keras_tells(data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = with_chance()
    stages.fit(model, data, None, means=Means(tmp_path), epochs=2, batch_size=5, verbose=2)
    said = capsys.readouterr().out
    assert "Epoch 2/2" in said
    assert "3/3 - " in said


def test_without_memory_for_a_batch_it_goes_on_with_half(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[dict[str, Any]] = []
    strikes = [Strike(step, out_of_memory()) for step in (1, 3)]
    fitted(data, tmp_path, lines, None, *strikes)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [record.message for record in caplog.records] == [
        f"The memory does not suffice: it goes on with {size} photos a step." for size in (2, 1)
    ]


def test_without_memory_for_a_photo_it_ends_with_a_sentence(data: Dataset, tmp_path: Path) -> None:
    strikes = [Strike(0, out_of_memory()) for _ in range(3)]
    with pytest.raises(UserError, match="does not suffice to train on a single photo: close other programs"):
        fitted(data, tmp_path, [], None, *strikes)


def test_where_memory_is_scarce_batches_are_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    values = sum(int(np.prod(layer.output.shape[1:])) for layer in with_chance().layers)
    for free, size in ((1e12, 32), (2 * 8 * values * 9, 8), (0, 1)):
        monkeypatch.setattr(stages, "free_bytes", lambda free=free: free)
        assert stages._affordable(32, with_chance()) == size
