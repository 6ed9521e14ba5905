"""The network: preprocessing, head, what may learn, and the cut."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from leafgraft import network
from leafgraft.engine.probe import ROOT_SHIFT
from leafgraft.errors import UserError
from leafgraft.recipes import RESNET_LAYERS


@pytest.fixture(scope="module")
def base() -> Any:
    keras.utils.set_random_seed(0)
    return network.resnet50()


@pytest.fixture(scope="module")
def model(base: Any) -> Any:
    return network.custom_head(base, 10)


@pytest.fixture(scope="module")
def photos() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)


def test_base_is_resnet50_without_its_top(base: Any) -> None:
    original = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(224, 224, 3))
    assert [layer.name for layer in base.layers[1:]] == [layer.name for layer in original.layers[1:]]
    assert len(base.layers) == RESNET_LAYERS == 175
    assert base.count_params() == original.count_params() == 23_587_712
    assert base.output.shape == (None, 7, 7, 2048)


def test_preprocessing_inside_is_that_of_keras(base: Any, photos: NDArray[np.uint8]) -> None:
    original = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(224, 224, 3))
    original.set_weights(base.get_weights())
    ready = keras.applications.resnet50.preprocess_input(photos.astype(np.float32))
    expected = original.predict_on_batch(ready)
    np.testing.assert_allclose(base.predict_on_batch(photos), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(base.predict_on_batch(photos.astype(np.float32)), expected, rtol=1e-4, atol=1e-5)


def test_head_is_the_one_of_the_contract(model: Any) -> None:
    head = model.layers[175:]
    assert [type(layer).__name__ for layer in head] == ["GlobalAveragePooling2D", "Dense", "Dropout", "Dense", "Dense"]
    assert [layer.units for layer in head if isinstance(layer, keras.layers.Dense)] == [512, 256, 10]
    activations = [layer.activation.__name__ for layer in head if isinstance(layer, keras.layers.Dense)]
    assert activations == ["relu", "relu", "softmax"]
    assert head[2].rate == 0.5


def test_model_is_one_flat_graph(model: Any, base: Any) -> None:
    assert model.input is base.input
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


@pytest.mark.parametrize("count", [0, 1, 10, 50, 174, 175])
@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_exactly_the_last_layers_can_learn(base: Any, count: int, batch_norm: network.BatchNorm) -> None:
    network.unfreeze_last(base, count, batch_norm)
    for position, layer in enumerate(base.layers):
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        expected = position >= 175 - count and not (normalises and batch_norm == "frozen")
        assert layer.trainable is expected, layer.name


@pytest.mark.parametrize("count", [-1, 176, 1000, 10.5])
def test_more_layers_than_there_are_is_a_clear_error(base: Any, count: Any) -> None:
    with pytest.raises(UserError, match=rf"from 0 to 175.*Received: {count}\."):
        network.unfreeze_last(base, count)


@pytest.mark.parametrize(
    ("count", "crossing"),
    [
        (0, {(2048,)}),
        (1, {(2048,)}),  # the last layer is an activation, which learns nothing
        (7, {(7, 7, 512), (7, 7, 2048)}),  # in the middle of a residual block
        (10, {(7, 7, 2048)}),  # between two of them
        (50, {(14, 14, 256), (14, 14, 1024)}),
        (175, {(224, 224, 3)}),
    ],
)
def test_cut_lies_at_the_freeze_boundary(model: Any, base: Any, count: int, crossing: set[tuple[int, ...]]) -> None:
    network.unfreeze_last(base, count)
    halves = network.cut(model)
    assert set(halves.shapes) == crossing
    assert halves.takes_photos == (count == 175)


@pytest.mark.slow
def test_every_cut_composes_to_the_whole() -> None:
    keras.utils.set_random_seed(0)
    photo = keras.Input((32, 32, 3), name="photo")  # the same graph on small pictures
    base = keras.applications.ResNet50(weights=None, include_top=False, input_tensor=photo)
    model = network.custom_head(keras.Model(photo, base.output), 3)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    whole = np.asarray(model(x, training=False))
    cuts: dict[tuple[str, ...], int] = {}
    before: set[int] = set()
    for count in range(len(base.layers) + 1):
        network.unfreeze_last(base, count)
        learns = {id(weight) for weight in model.trainable_weights}
        if count and learns == before:
            continue  # a layer without weights moves nothing
        before = learns
        halves = network.cut(model)
        cuts[halves.names] = count
        assert {id(weight) for weight in halves.suffix.trainable_weights} == learns
        assert not halves.prefix.trainable_weights
        got = halves.suffix(halves.prefix(x, training=False), training=False)
        np.testing.assert_allclose(got, whole, atol=1e-5, err_msg=f"the last {count} layers")
    assert len(cuts) == 54  # 53 convolutions and the head


@pytest.mark.parametrize("count", [0, 50, 175])
def test_halves_compose_to_the_whole(model: Any, base: Any, photos: NDArray[np.uint8], count: int) -> None:
    network.unfreeze_last(base, count)
    halves = network.cut(model)
    between = halves.prefix.predict_on_batch(photos)
    whole = model.predict_on_batch(photos)
    np.testing.assert_allclose(halves.suffix.predict_on_batch(between), whole, atol=1e-5)
    assert not halves.prefix.trainable_weights
    assert {id(w) for w in halves.suffix.trainable_weights} == {id(w) for w in model.trainable_weights}


def test_cut_of_any_functional_model() -> None:
    photo = keras.Input((8, 8, 3), name="photo")
    a = keras.layers.Conv2D(4, 3, padding="same", name="frozen_a")(photo)
    b = keras.layers.Conv2D(4, 3, padding="same", name="frozen_b")(photo)
    dropped = keras.layers.Dropout(0.5)(a)
    c = keras.layers.Conv2D(4, 1, name="learns")(b)
    joined = keras.layers.Add()([dropped, c, b])
    out = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(joined))
    model = keras.Model(photo, out)
    model.get_layer("frozen_a").trainable = model.get_layer("frozen_b").trainable = False
    halves = network.cut(model)
    assert len(halves.shapes) == 2  # a, because dropout is different each time, and b, once for both of its readers
    x = np.random.default_rng(0).random((3, 8, 8, 3), np.float32)
    np.testing.assert_allclose(halves.suffix.predict_on_batch(halves.prefix.predict_on_batch(x)), model(x), atol=1e-6)


def test_cut_needs_something_that_learns(model: Any, base: Any) -> None:
    frozen = keras.Model(base.input, base.output)
    network.freeze(base)
    with pytest.raises(UserError, match="Nothing in the model"):
        network.cut(frozen)


def test_description_says_what_learns(model: Any, base: Any) -> None:
    network.unfreeze_last(base, 50)
    text = "\n".join(network.described(base, model))
    assert "23.59 M parameters, of which 16.92 M learn now" in text
    assert "10 species" in text


def test_linear_head_is_a_linear_classifier_of_rooted_features(base: Any, photos: NDArray[np.uint8]) -> None:
    model = network.linear_head(base, 4)
    assert model.input is base.input
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    halves = network.cut_at_pool(model)
    features = halves.prefix.predict_on_batch(photos)
    assert features.shape == (2, 2048)
    roots = np.sqrt(features + ROOT_SHIFT)
    roots /= np.linalg.norm(roots, axis=1, keepdims=True)
    kernel, bias = model.get_layer("probabilities").get_weights()
    scores = np.exp(roots @ kernel + bias)
    np.testing.assert_allclose(model.predict_on_batch(photos), scores / scores.sum(1, keepdims=True), atol=1e-5)
    assert network.base_of(model).output.shape == base.output.shape


def test_a_cut_for_later_leaves_what_learns_as_it_is(base: Any, model: Any) -> None:
    network.unfreeze_last(base, 3)
    before = [layer.trainable for layer in base.layers]
    halves = network.cut_for(model, 10)
    assert set(halves.shapes) == {(7, 7, 2048)}
    assert [layer.trainable for layer in base.layers] == before


def test_bfloat16_is_for_the_block_and_leaves_weights_and_softmax_in_float32() -> None:
    photo = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(photo)
    x = keras.layers.Dense(4, activation="relu", name="dense")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(photo, keras.layers.Dense(2, activation="softmax", name="out")(x))
    pixels = np.random.default_rng(0).random((4, 8, 8, 3), np.float32)
    before = np.asarray(model(pixels))
    with network.computing_in(model, "mixed_bfloat16"):
        assert model.get_layer("conv").compute_dtype == "bfloat16"
        assert model.get_layer("out").compute_dtype == "float32"
        inside = model(pixels)
        assert inside.dtype == "float32"
        assert 0 < np.abs(np.asarray(inside) - before).max() < 0.02
        model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", jit_compile=False)
        model.train_on_batch(pixels, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])
    assert all(weight.dtype == "float32" for weight in model.weights)
    assert model.get_layer("conv").compute_dtype == "float32"
    with network.computing_in(model, None):
        assert model.get_layer("conv").compute_dtype == "float32"
