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

with hushed():
    import keras
    import tensorflow as tf

__all__ = ["deterministic", "keras"]

# It warns of every model that sees batches of two sizes, which the last batch of a data set brings about.
tf.get_logger().setLevel("ERROR")


def deterministic() -> None:
    """Have TensorFlow compute the same to the last digit each time, from now on in this process; some steps are slower.

    Source: https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism
    """
    tf.config.experimental.enable_op_determinism()
