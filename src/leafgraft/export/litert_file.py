"""LiteRT, formerly TensorFlow Lite, run by its own interpreter (https://ai.google.dev/edge/litert)."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.export.facts import NAME, Facts, labels_in
from leafgraft.machine import cores

_IDENTIFIER = b"TFL3"

_HEAD = ["FULLY_CONNECTED", "MUL", "SOFTMAX"]
"""Operations of the head, which stay in float32: in int8 no probability would be finer than 1/256."""


class Runner:
    """A LiteRT file in LiteRT's interpreter; see `leafgraft.export.verify.Runner`."""

    def __init__(self, path: Path) -> None:
        """Open a file that `write` has written."""
        from ai_edge_litert.interpreter import Interpreter

        self.labels = labels_in(facts_in(path.read_bytes()))
        self._interpreter = Interpreter(model_path=str(path), num_threads=cores())
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._shape: tuple[int, ...] = ()

    def predict(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, k), of photos, uint8 (n, 224, 224, 3)."""
        if photos.shape != self._shape:
            self._interpreter.resize_tensor_input(self._input, photos.shape)
            self._interpreter.allocate_tensors()
            self._shape = photos.shape
        self._interpreter.set_tensor(self._input, photos)
        self._interpreter.invoke()
        result: NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return result


def write(model: Any, facts: Facts, path: Path, examples: NDArray[np.uint8] | None) -> None:
    """Write a Keras network as a LiteRT file with the signature ``serving_default``, the facts as JSON in its metadata.

    Args:
        model: photo to probabilities, as from `leafgraft.export.graph`.
        facts: what the file says of itself.
        path: ends in .tflite.
        examples: uint8 (m, 224, 224, 3) to calibrate int8 on; None for float32.
    """
    from leafgraft.export.graph import module, tensorflow

    tf = tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        saved = module(model)
        tf.saved_model.save(saved, folder, signatures={"serving_default": saved.answer})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        content = converter.convert() if examples is None else _quantized(tf, converter, examples)
    path.write_bytes(with_facts(content, facts))


def _quantized(tf: Any, converter: Any, examples: NDArray[np.uint8]) -> bytes:
    """Convert to int8 all but the head. The converter itself can except nothing; its debugger can."""

    def photos() -> Iterator[list[NDArray[np.uint8]]]:
        for photo in examples:
            yield [photo[None]]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = photos
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_HEAD)
    with warnings.catch_warnings():
        # The debugger opens TensorFlow's own interpreter, which says that LiteRT's has taken its place.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=photos, debug_options=options
        )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def with_facts(content: bytes, facts: Facts) -> bytes:
    """Add the facts to a LiteRT file: a buffer with JSON, and an entry ``leafgraft`` among its metadata."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content)
    text = json.dumps(facts.as_dict()).encode()
    model.buffers.append(schema.BufferT(data=np.frombuffer(text, np.uint8)))
    entry = schema.MetadataT(name=NAME, buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + len(text) + 1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def facts_in(content: bytes) -> dict[str, str]:
    """Read what `with_facts` added.

    Raises:
        KeyError: the file has no such entry.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for position in range(model.MetadataLength()):
        entry = model.Metadata(position)
        if entry.Name() == NAME.encode():
            found: dict[str, str] = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
            return found
    raise KeyError(NAME)
