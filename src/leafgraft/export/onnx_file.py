"""ONNX, run by ONNX Runtime (https://onnxruntime.ai)."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.export.facts import Facts, labels_in

OPSET = 17
"""Of 2022: ONNX Runtime 1.12 and later read it."""

_POOLING = ("GlobalAveragePool", "ReduceMean")

_QUANTIZED = ("Conv", "Relu", "Add", "MaxPool", "Pad", *_POOLING)


class Runner:
    """An ONNX file in ONNX Runtime; see `leafgraft.export.verify.Runner`."""

    def __init__(self, path: Path) -> None:
        """Open a file that `write` has written."""
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.labels = labels_in(self._session.get_modelmeta().custom_metadata_map)

    def predict(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, k), of photos, uint8 (n, 224, 224, 3)."""
        result: NDArray[np.float32] = self._session.run(["probabilities"], {"photo": photos})[0]
        return result


def write(model: Any, facts: Facts, path: Path, examples: NDArray[np.uint8] | None) -> None:
    """Write a Keras network as ONNX, the facts as its ``metadata_props``.

    Args:
        model: photo to probabilities, as from `leafgraft.export.graph`.
        facts: what the file says of itself.
        path: ends in .onnx.
        examples: uint8 (m, 224, 224, 3) to calibrate int8 on; None for float32.
    """
    import onnx
    import tf2onnx

    from leafgraft.export.graph import forward, photo_spec

    for name in ("tf2onnx", *(name for name in logging.root.manager.loggerDict if name.startswith("tf2onnx."))):
        logging.getLogger(name).setLevel(logging.ERROR)
    found, _ = tf2onnx.convert.from_function(forward(model), input_signature=[photo_spec()], opset=OPSET)
    if examples is not None:
        found = _quantized(found, examples)
    for value in (*found.graph.input, *found.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(found, facts.as_dict())
    onnx.checker.check_model(found)
    onnx.save(found, path)


class _Examples:
    """Gives photos one at a time, as ONNX Runtime's calibration asks for them."""

    def __init__(self, photos: NDArray[np.uint8]) -> None:
        self._rest = iter(photos)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next photo, or None after the last."""
        photo = next(self._rest, None)
        return None if photo is None else {"photo": photo[None]}


def _quantized(model: Any, examples: NDArray[np.uint8]) -> Any:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as name:
        before, prepared, after = (Path(name) / f"{step}.onnx" for step in ("before", "prepared", "after"))
        onnx.save(model, before)
        # Folds each BatchNorm into its convolution. The symbolic inference of shapes would need one more package.
        quant_pre_process(str(before), str(prepared), skip_symbolic_shape=True)
        # Unsigned activations suit ReLUs. Processors without VNNI may saturate; the check is made on the one at hand.
        quantize_static(
            str(prepared),
            str(after),
            _Examples(examples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_head(onnx.load(prepared).graph),
        )
        return onnx.load(after)


def _head(graph: Any) -> list[str]:
    """Names of the nodes behind the pooling, which stay in float32: they take no time, and decide the probabilities."""
    reached: set[str] = set()
    names = []
    for node in graph.node:  # in topological order
        if reached.intersection(node.input):
            names.append(node.name)
        if node.op_type in _POOLING or reached.intersection(node.input):
            reached.update(node.output)
    return names
