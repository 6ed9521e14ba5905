"""The machine at hand: its processors, memory, clock and software."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def cores() -> int:
    """Processors that this process may use, which can be fewer than the machine has.

    The environment variable OMP_NUM_THREADS counts, by which Ray and batch systems tell a process its share
    (https://www.openmp.org/spec-html/5.0/openmpse50.html).
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _of_container("cpu.max").partition(" ")
    if quota.isdecimal():
        found = min(found, round(int(quota) / int(period)))
    if share := allotted():
        found = min(found, share)
    return max(1, found)


def allotted() -> int:
    """What OMP_NUM_THREADS says; 0 where it says nothing."""
    share = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(share) if share.isdecimal() else 0


def offline() -> bool:
    """Whether LEAFGRAFT_OFFLINE forbids every download."""
    return os.environ.get("LEAFGRAFT_OFFLINE", "0") not in ("", "0")


def free_bytes() -> int:
    """Memory that this process may still take, which can be less than the machine has."""
    import psutil

    found = int(psutil.virtual_memory().available)
    limit, used = _of_container("memory.max"), _of_container("memory.current")
    return max(0, min(found, int(limit) - int(used))) if limit.isdecimal() and used.isdecimal() else found


def _of_container(name: str) -> str:
    """A limit that Linux sets to the container around this process, "" where there is none.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    try:
        return Path("/sys/fs/cgroup", name).read_text().strip()
    except OSError:
        return ""


def peak_rss_mb() -> float:
    """The largest resident memory of this process so far, in MB."""
    if sys.platform == "win32":
        import psutil

        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    if sys.platform == "linux":
        # Not getrusage, in which the memory of the process that started this one counts as well.
        status = Path("/proc/self/status").read_text()
        return round(int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6, 1)
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)  # in bytes on macOS


def versions() -> dict[str, str]:
    """Versions of what decides the result."""
    names = {"keras": "keras", "tensorflow": "tensorflow", "openvino": "openvino", "numpy": "numpy", "pillow": "pillow"}
    found = {"leafgraft": metadata.version("leafgraft"), "python": platform.python_version()}
    for name, package in names.items():
        for candidate in (package, f"{package}-cpu"):
            try:
                found[name] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
    return found


def room_for(shape: tuple[int, ...], folder: Path) -> NDArray[np.floating[Any]]:
    """An array to be filled: float32 in memory; if that would take a quarter of what is free, float16 in a file.

    Args:
        shape: of the array.
        folder: for the file, which is gone with the array.
    """
    if 4 * math.prod(shape) <= free_bytes() // 4:
        return np.empty(shape, np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.float16, "w+", shape=shape)


class Clock:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        """Start."""
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def add(self, seconds: Mapping[str, float], total: float) -> None:
        """Count what an earlier process has spent on the same run."""
        for part, spent in seconds.items():
            self.seconds[part] = round(self.seconds.get(part, 0.0) + spent, 3)
        self._start -= total

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = round(self.seconds.get(part, 0.0) + time.perf_counter() - start, 3)

    def total(self) -> float:
        """Seconds since the start."""
        return round(time.perf_counter() - self._start, 3)


def release_memory() -> None:
    """Give what is not used any more back to the system.

    glibc keeps freed memory for itself as long as anything above it is in use: after a conversion of the network that
    is half a gigabyte.
    """
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library has no such call
            ctypes.CDLL(None).malloc_trim(0)
