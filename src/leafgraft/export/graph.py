"""The network that is exported: uint8 photo in, calibrated probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leafgraft import network, opening
from leafgraft._tensorflow import keras
from leafgraft.photos.decode import SIDE


def calibrated(model: keras.Model, temperature: float) -> keras.Model:
    """Put the temperature of a bundle into its network.

    The probabilities are softmax(logits / T). That is what `leafgraft.verdict.calibration.tempered` makes of the
    probabilities, softmax(log(p) / T), without the logarithm, which would lose the smallest of them.

    Args:
        model: with one of our heads, photo to probabilities.
        temperature: above 0.

    Returns:
        A flat model of standard Keras layers from "photo", RGB 0-255, to float32 probabilities (n, k). It shares all
        but its last layers with ``model``.
    """
    last = model.get_layer("probabilities")
    dense = keras.layers.Dense(last.units, name="logits")
    logits = dense(last.input)
    dense.set_weights(last.get_weights())
    return network.without_xla(keras.Model(model.input, tempered(logits, temperature), name="plant_classifier"))


def tempered(logits: Any, temperature: float) -> Any:
    """Turn logits (n, k) into probabilities at a temperature, by two standard layers."""
    cooled = keras.layers.Rescaling(1.0 / temperature, name="temperature")(logits)
    return keras.layers.Softmax(name="probabilities")(cooled)


def load(path: str | Path, temperature: float) -> keras.Model:
    """The calibrated network of a bundle.

    Raises:
        UserError: there is none, or its Keras file is damaged.
    """
    folder = opening.find(path)
    opening.verify(folder, (opening.KERAS, opening.LABELS))
    return calibrated(opening.keras_model(folder), temperature)


def forward(model: keras.Model) -> Any:
    """Make a ``tf.function`` of a network: "photo", uint8 (n, 224, 224, 3), to a dictionary with "probabilities"."""
    tf = tensorflow()

    # Without autograph, as in leafgraft.engine.prefix.
    @tf.function(input_signature=[photo_spec()], autograph=False)  # type: ignore[untyped-decorator]
    def answer(photo: Any) -> dict[str, Any]:
        return {"probabilities": tf.identity(model(tf.cast(photo, tf.float32), training=False))}

    return answer


def photo_spec() -> Any:
    """The input of `forward`, as a ``tf.TensorSpec``."""
    tf = tensorflow()
    return tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8, name="photo")


def module(model: keras.Model) -> Any:
    """Put `forward` of a network and its weights into a ``tf.Module``, as ``answer`` and ``kept``, to be saved."""
    found = tensorflow().Module()
    found.answer = forward(model)
    found.kept = [variable.value for variable in model.variables]
    return found


def tensorflow() -> Any:
    """TensorFlow, with the settings that `leafgraft._tensorflow` has made before it was loaded."""
    import tensorflow as tf

    return tf
