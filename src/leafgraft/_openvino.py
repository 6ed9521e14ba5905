"""OpenVINO, and NNCF, without the reports on their use that they send to their maker unless they are told not to."""

from __future__ import annotations

import os
import sys

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

__all__ = ["ov"]
