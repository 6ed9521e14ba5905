"""OpenVINO's own format, two files: the graph (.xml) and the weights (.bin)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.prefix import convert
from leafgraft.engine.quantize import in_int8
from leafgraft.export.facts import NAME, Facts, labels_in


class Runner:
    """An OpenVINO file in OpenVINO; see `leafgraft.export.verify.Runner`."""

    def __init__(self, path: Path) -> None:
        """Open files that `write` has written."""
        from leafgraft._openvino import ov

        core = ov.Core()
        model = core.read_model(path)
        self.labels = labels_in({"labels": model.get_rt_info([NAME, "labels"]).astype(str)})
        # By default OpenVINO computes in bfloat16 where the processor does; answers would depend on the machine.
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = core.compile_model(model, "CPU", settings)

    def predict(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, k), of photos, uint8 (n, 224, 224, 3)."""
        result: NDArray[np.float32] = self._compiled({"photo": photos})["probabilities"].copy()
        return result


def write(model: Any, facts: Facts, path: Path, examples: NDArray[np.uint8] | None) -> None:
    """Write a Keras network as OpenVINO files, the facts as ``rt_info`` in a section ``leafgraft``.

    Args:
        model: photo to probabilities, as from `leafgraft.export.graph`.
        facts: what the file says of itself.
        path: ends in .xml; the weights are written beside it, ending in .bin.
        examples: uint8 (m, 224, 224, 3) to calibrate int8 on; None for float32.
    """
    from leafgraft._openvino import ov

    converted = convert(model)
    if examples is not None:
        converted = in_int8(converted, [photo[None] for photo in examples])
    converted.inputs[0].get_tensor().set_names({"photo"})
    converted.outputs[0].get_tensor().set_names({"probabilities"})
    for name, text in facts.as_dict().items():
        converted.set_rt_info(text, [NAME, name])
    ov.save_model(converted, path, compress_to_fp16=False)
