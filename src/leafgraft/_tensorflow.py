"""Keras on TensorFlow, set up the way this project needs it.

Every other module takes Keras from here: what is set has to be set before TensorFlow is imported.
"""

from __future__ import annotations

import os
import sys

from leafgraft.hush import hushed

if "keras" in sys.modules and sys.modules["keras"].config.backend() != "tensorflow":
    raise RuntimeError(
        f"Leafgraft trains with the TensorFlow backend of Keras, but Keras was imported with "
        f"{sys.modules['keras'].config.backend()!r}: set KERAS_BACKEND=tensorflow before importing it."
    )
os.environ["KERAS_BACKEND"] = "tensorflow"
# By default TensorFlow uses oneDNN only where the processor has AVX-512 for neural networks; on an AVX2 processor it
# made a fine-tuning step 1.45 times faster too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Ray sets it in its workers, for a Keras that this is not

with hushed():
    import keras
    import tensorflow as tf

__all__ = ["deterministic", "half_on_gpu", "keras"]

# It warns of every model that sees batches of two sizes, which the last batch of a data set brings about.
tf.get_logger().setLevel("ERROR")


def deterministic() -> None:
    """Have TensorFlow compute the same to the last digit each time, from now on in this process; some steps are slower.

    Source: https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism
    """
    tf.config.experimental.enable_op_determinism()


def half_on_gpu() -> str | None:
    """Keras' name of the half precision that the first GPU multiplies in; None without a GPU, or with an old one.

    bfloat16 from compute capability 8.0 on, float16 from 7.0 (https://docs.nvidia.com/cuda/cuda-c-programming-guide,
    "Compute Capabilities").
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        return half_of(tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)))
    return None


def half_of(capability: tuple[int, int]) -> str | None:
    """See `half_on_gpu`."""
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16" if capability >= (7, 0) else None
