"""The prefix engine: runs the frozen part of a network as plain inference, in OpenVINO."""

from __future__ import annotations

import collections
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENGINE = f"openvino {metadata.version('openvino')} f32"
"""What computes, for keys of what was computed."""

Outputs = tuple[NDArray[np.float32], ...]


def convert(model: Any) -> Any:
    """Turn a functional Keras model into an OpenVINO model that takes uint8 photos.

    Args:
        model: from "photo" (n, 224, 224, 3), RGB 0-255, to one or more tensors.

    Returns:
        An ``openvino.Model`` in float32: input "photo", uint8 (?, 224, 224, 3); outputs "output_0", "output_1", ...
        in the order of ``model.outputs``.
    """
    import openvino as ov
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *model.input.shape[1:]), tf.float32, name="photo")]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def forward(photo: Any) -> dict[str, Any]:
        outputs = model(photo, training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return {f"output_{i}": tf.identity(output) for i, output in enumerate(outputs)}

    converted = ov.convert_model(forward)
    steps = ov.preprocess.PrePostProcessor(converted)
    steps.input(0).tensor().set_element_type(ov.Type.u8)
    return steps.build()


class Engine:
    """A compiled OpenVINO model that answers a stream of photos, several requests at once."""

    def __init__(self, model: Any, *, batch: int = 8) -> None:
        """Compile a model.

        Args:
            model: an ``openvino.Model`` from `convert`, or the path of one that was saved.
            batch: photos a request. The speed hardly depends on it; a single photo is answered soonest with 1.
        """
        import openvino as ov

        core = ov.Core()
        if isinstance(model, (str, Path)):
            model = core.read_model(model)
        model.reshape([batch, *(dimension.get_length() for dimension in list(model.input(0).partial_shape)[1:])])
        settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        self._batch = batch
        self._compiled = core.compile_model(model, "CPU", settings)
        self._parallel = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._ports = [self._compiled.output(f"output_{i}") for i in range(len(self._compiled.outputs))]

    def run(self, photos: Iterable[NDArray[np.uint8]]) -> Iterator[Outputs]:
        """Push photos through.

        Args:
            photos: uint8 (224, 224, 3) each.

        Yields:
            The outputs, float32 (b, ...) each, of the next b photos, in order. They are overwritten when the next ones
            are asked for.
        """
        # One request more than run at a time, so that there is work while the reader looks at what came out.
        free = [self._compiled.create_infer_request() for _ in range(self._parallel + 1)]
        running: collections.deque[tuple[Any, int]] = collections.deque()
        photos = iter(photos)
        while chunk := list(itertools.islice(photos, self._batch)):
            request = free.pop()
            request.input_tensors[0].data[: len(chunk)] = chunk
            request.start_async()
            running.append((request, len(chunk)))
            if not free:
                yield self._finish(running[0])
                free.append(running.popleft()[0])
        for one in running:
            yield self._finish(one)

    def _finish(self, running: tuple[Any, int]) -> Outputs:
        request, used = running
        request.wait()
        return tuple(request.get_tensor(port).data[:used] for port in self._ports)


def fingerprint(model: Any) -> str:
    """Digest of a functional Keras model's graph and weights; models of one digest give the same outputs.

    Keras numbers operations through the life of a process ("add", "add_1", ...), so each name is replaced by its place
    among the names.
    """
    places: dict[str, str] = {}

    def place(found: re.Match[str]) -> str:
        return places.setdefault(found.group(), f'"{len(places)}"')

    names = "|".join(re.escape(operation.name) for operation in model.operations)
    graph = re.sub(f'"(?:{names}|{re.escape(model.name)})"', place, model.to_json())
    digest = hashlib.sha256(graph.encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()
