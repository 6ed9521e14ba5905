"""Keras on TensorFlow, set up the way this project needs it.

Every other module takes Keras from here: what is set has to be set before TensorFlow is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def _without_greetings() -> Iterator[None]:
    """Hide what TensorFlow's C++ prints while it loads; no setting of its own does. Exceptions still pass."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - the descriptor is what matters
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


with _without_greetings():
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
