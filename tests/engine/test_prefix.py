"""The prefix engine against Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from leafgraft import network
from leafgraft.engine import prefix
from leafgraft.engine.prefix import OpenVINO, TensorFlow, choose, convert, fingerprint
from leafgraft.errors import UserError


@pytest.fixture(scope="module")
def halves() -> Any:
    keras.utils.set_random_seed(0)
    base = network.resnet50()
    model = network.custom_head(base, 3)
    network.unfreeze_last(base, 50)
    return network.cut(model)


def all_of(outputs: Any) -> list[Any]:
    parts = [[tensor.copy() for tensor in some] for some in outputs]
    return [np.concatenate(tensors) for tensors in zip(*parts, strict=True)]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", ["openvino", "tensorflow"])
def test_engine_gives_what_keras_gives(halves: Any, kind: str, batch: int) -> None:
    photos = np.random.default_rng(1).integers(0, 256, (7, 224, 224, 3), np.uint8)  # the last batch is not full
    engine = (
        TensorFlow(halves.prefix, batch=batch)
        if kind == "tensorflow"
        else OpenVINO(convert(halves.prefix), batch=batch)
    )
    for got, expected in zip(all_of(engine.run(photos)), halves.prefix.predict_on_batch(photos), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-5 * float(np.abs(expected).max()))


def test_no_photos_no_outputs(halves: Any) -> None:
    assert list(OpenVINO(convert(halves.prefix)).run([])) == []
    assert list(TensorFlow(halves.prefix).run([])) == []


@pytest.mark.parametrize(
    ("capabilities", "gpu", "chosen"),
    [
        (["FP32", "BF16", "INT8"], False, "bf16"),
        (["FP32", "INT8"], False, "fp32"),
        (["FP32", "BF16"], True, "tensorflow"),
    ],
)
def test_auto_goes_by_the_machine_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capabilities: list[str], gpu: bool, chosen: str
) -> None:
    monkeypatch.setattr(prefix, "capabilities", lambda: capabilities)
    monkeypatch.setattr(prefix, "_gpu", lambda: gpu)
    choice = choose("auto")
    assert choice.name == chosen
    assert choice.sentence.startswith("The frozen layers run in ")
    assert len(choice.sentence.splitlines()) == 1


def test_what_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix, "capabilities", lambda: ["FP32"])
    with pytest.raises(UserError, match="does not compute in bfloat16"):
        choose("bf16")
    with pytest.raises(UserError, match="no engine 'fp8'"):
        choose("fp8")


def test_engines_of_other_precision_have_other_keys() -> None:
    assert len({prefix.Choice(name, "").key for name in ("fp32", "bf16", "int8", "tensorflow")}) == 4


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
