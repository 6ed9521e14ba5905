"""OpenVINO, and NNCF, without the reports on their use that they send to their maker unless they are told not to."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ.setdefault("NNCF_CI", "1")  # NNCF then has a stand-in for its reports
_hidden = sys.modules.get("openvino_telemetry")
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
try:
    import openvino as ov
finally:
    if _hidden is None:
        del sys.modules["openvino_telemetry"]
    else:
        sys.modules["openvino_telemetry"] = _hidden

__all__ = ["converted", "ov"]


def converted(function: Any) -> Any:
    """An ``openvino.Model`` of a ``tf.function`` that has its input signature."""
    import tensorflow as tf
    from openvino.frontend.tensorflow import utils

    # OpenVINO looks for TensorFlow's version by `exec("import tensorflow")` and `exec("del tensorflow")`, which is a
    # NameError since Python 3.13 (https://peps.python.org/pep-0667/); as of OpenVINO 2026.4.
    utils.get_environment_setup = lambda framework: {"tensorflow": tf.__version__}
    return ov.convert_model(function)
