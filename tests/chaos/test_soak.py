"""Training, naming plants and serving in turns, for long: memory, open files and threads stay as they were.

Each training is a command, and so a process of its own: TensorFlow keeps the weights of every model it has trained
(https://github.com/tensorflow/tensorflow/issues/62854).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
import pytest

from chaos.small_run import SmallRun
from leafgraft.bundle import load_bundle
from leafgraft.machine import release_memory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows counts handles otherwise")

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))


@contextmanager
def serving(model: Path, place: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A service of its own process, and its address."""
    with (place / "serve.log").open("wb") as log:
        command = [sys.executable, "-m", "leafgraft", "serve", str(model), "--port", "0"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        while "http://" not in (said := (place / "serve.log").read_text()):
            assert process.poll() is None, said
            time.sleep(0.1)
        yield psutil.Process(process.pid), "http://" + said.partition("http://")[2].split()[0]
    finally:
        process.terminate()
        process.wait(60)


def held_by(process: psutil.Process) -> dict[str, int]:
    """What a process holds: MB of memory, open files, threads."""
    return {"mb": process.memory_info().rss // 10**6, "files": process.num_fds(), "threads": process.num_threads()}


@pytest.mark.slow
def test_nothing_grows(
    garden: Path,
    weights: Path,
    trained_run: Path,
    tmp_path: Path,
    amount: Callable[[int, int], int],
    figures: Callable[[dict[str, Any]], None],
) -> None:
    photos = sorted(garden.rglob("*.jpg"))[: amount(12, 80)]
    seen: dict[str, list[dict[str, int]]] = {"predicts": [], "serves": []}
    end = time.monotonic() + 60 * amount(0, 1) * MINUTES
    with serving(trained_run, tmp_path) as (service, address):
        while time.monotonic() < end or len(seen["serves"]) < 2:
            model = trained_run
            for _ in range(amount(0, 1)):
                small = SmallRun(tmp_path / f"turn {len(seen['serves'])}", garden, weights)
                small.finish()
                model = small.folder
            assert len(load_bundle(model, batch=4).predict(photos)) == len(photos)
            for photo in photos:
                httpx.post(f"{address}/v1/predict", files={"photos": photo.read_bytes()}, timeout=60).raise_for_status()
            for place in tmp_path.glob("turn *"):
                shutil.rmtree(place)
            release_memory()
            for name, process in zip(seen, (psutil.Process(), service), strict=True):
                seen[name].append(held_by(process))
            figures({"minutes": MINUTES, "turns": len(seen["serves"]), "seen": seen})
    for name, turns in seen.items():
        third = max(1, len(turns) // 3)
        for what, more in (("mb", 100), ("files", 0), ("threads", 1)):
            earlier, later = turns[-2 * third : -third], turns[-third:]
            before, after = (median(turn[what] for turn in some) for some in (earlier, later))
            assert after <= before + more, (name, what, turns)
