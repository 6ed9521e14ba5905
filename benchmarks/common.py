"""What the measurements share."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from leafgraft.machine import cores, versions


def machine() -> dict[str, Any]:
    """The machine at hand, for the page."""
    from leafgraft._openvino import ov
    from leafgraft.engine.prefix import capabilities

    return {
        "processor": ov.Core().get_property("CPU", "FULL_DEVICE_NAME"),
        "capabilities": capabilities(),
        "cores": cores(),
        "system": platform.platform(terse=True),
        "versions": versions(),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": median(values), "min": min(values), "max": max(values), "n": len(values)}


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds that work takes, and the share of all processors that it used meanwhile, 0-1."""
    start, before = time.perf_counter(), os.times()
    work()
    seconds, after = time.perf_counter() - start, os.times()
    used = after.user + after.system - before.user - before.system
    return seconds, used / seconds / cores()


def first_ten(photos: Path) -> list[str]:
    """The ten species."""
    return sorted(path.name for path in photos.iterdir() if path.is_dir())[:10]


def leafgraft(*arguments: object, cache: Path | None = None) -> tuple[float, float]:
    """Run the command line as a user would; returns its seconds and the peak of its resident memory in MB."""
    environment = os.environ | ({} if cache is None else {"LEAFGRAFT_CACHE": str(cache)})
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "leafgraft", *map(str, arguments)], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    peak = _Peak(process.pid)
    _, said = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"leafgraft {arguments[0]} failed: {said[-2000:]}")
    return seconds, peak.mb


class _Peak(threading.Thread):
    """Watches how much memory a process has had; what the system adds up at its end counts its parent's as well."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.mb = 0.0
        self._status = Path(f"/proc/{process}/status")
        self.start()

    def run(self) -> None:
        while True:
            try:
                self.mb = int(self._status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
            except (OSError, IndexError):  # it has ended
                return
            time.sleep(0.2)


def cold_cache(folder: str | Path) -> Path:
    """A cache that has the weights and nothing else."""
    from leafgraft import imagenet

    cache = Path(tempfile.mkdtemp(dir=folder))
    for path in imagenet.cache_dir().glob("resnet50*"):
        (cache / path.name).symlink_to(path)
    return cache
