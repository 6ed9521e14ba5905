"""Keras files that are hostile, as in `chaos.hostile`."""

from __future__ import annotations

import base64
import io
import json
import marshal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from chaos.hostile import Change, member, replaced, text, trace


def configured(edit: Callable[[dict[str, Any], Path], None]) -> Change:
    """Another configuration in Keras' file."""

    def change(folder: Path) -> None:
        with zipfile.ZipFile(folder / "model.keras") as file:
            config = json.loads(file.read("config.json"))
        edit(config, folder)
        replaced("model.keras", "config.json", json.dumps(config).encode())(folder)

    return change


def layer(kind: str, **changes: Any) -> Change:
    """Other settings of the first layer of a kind."""

    def edit(config: dict[str, Any], folder: Path) -> None:
        found = next(one for one in config["config"]["layers"] if one["class_name"] == kind)
        for key, value in changes.items():
            (found if key in found else found["config"])[key] = value(folder) if callable(value) else value

    return configured(edit)


def becomes(module: str, kind: str, settings: Callable[[Path], Any], registered: str | None = None) -> Change:
    """The activation becomes something that runs."""

    def edit(config: dict[str, Any], folder: Path) -> None:
        found = next(one for one in config["config"]["layers"] if one["class_name"] == "ReLU")
        found |= {"module": module, "class_name": kind, "config": settings(folder), "registered_name": registered}

    return configured(edit)


def function(folder: Path) -> dict[str, Any]:
    """The settings of a Lambda layer with code in it."""
    code = compile(f"__import__('os').mkdir({str(trace(folder))!r})", "x", "eval")
    value = [base64.b64encode(marshal.dumps(code)).decode(), None, None]
    return {"name": "x", "function": {"class_name": "__lambda__", "config": {"value": value}}}


def hidden(config: dict[str, Any], folder: Path) -> None:
    """A layer among the arguments of another, where nobody counts its weights."""
    extra = {
        "module": "keras.layers", "class_name": "Dense", "config": {"name": "x", "units": 10**9},
        "build_config": {"input_shape": [None, 10**6]}, "registered_name": None,
    }  # fmt: skip
    config["config"]["layers"][-1]["inbound_nodes"][0]["kwargs"]["mask"] = extra


def deep(config: dict[str, Any], folder: Path) -> None:
    config["config"]["layers"].append(config["config"]["layers"][-1] | {"class_name": "Functional", "name": "inner"})


def compiled(config: dict[str, Any], folder: Path) -> None:
    config["compile_config"] = {"optimizer": "adam", "loss": {"class_name": "function", "config": "x"}}


def weights(edit: Callable[[Any, Path], None]) -> Change:
    """Other things in the HDF5 file within Keras' file."""

    def change(folder: Path) -> None:
        with zipfile.ZipFile(folder / "model.keras") as file:
            content = io.BytesIO(file.read("model.weights.h5"))
        with h5py.File(content, "a") as file:
            edit(file, folder)
        replaced("model.keras", "model.weights.h5", content.getvalue())(folder)

    return change


def secret(folder: Path) -> Path:
    """A file of the user's that has nothing to do with the bundle."""
    path = folder.parent / "secret.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(2, np.float32)
    return path


def outer_link(file: Any, folder: Path) -> None:
    file["layers/outer"] = h5py.ExternalLink(str(secret(folder)), "/x")


def soft_link(file: Any, folder: Path) -> None:
    file["layers/soft"] = h5py.SoftLink("/layers")


def circle(file: Any, folder: Path) -> None:
    file["layers/again"] = file["layers"]


def outer_storage(file: Any, folder: Path) -> None:
    file.create_dataset("outer", (2,), "f4", external=[(str(secret(folder)), 0, 8)])


def virtual(file: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(secret(folder)), "x", (2,))
    file.create_virtual_dataset("view", layout)


def huge(file: Any, folder: Path) -> None:
    file.create_dataset("huge", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 10))


def texts(file: Any, folder: Path) -> None:
    file.create_dataset("text", data=["a", "b"], dtype=h5py.string_dtype())


CASES: dict[str, tuple[Change, str]] = {
    "a function of Python": (becomes("keras.layers", "Lambda", function), r"keras\.layers\.Lambda, which is no part"),
    "a module of Python": (
        becomes("os", "mkdir", lambda folder: {"path": str(trace(folder))}), r"it holds os\.mkdir, which is no part"
    ),
    "safety switched off": (
        becomes("keras.config", "enable_unsafe_deserialization", lambda _: {}), "enable_unsafe_deserialization, which"
    ),
    "a download": (
        becomes("keras.utils", "get_file", lambda _: {"origin": "http://127.0.0.1:9/x"}), r"keras\.utils\.get_file"
    ),
    "a vocabulary in a file": (
        becomes("keras.layers", "StringLookup", lambda _: {"vocabulary": "/etc/passwd"}), r"layers\.StringLookup"
    ),
    "a registered object": (
        becomes("keras.layers", "ReLU", lambda _: {"name": "x"}, "mine>ReLU"), "the registered object 'mine>ReLU'"
    ),
    "a layer of before Keras 3": (configured(lambda config, _: config["config"]["layers"][1].pop("module")), "None"),
    "a layer within a layer": (configured(hidden), "it hides layers within others"),
    "a model within the model": (configured(deep), "no part of such a classifier|no flat functional model"),
    "an optimizer": (configured(compiled), "it is compiled"),
    "weights beyond memory": (layer("Dense", units=10**9), "species apart|weights"),
    "a filter too many": (layer("Conv2D", filters=10**8), "its layers want"),
    "more weights beside them": (layer("Conv2D", lora_rank=10**8), "the setting 'lora_rank'"),
    "a stride beyond all": (layer("Conv2D", strides=[10**6, 1]), "has the strides 1000000"),
    "an activation by name": (layer("Conv2D", activation="evil"), "has the activation 'evil'"),
    "a photo beyond all": (layer("InputLayer", batch_shape=[None, 10**6, 10**6, 3]), "not photos"),
    "no configuration": (replaced("model.keras", "config.json", b"[]"), "no configuration of Keras"),
    "a deep configuration": (replaced("model.keras", "config.json", b"[" * 99_999), "its JSON is nested too deeply"),
    "a configuration of 5 MB": (replaced("model.keras", "config.json", b" " * 5_000_000), "more than 4,000,000 bytes"),
    "assets": (member("model.keras", "assets/x"), "instead of Keras' three files"),
    "assets above": (member("model.keras", "assets/../../x"), "leads out of the archive"),
    "a member that is packed": (
        member("model.keras", "x", bytes(9_999), zipfile.ZIP_DEFLATED), "'x' is compressed in a way"
    ),
    "no archive": (text("model.keras", b"\x89HDF\r\n\x1a\n"), "it is no whole ZIP archive"),
    "no HDF5": (replaced("model.keras", "model.weights.h5", b"x" * 999), "no whole HDF5 file"),
    "a link to another file": (weights(outer_link), "it holds an external link, /layers/outer"),
    "a soft link": (weights(soft_link), "it holds a soft link, /layers/soft"),
    "a circle": (weights(circle), "leads round in a circle"),
    "storage in another file": (weights(outer_storage), "has external storage, in another file"),
    "a view of another file": (weights(virtual), "is virtual, a view of other files"),
    "a terabyte that takes no room": (weights(huge), "its data sets claim more than"),
    "texts among the weights": (weights(texts), "no plain numbers"),
}  # fmt: skip
"""What `PlantClassifierTransferLearning.load` meets besides."""
