"""OpenVINO's two files, checked as text before OpenVINO sees them, and as a network before it is compiled."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.parsers import expat

SIDE = 224
"""Pixels of a side of the photo that the network takes."""

_OPERATIONS = """
    Add AvgPool BatchNormInference Clamp Concat Const Convert Convolution Divide Exp GroupConvolution MatMul MaxPool
    Maximum Minimum Multiply NormalizeL2 Pad Parameter Power ReLU ReduceL2 ReduceMean ReduceSum Reshape Result Reverse
    SoftMax Softmax Sqrt Squeeze StridedSlice Subtract Transpose Unsqueeze
"""
OPERATIONS = frozenset(_OPERATIONS.split())
"""What a ResNet50 with one of our heads may be made of, whichever version has converted it: plain arithmetic. None
repeats, branches, keeps a state, asks for memory by a number that it has computed, or comes from a library."""

_NUMBERS = {"f32", "f16", "bf16", "i32", "i64", "u8", "i8", "boolean"}

MOST_LAYERS = 5_000
MOST_VALUES = 1 << 25
"""Numbers in what one layer makes of one photo, at most: 128 MB. In ResNet50 it is 0.8 million."""

MOST_WORK = 200e9
"""Multiplications for one photo, at most: fifty times those of ResNet50."""


def require_plain(xml: bytes, weights: int) -> None:
    """Check the description of a network.

    Args:
        xml: the content of ``model.xml``.
        weights: bytes of ``model.bin``.

    Raises:
        ValueError: it is something else than plain arithmetic on those weights.
    """
    parser, kind, layers, depth = expat.ParserCreate("UTF-8"), "", 0, 0

    def forbid(*_: Any) -> None:
        raise ValueError("it has a DOCTYPE or entities, which OpenVINO never writes")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal kind, layers, depth
        depth += 1
        if depth == 1 and (name, attributes.get("version")) != ("net", "11"):
            raise ValueError("it is no network of OpenVINO's format 11")
        if depth > 32:
            raise ValueError("its elements are nested too deeply")
        if name == "layer":
            kind, layers = attributes.get("type", ""), layers + 1
            if layers > MOST_LAYERS:
                raise ValueError(f"it has more than {MOST_LAYERS:,} layers")
            if not re.fullmatch(r"opset\d{1,2}", version := attributes.get("version", "")):
                raise ValueError(f"its layer {kind[:40]!r} is of {version[:40]!r}, no standard set of operations")
            if kind not in OPERATIONS:
                raise ValueError(f"it has a layer {kind[:40]!r}, which such a network never has")
        elif name == "data":
            if attributes.get("element_type", "f32") not in _NUMBERS:
                raise ValueError(f"its layer {kind!r} is of the type {attributes['element_type'][:40]!r}, no numbers")
            if kind == "Const":
                _require_within(attributes, weights)

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = forbid
    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is no XML ({error})") from None


def _require_within(attributes: dict[str, str], weights: int) -> None:
    offset, size = attributes.get("offset", ""), attributes.get("size", "")
    if not (re.fullmatch(r"\d{1,15}", offset) and re.fullmatch(r"\d{1,15}", size)):
        raise ValueError(f"a constant of it lies at {offset[:40]!r} and has {size[:40]!r} bytes, which are no numbers")
    if int(offset) + int(size) > weights:
        raise ValueError(f"a constant of it would end at byte {int(offset) + int(size):,} of {weights:,} in model.bin")


def read(path: Path, weights: int) -> Any:
    """Read a network that `require_plain` finds fit.

    Args:
        path: of ``model.xml``; its size has been looked at.
        weights: bytes of ``model.bin``.

    Returns:
        An ``openvino.Model``, not compiled.

    Raises:
        ValueError: it is none.
    """
    from leafgraft._openvino import ov

    require_plain(path.read_bytes(), weights)
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        raise ValueError(f"OpenVINO cannot read it ({_reason(error)})") from None


def require_modest(model: Any, classes: int) -> int:
    """Check a network that was read: what goes in and comes out, and what it takes to compute it.

    Args:
        model: an ``openvino.Model`` whose batch is open; what its layers claim in the file no longer counts.
        classes: of the labels.

    Returns:
        How many features its second output has.

    Raises:
        ValueError: it is no classifier of so many species, or wants too much memory or time.
    """
    photo = [str(one.get_partial_shape()) for one in model.inputs]
    if photo != [f"[?,{SIDE},{SIDE},3]"] or model.input(0).get_element_type().get_type_name() != "u8":
        raise ValueError(f"it takes {', '.join(photo)}, not uint8 photos [?,{SIDE},{SIDE},3]")
    shapes = {name: _sizes(one) for one in model.outputs for name in one.get_names() if name.startswith("output_")}
    shares, features, activations = (shapes.get(f"output_{place}", []) for place in range(3))
    if len(model.outputs) != 3 or len(features) != 1 or len(activations) != 3 or activations[2:] != features:
        raise ValueError(f"it gives {sorted(shapes.items())}, not probabilities, features and activations"[:200])
    if shares != [classes]:
        raise ValueError(f"it tells {shares[0] if shares else 0} species apart, and labels.json names {classes}")
    work = 0
    for operation in model.get_ops():
        values = [math.prod(_sizes(one)) for one in operation.outputs()]
        if max(values, default=0) > MOST_VALUES:
            name = operation.get_friendly_name()[:80]
            raise ValueError(f"its layer {name!r} makes {max(values):,} numbers of a photo")
        if (kind := operation.get_type_name()) in ("Convolution", "GroupConvolution", "MatMul"):
            kernel = _sizes(operation.input(1))
            work += values[0] * (max(kernel, default=1) if kind == "MatMul" else math.prod(kernel[1:]))
    if work > MOST_WORK:
        raise ValueError(f"it multiplies {work:.3g} times for a photo, and {MOST_WORK:.3g} is the most")
    return features[0]


def _sizes(port: Any) -> list[int]:
    """Sizes of a tensor without the first, the batch, if that is open; no other may be."""
    text = str(port.get_partial_shape())  # a shape is read from its text in a twentieth of the time
    if not re.fullmatch(r"\[(\?|\d+)?(,\d+)*\]", text):
        raise ValueError(f"a tensor in it has the open shape {text[:80]}")
    return [int(size) for size in text[1:-1].split(",") if size not in ("", "?")]


def _reason(error: Exception) -> str:
    """The last line of what OpenVINO says, which is the reason."""
    return str(error).strip().splitlines()[-1].strip()[:200] if str(error).strip() else "it gives no reason"
