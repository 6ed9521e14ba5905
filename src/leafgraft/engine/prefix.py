"""Prefix engines: they run the frozen part of a network as plain inference, in OpenVINO or in TensorFlow."""

from __future__ import annotations

import collections
import functools
import hashlib
import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from leafgraft.errors import UserError
from leafgraft.machine import allotted, cores, versions

Outputs = tuple[NDArray[np.float32], ...]

Name = Literal["auto", "fp32", "bf16", "int8", "tensorflow"]
"""What may be asked for: a precision of OpenVINO, TensorFlow, or what suits the machine."""

ENGINES: tuple[str, ...] = get_args(Name)

BATCH = 4
"""Photos a request. The speed hardly depends on it, and the memory does; a single photo is answered soonest with 1."""


class Engine(Protocol):
    """What fills a bank."""

    def run(self, photos: Iterable[NDArray[np.uint8]]) -> Iterator[Outputs]:
        """Push photos through.

        Args:
            photos: uint8 (224, 224, 3) each.

        Yields:
            The outputs, float32 (b, ...) each, of the next b photos, in order. They are overwritten when the next ones
            are asked for.
        """


@dataclass(frozen=True)
class Choice:
    """An engine that was chosen.

    Attributes:
        name: "fp32", "bf16", "int8" or "tensorflow".
        why: in half a sentence.
    """

    name: Name
    why: str

    @property
    def sentence(self) -> str:
        """One line for a person."""
        engine = "TensorFlow" if self.name == "tensorflow" else f"OpenVINO in {self.name}"
        return f"The frozen layers run in {engine}: {self.why}."

    @property
    def key(self) -> str:
        """Names what computes, for keys of what was computed."""
        if self.name == "tensorflow":
            return f"tensorflow {versions()['tensorflow']} f32"
        return f"openvino {metadata.version('openvino')} {'f32' if self.name == 'fp32' else self.name}"


def choose(name: str) -> Choice:
    """Settle what computes the frozen layers.

    "auto" takes what is fastest among those that give the same answers for practical purposes: a GPU that TensorFlow
    sees, else bfloat16 where the processor multiplies it (cosine to float32 0.99996), else float32. int8 is faster
    still but changes the activations (cosine 0.997) and has to be calibrated first, so it must be asked for.

    Raises:
        UserError: there is no such engine, or this machine cannot run it.
    """
    if name not in ENGINES:
        raise UserError(f"There is no engine {name!r}; choose {', '.join(ENGINES)}.")
    if name in ("fp32", "int8", "tensorflow"):
        return Choice(name, "as asked for")  # type: ignore[arg-type]
    if name == "auto" and _gpu():
        return Choice("tensorflow", "there is a GPU")
    fast = "BF16" in capabilities()
    if name == "bf16" and not fast:
        raise UserError("This processor does not compute in bfloat16; choose the engine fp32, int8 or auto.")
    if fast:
        return Choice("bf16", "as asked for" if name == "bf16" else "this processor computes in bfloat16")
    return Choice("fp32", "this processor has no bfloat16, and there is no GPU")


@functools.cache
def capabilities() -> list[str]:
    """What the processor computes with, in OpenVINO's words: "FP32", "BF16", "INT8" and others."""
    from leafgraft._openvino import ov

    return list(ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _gpu() -> bool:
    """Whether TensorFlow sees a GPU; False without a look where it is not loaded, as in prediction."""
    tensorflow = sys.modules.get("tensorflow")
    return bool(tensorflow is not None and tensorflow.config.list_physical_devices("GPU"))


def convert(model: Any) -> Any:
    """Turn a functional Keras model into an OpenVINO model that takes uint8 photos.

    Args:
        model: from "photo" (n, 224, 224, 3), RGB 0-255, to one or more tensors.

    Returns:
        An ``openvino.Model`` in float32: input "photo", uint8 (?, 224, 224, 3); outputs "output_0", "output_1", ...
        in the order of ``model.outputs``.
    """
    import tensorflow as tf

    from leafgraft._openvino import converted, ov

    signature = [tf.TensorSpec((None, *model.input.shape[1:]), tf.float32, name="photo")]

    # Without autograph, which looks for Python's branches and loops to rewrite: the model has none.
    @tf.function(input_signature=signature, autograph=False)  # type: ignore[untyped-decorator]
    def forward(photo: Any) -> dict[str, Any]:
        outputs = model(photo, training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return {f"output_{i}": tf.identity(output) for i, output in enumerate(outputs)}

    steps = ov.preprocess.PrePostProcessor(converted(forward))
    steps.input(0).tensor().set_element_type(ov.Type.u8)
    return steps.build()


class OpenVINO:
    """A compiled OpenVINO model that answers a stream of photos, several requests at once."""

    def __init__(
        self, model: Any, *, batch: int = BATCH, precision: str = "fp32", lone: bool = False, outputs: int | None = None
    ) -> None:
        """Compile a model.

        Args:
            model: an ``openvino.Model`` from `convert`, or the path of one that was saved.
            batch: photos a request.
            precision: "fp32", "bf16", or "int8" for a model that has been quantized: what is left in floating point
                then runs in float32.
            lone: whether photos come one by one: all cores then work on one, instead of each on its own.
            outputs: how many of the outputs are asked for, the first ones; None for all.
        """
        from leafgraft._openvino import ov

        core = ov.Core()
        if isinstance(model, (str, Path)):
            model = core.read_model(model)
        model.reshape([batch, *(dimension.get_length() for dimension in list(model.input(0).partial_shape)[1:])])
        for result in model.get_results()[outputs:] if outputs is not None else ():
            model.remove_result(result)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY" if lone else "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        if allotted():  # else it takes one a physical core
            settings["INFERENCE_NUM_THREADS"] = cores()
            settings["ENABLE_CPU_PINNING"] = False  # or each of several processes would take the same processor
        self._batch = batch
        self._compiled = core.compile_model(model, "CPU", settings)
        self._parallel = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._ports = [self._compiled.output(f"output_{i}") for i in range(len(self._compiled.outputs))]

    def run(self, photos: Iterable[NDArray[np.uint8]]) -> Iterator[Outputs]:
        """Push photos through; see `Engine`."""
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


class TensorFlow:
    """A Keras model that answers a stream of photos, wherever TensorFlow computes."""

    def __init__(self, model: Any, *, batch: int = 4 * BATCH) -> None:
        """Take a functional Keras model from photos to one or more tensors."""
        model.jit_compile = False  # see network.without_xla
        self._model, self._batch = model, batch

    def run(self, photos: Iterable[NDArray[np.uint8]]) -> Iterator[Outputs]:
        """Push photos through; see `Engine`."""
        photos = iter(photos)
        while chunk := list(itertools.islice(photos, self._batch)):
            used = len(chunk)
            chunk += [chunk[-1]] * (self._batch - used)  # one shape, so that TensorFlow traces the model once
            outputs = self._model.predict_on_batch(np.stack(chunk))
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            yield tuple(np.asarray(output)[:used] for output in outputs)


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
    graph = re.sub(r'"trainable": (?:true|false)', "", graph)  # changes no output
    digest = hashlib.sha256(graph.encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()
