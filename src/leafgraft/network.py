"""The network: ResNet50 with its preprocessing inside, the custom head, what may learn, and where to cut.

Everything is one flat functional Keras graph that begins at ``base_model.input``, a photo as RGB 0-255. The
preprocessing of ResNet50 (BGR minus the ImageNet mean, not a division by 255) consists of two Keras operations between
that input and the first layer. They are no layers: ``base_model.layers`` are the 175 of ResNet50, and a saved model
loads in any Keras 3 without a line of ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from leafgraft._tensorflow import keras
from leafgraft.engine.probe import ROOT_SHIFT
from leafgraft.errors import UserError

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
"""Mean of the ImageNet photos in the order blue, green, red, on the scale 0-255 (``keras.applications.resnet50``)."""

BatchNorm = Literal["frozen", "train"]


def resnet50() -> keras.Model:
    """Build ResNet50 (He et al. 2015, https://arxiv.org/abs/1512.03385) without its top and with random weights.

    Returns:
        A flat model from "photo", float32 (n, 224, 224, 3), RGB 0-255, to activations (n, 7, 7, 2048).
    """
    photo = keras.Input((224, 224, 3), name="photo")
    preprocessed = photo[..., ::-1] - np.array(IMAGENET_MEAN_BGR, "float32")
    body = keras.applications.ResNet50(weights=None, include_top=False, input_tensor=preprocessed)
    return keras.Model(photo, body.output, name="resnet50")


def custom_head(base: keras.Model, num_classes: int) -> keras.Model:
    """Put the custom head on a base: pooling, Dense 512, Dropout 0.5, Dense 256, softmax.

    Returns:
        A flat model from ``base.input`` to float32 probabilities (n, num_classes). It shares its layers with ``base``.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(base.output)
    x = keras.layers.Dense(512, activation="relu", name="head_512")(x)
    x = keras.layers.Dropout(0.5, name="head_dropout")(x)
    x = keras.layers.Dense(256, activation="relu", name="head_256")(x)
    x = keras.layers.Dense(num_classes, activation="softmax", name="probabilities")(x)
    return without_xla(keras.Model(base.input, x, name="plant_classifier"))


def linear_head(base: keras.Model, num_classes: int) -> keras.Model:
    """Put a linear classifier of square-rooted, L2-normalised features on a base: what a probe learns, as a head.

    The root tames the few large features (Hellinger kernel; Arandjelovic & Zisserman 2012, "Three things everyone
    should know to improve object retrieval").

    Returns:
        A flat model from ``base.input`` to float32 probabilities (n, num_classes). It shares its layers with ``base``.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(base.output)
    x = keras.layers.UnitNormalization(name="unit_length")(keras.ops.sqrt(x + ROOT_SHIFT))
    x = keras.layers.Dense(num_classes, activation="softmax", name="probabilities")(x)
    return without_xla(keras.Model(base.input, x, name="plant_classifier"))


@contextmanager
def computing_in(model: keras.Model, policy: str | None) -> Iterator[None]:
    """Let the layers of a model compute in half precision within the block, all but the one that gives the output.

    Args:
        model: its weights stay float32.
        policy: "mixed_bfloat16" or "mixed_float16"; None changes nothing.
    """
    last = model.output._keras_history.operation
    layers = [layer for layer in model.layers if policy and layer is not last and layer.weights]
    before = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = policy
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


def without_xla(model: keras.Model) -> keras.Model:
    """Keep Keras from compiling a model with XLA, as it does by default wherever it can.

    On a CPU the steps were no faster for it, and the first one took up to half a minute longer.
    """
    model.jit_compile = False
    return model


def base_of(model: keras.Model) -> keras.Model:
    """Find the base in a model that `custom_head` made, for instance after loading it."""
    return keras.Model(model.input, model.get_layer("pool").input, name="resnet50")


def freeze(base: keras.Model) -> None:
    """Freeze every layer of a base."""
    unfreeze_last(base, 0)


def unfreeze_last(base: keras.Model, count: int, batch_norm: BatchNorm = "frozen") -> None:
    """Let exactly the last ``count`` layers of a base learn.

    Args:
        base: a model that `resnet50` made.
        count: 0 (none) to 175 (all).
        batch_norm: "frozen" keeps every BatchNorm as ImageNet left it. ``training=False`` in the call does not do that
            under ``fit()`` in Keras 3; only ``layer.trainable = False`` does. "train" lets those among the last
            ``count`` layers adapt their statistics to each batch, as the literal recipe does.

    Raises:
        UserError: the count is outside 0-175.
    """
    if not isinstance(count, int | np.integer) or not 0 <= count <= len(base.layers):
        raise UserError(
            f"num_layers_unfreeze must be a whole number from 0 to {len(base.layers)}, "
            f"the number of layers of ResNet50. Received: {count!r}."
        )
    first = len(base.layers) - count
    for position, layer in enumerate(base.layers):
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = position >= first and not (normalises and batch_norm == "frozen")


def described(base: keras.Model, model: keras.Model | None) -> list[str]:
    """Say in a few lines what there is and what of it learns."""
    lines = [
        f"ResNet50 base: {len(base.layers)} layers, {_millions(base.weights)} M parameters, "
        f"of which {_millions(base.trainable_weights)} M learn now"
    ]
    if model is None:
        return [*lines, "no head yet"]
    head = [layer.name for layer in model.layers[len(base.layers) :]]
    lines.append(f"head: {' > '.join(head)}, {model.output.shape[-1]} species")
    share = 100 * _count(model.trainable_weights) / _count(model.weights)
    return [
        *lines,
        f"learning: {_millions(model.trainable_weights)} M of {_millions(model.weights)} M parameters ({share:.0f} %)",
    ]


def _count(weights: list[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _millions(weights: list[Any]) -> str:
    return f"{_count(weights) / 1e6:.2f}"


@dataclass(frozen=True)
class Halves:
    """A model cut at its freeze boundary.

    Attributes:
        prefix: photo -> the tensors that cross the boundary; a fixed function for as long as the flags stay.
        suffix: those tensors -> probabilities; everything that learns, sharing layers and weights with the whole.
        names: names of the crossing tensors, in the order of the suffix's inputs.
        shapes: their shapes without the batch axis.
    """

    prefix: keras.Model
    suffix: keras.Model
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def takes_photos(self) -> bool:
        """Whether nothing with weights is frozen, so that the suffix is the whole model."""
        return self.names == ("photo",)

    def to(self, tensor: Any) -> keras.Model:
        """The prefix with one more output, a tensor of the suffix."""
        return without_xla(keras.Model(self.prefix.input, [*self.prefix.outputs, tensor], name="prefix"))


def cut(model: keras.Model) -> Halves:
    """Cut a flat functional model where it stops learning.

    An operation belongs to the prefix if it always gives the same result for the same photo: it has nothing to learn,
    draws nothing at random, and all that it reads belongs to the prefix as well. That is everything below the freeze
    boundary, wherever it runs: the last 50 layers of ResNet50 begin in the middle of a residual block, and two tensors
    cross. If the prefix has no weights at all, the cut lies at the input.

    Args:
        model: a functional model with one input, whose ``trainable`` flags say what learns.

    Returns:
        The halves; ``suffix(prefix(photo))`` equals ``model(photo)``.

    Raises:
        UserError: nothing in the model can learn.
    """
    fixed = {id(model.input)}
    crossing: dict[int, Any] = {}
    weights_in_prefix = False
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    for node in nodes:
        if node.is_input:
            continue
        operation, inputs = node.operation, node.input_tensors
        if all(id(tensor) in fixed for tensor in inputs) and not _changes(operation):
            fixed.update(id(tensor) for tensor in node.outputs)
            weights_in_prefix = weights_in_prefix or bool(getattr(operation, "weights", ()))
        else:
            crossing.update({id(tensor): tensor for tensor in inputs if id(tensor) in fixed})
    if id(model.outputs[0]) in fixed:
        raise UserError(
            f"Nothing in the model {model.name!r} can learn: every layer is frozen; add a head or unfreeze a layer."
        )
    tensors = list(crossing.values()) if weights_in_prefix else [model.input]
    return Halves(
        prefix=keras.Model(model.input, tensors, name="prefix"),
        suffix=keras.Model(tensors, model.output, name="suffix"),
        names=tuple(tensor.name if weights_in_prefix else "photo" for tensor in tensors),
        shapes=tuple(tuple(tensor.shape[1:]) for tensor in tensors),
    )


def cut_for(model: keras.Model, count: int) -> Halves:
    """Cut a model with one of our heads where `unfreeze_last` would let it, and leave what learns as it is."""
    base = base_of(model)
    before = [layer.trainable for layer in base.layers]
    try:
        unfreeze_last(base, count)
        return cut(model)
    finally:
        for layer, learns in zip(base.layers, before, strict=True):
            layer.trainable = learns


def cut_at_pool(model: keras.Model) -> Halves:
    """Cut a model with one of our heads behind its pooling, whatever learns: the prefix gives features (n, 2048)."""
    tensor = model.get_layer("pool").output
    return Halves(
        prefix=keras.Model(model.input, [tensor], name="prefix"),
        suffix=keras.Model([tensor], model.output, name="suffix"),
        names=(tensor.name,),
        shapes=(tuple(tensor.shape[1:]),),
    )


def _changes(operation: Any) -> bool:
    """Whether an operation's result for one input can differ from one training step to the next."""
    if not isinstance(operation, keras.Layer):
        return False
    draws = any(getattr(layer, "seed_generator", None) is not None for layer in operation._flatten_layers())
    return draws or bool(operation.trainable_variables)
