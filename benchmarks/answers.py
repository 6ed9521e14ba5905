"""How soon a saved classifier answers: cold as a command, against a Keras script, and warm in the service."""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import cold_cache, leafgraft, machine, spread

PAIRS = 7
WARM = 60
LARGE = (4000, 3000)
"""Twelve megapixels."""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of whole processes in turns, and milliseconds a request, one photo at a time."""
    from leafgraft.photos.garden import grow

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        photos = grow(folder / "garden", per_species=12, seed=0)
        leafgraft("train", photos, "-o", folder / "run", "--recipe", "quick", cache=cold_cache(folder))
        photo = next((photos / "fern").iterdir())
        commands = {
            "leafgraft": [sys.executable, "-m", "leafgraft", "predict", folder / "run", photo],
            "keras": [
                sys.executable, "-m", "benchmarks.keras_answer", folder / "run" / "model" / "model.keras",
                folder / "run" / "model" / "labels.json", photo,
            ],
        }  # fmt: skip
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(PAIRS + 1):
            for name, command in commands.items():
                spent = _seconds(command)
                if turn:  # the first one warms the disk's cache
                    seconds[name].append(spent)
        print(seconds, flush=True)
        large = _large(photo)
        warm = {engine: _warm(folder / "run", large, engine) for engine in ("fp32", "auto")}
    print(warm, flush=True)
    return {
        "machine": machine(),
        "cold": {name: spread(values) for name, values in seconds.items()},
        "cold_ratio": spread([k / ours for k, ours in zip(seconds["keras"], seconds["leafgraft"], strict=True)]),
        "warm": warm,
        "large_mb": len(large) / 1e6,
    }


def _seconds(command: list[Any]) -> float:
    # TensorFlow as it comes, not as a measurement before this one has set it up.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    start = time.perf_counter()
    subprocess.run(
        [str(word) for word in command], check=True, env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - start


def _large(photo: Path) -> bytes:
    """A photo as a phone takes it: twelve megapixels with grain."""
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB").resize(LARGE, Image.Resampling.BICUBIC), np.float32)
    grain = np.random.default_rng(0).normal(0, 6, pixels.shape).astype(np.float32)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def _warm(run: Path, photo: bytes, engine: str) -> dict[str, float]:
    """Milliseconds from sending a photo to having its answer, one after another over one connection."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "leafgraft", "serve", str(run), "--port", str(port), "--engine", engine]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection = _connected(port)
        border = uuid.uuid4().hex
        body = (
            f'--{border}\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode() + photo + f"\r\n--{border}--\r\n".encode()  # fmt: skip
        spent = []
        for _ in range(WARM + 5):
            start = time.perf_counter()
            connection.request("POST", "/v1/predict", body, {"Content-Type": f"multipart/form-data; boundary={border}"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
            spent.append(1000 * (time.perf_counter() - start))
            if answer.status != 200 or not content["photos"][0]["predictions"]:
                raise RuntimeError(f"the service answered {answer.status}: {content}")
    finally:
        process.terminate()
        process.wait(30)
    return {"median_ms": median(spent[5:]), "min_ms": min(spent[5:]), "max_ms": max(spent[5:])}


def _connected(port: int) -> http.client.HTTPConnection:
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return connection
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the service has not become ready within 20 s")
