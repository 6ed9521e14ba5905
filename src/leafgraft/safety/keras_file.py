"""Keras' file, checked as text and numbers before Keras sees it.

Keras' safe mode refuses pickled functions. It has been got round several times through other names in the file
(CVE-2025-1550, CVE-2025-8747, CVE-2025-9906, CVE-2025-12058, CVE-2025-12060, CVE-2026-1669), so what may stand in such
a file is listed here, and nothing else does.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leafgraft.safety.archive import opened
from leafgraft.safety.hdf5 import datasets
from leafgraft.safety.plain import parsed

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

MOST_CONFIG = 4_000_000
MOST_BYTES = 2_000_000_000
MOST_LAYERS = 2_000

_LAYERS = """
    InputLayer ZeroPadding2D Conv2D BatchNormalization Activation ReLU Add MaxPooling2D GlobalAveragePooling2D
    Dense Dropout UnitNormalization Rescaling Softmax
"""
_OPERATIONS = "GetItem Add Subtract Multiply Divide TrueDivide Sqrt"
_SMALL = {"padding", "kernel_size", "pool_size", "strides", "dilation_rate", "groups"}

_PLACED = ("keras.layers", "keras.src.ops.numpy")

CLASSES = frozenset(
    [("keras.src.models.functional", "Functional"), ("keras", "DTypePolicy")]
    + [("keras.layers", name) for name in _LAYERS.split()]
    + [("keras.src.ops.numpy", name) for name in _OPERATIONS.split()]
    + [("keras.initializers", name) for name in ("GlorotUniform", "Zeros", "Ones")]
    + [(None, name) for name in ("__keras_tensor__", "__ellipsis__", "__slice__", "__numpy__")]
)
"""The modules and classes that our models consist of; see `leafgraft.network`."""

_KEYS = """
    activation activity_regularizer axis batch_shape beta_constraint beta_initializer beta_regularizer bias_constraint
    bias_initializer bias_regularizer center data_format dilation_rate dtype epsilon filters gamma_constraint
    gamma_initializer gamma_regularizer groups keepdims kernel_constraint kernel_initializer kernel_regularizer
    kernel_size max_value momentum moving_mean_initializer moving_variance_initializer name negative_slope noise_shape
    offset optional padding pool_size quantization_config ragged rate renorm renorm_clipping renorm_momentum scale
    seed sparse strides synchronized threshold trainable units use_bias
"""
KEYS = frozenset(_KEYS.split())
"""What such layers are described by; others would have weights that are not counted (``lora_rank``)."""

_NOTHING = ("quantization_config", "renorm_clipping", "activity_regularizer", "noise_shape")  # of them, None

LARGEST = 64
"""Largest padding, kernel or stride; in ResNet50 it is 7."""


def require_plain(path: Path, classes: int) -> None:
    """Check Keras' file without Keras.

    Args:
        path: of ``model.keras``; its size has been looked at.
        classes: of the labels.

    Raises:
        ValueError: it is something else than a classifier of so many species made of standard layers.
    """
    with opened(path, most=MOST_BYTES) as archive:
        names = sorted(archive.namelist())
        if names != sorted([CONFIG, METADATA, WEIGHTS]):
            raise ValueError(f"it holds {', '.join(name[:40] for name in names[:5])} instead of Keras' three files")
        if max(archive.getinfo(name).file_size for name in (CONFIG, METADATA)) > MOST_CONFIG:
            raise ValueError(f"its {CONFIG} has more than {MOST_CONFIG:,} bytes")
        config = parsed(archive.read(CONFIG))
        _require_standard(config)
        wanted = _require_graph(config, classes)
        _require_weights(archive.read(WEIGHTS), wanted)


def _require_standard(config: Any) -> None:
    """Go through all that Keras would make objects of."""
    for entry in _dictionaries(config):
        kind = entry.get("class_name")
        if entry.get("compile_config"):
            raise ValueError("it is compiled, with an optimizer and losses of its own, which a saved classifier is not")
        if kind is None:
            if {"module", "registered_name", "fn", "function"} & entry.keys():
                raise ValueError("it names a module without a class")
            continue
        module, registered = entry.get("module"), entry.get("registered_name")
        if not isinstance(kind, str) or not isinstance(module, str | None) or (module, kind) not in CLASSES:
            raise ValueError(f"it holds {str(module)[:60]}.{str(kind)[:60]}, which is no part of such a classifier")
        if registered not in (None, kind):
            raise ValueError(f"it asks for the registered object {str(registered)[:60]!r}")
        if kind == "__numpy__" and entry["config"].get("dtype") not in ("float32", "int32", "int64"):
            raise ValueError("it holds an array that is not of numbers")


def _dictionaries(content: Any) -> Iterator[dict[str, Any]]:
    pending = [content]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            yield one
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)


def _require_graph(config: Any, classes: int) -> int:
    """Look at the layers of a standard configuration; returns how many weights they have."""
    try:
        if config["class_name"] != "Functional" or any(
            entry.get("class_name") == "Functional" for entry in _dictionaries(config["config"])
        ):
            raise ValueError("it is no flat functional model")
        if surplus := config["config"].keys() - {"name", "trainable", "layers", "input_layers", "output_layers"}:
            raise ValueError(f"its model has the setting {min(surplus)[:60]!r}")
        layers, weights = config["config"]["layers"], 0
        if len(layers) > MOST_LAYERS:
            raise ValueError(f"it has more than {MOST_LAYERS:,} layers")
        if sum(entry.get("module") in _PLACED for entry in _dictionaries(config)) != len(layers):
            raise ValueError("it hides layers within others")
        for layer in layers:
            if layer["module"] not in _PLACED:
                raise ValueError(f"its layer {str(layer['name'])[:60]!r} is none")
            _require_small(layer["name"], layer["config"])
            weights += _weights(layer)
        inputs = [one["config"]["batch_shape"] for one in layers if one["class_name"] == "InputLayer"]
        units = [one["config"]["units"] for one in layers if one["name"] == "probabilities"]
        if inputs != [[None, 224, 224, 3]]:
            raise ValueError(f"it takes {str(inputs)[:80]}, not photos [None, 224, 224, 3]")
        if units != [classes] or "pool" not in [layer["name"] for layer in layers]:
            raise ValueError(f"it tells {str(units)[:40]} species apart, and labels.json names {classes}")
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"its {CONFIG} is no configuration of Keras ({type(error).__name__}: {error})") from None
    return weights


def _require_small(name: str, config: dict[str, Any]) -> None:
    for key in _SMALL & config.keys():
        pending = [config[key]]
        while pending:
            one = pending.pop()
            pending.extend(one if isinstance(one, list) else [])
            if isinstance(one, int | float) and not 0 <= one <= LARGEST:
                raise ValueError(f"its layer {name[:60]!r} has the {key} {one}, and {LARGEST} is the most")
    if strange := (config.keys() - KEYS) | {key for key in _NOTHING if config.get(key) is not None}:
        raise ValueError(f"its layer {name[:60]!r} has the setting {min(strange)[:60]!r}")
    if config.get("activation") not in (None, "linear", "relu", "softmax"):
        raise ValueError(f"its layer {name[:60]!r} has the activation {str(config['activation'])[:60]!r}")


def _weights(layer: dict[str, Any]) -> int:
    """How many numbers a layer keeps, for which Keras takes memory before it reads any."""
    kind, config = layer["class_name"], layer["config"]
    if kind not in ("Conv2D", "Dense", "BatchNormalization"):
        return 0
    last = layer["build_config"]["input_shape"][-1]
    if kind == "BatchNormalization":
        counts = [4, last]
    elif kind == "Dense":
        counts = [last + 1, config["units"]]
    else:
        counts = [math.prod(config["kernel_size"]) * last // config["groups"] + 1, config["filters"]]
    if not all(isinstance(count, int) and count > 0 for count in counts):
        raise TypeError(f"{layer['name']} of the size {counts}")
    return math.prod(counts)


def _require_weights(content: bytes, wanted: int) -> None:
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as weights:
            held = sum(math.prod(one.shape) for _, one in datasets(weights, MOST_BYTES) if one.dtype.kind == "f")
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"its {WEIGHTS} is no whole HDF5 file ({error})") from None
    if held != wanted:
        raise ValueError(f"its layers want {wanted:,} weights, and it holds {held:,}")


def load(path: Path, classes: int) -> Any:
    """Open Keras' file in Keras, after `require_plain`, in safe mode.

    Returns:
        A ``keras.Model``, not compiled.

    Raises:
        ValueError: it is none, or one that would take too much memory.
    """
    require_plain(path, classes)
    from leafgraft._tensorflow import keras
    from leafgraft.safety.openvino_file import MOST_VALUES

    try:
        model = keras.models.load_model(path, safe_mode=True, compile=False)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ValueError(f"Keras cannot open it ({reason})") from error
    for operation in model.operations:
        for tensor in keras.tree.flatten(operation.output):
            if None in tensor.shape[1:] or math.prod(tensor.shape[1:]) > MOST_VALUES:
                raise ValueError(f"its layer {operation.name[:60]!r} makes {tensor.shape} numbers of photos")
    return model
