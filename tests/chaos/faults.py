"""A layer below Python's files in which the n-th operation goes wrong, as a disk would have it."""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

KINDS = {"write": ("full disk", "short write"), "fsync": ("fsync fails",), "rename": ("rename fails",)}
"""What can go wrong with each operation."""


class Disk:
    """Counts what is done below a folder, and lets one operation go wrong.

    Attributes:
        done: the operations so far: "write", "fsync" or "rename".
        places: where in Leafgraft's code each was asked for: the innermost two functions.
        struck: what went wrong, and with which file; "" if nothing has.
    """

    def __init__(self, place: Path, strike: int = 0, kind: str = "") -> None:
        """Watch a folder; the ``strike``-th operation, counted from 1, goes wrong in the way of ``kind``."""
        self.done: list[str] = []
        self.places: list[str] = []
        self.struck = ""
        self._place, self._strike, self._kind = str(place), strike, kind

    def wrong(self, operation: str, path: object) -> bool:
        """Count an operation, and say whether it has to go wrong."""
        self.done.append(operation)
        self.places.append(f"{operation} in {_asked_by()}")
        if len(self.done) != self._strike:
            return False
        self.struck = f"{operation} {path}"
        return True

    def watches(self, path: object) -> bool:
        """Whether a path lies below the folder."""
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._place)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Put the layer below all files that Python opens in the block."""
        disk, real = self, {name: getattr(os, name) for name in ("fsync", "rename", "replace")}

        class Raw(io.FileIO):
            def write(self, content: Any, /) -> int:
                if disk.wrong("write", self.name):
                    if disk._kind == "full disk":
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.name)
                    content = memoryview(content).cast("B")
                    content = content[: max(1, len(content) // 2)]
                return super().write(content) or 0

        def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
            if not set(mode) & set("wax+") or not disk.watches(file):
                return real_open(file, mode, buffering, *rest, **named)
            raw = Raw(os.fspath(file), mode.replace("b", "").replace("t", ""))
            if buffering == 0:
                return raw
            buffered: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **named)

        def fsync(handle: int) -> None:
            if disk.watches(path := Path(f"/proc/self/fd/{handle}").readlink()) and disk.wrong("fsync", path):
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            real["fsync"](handle)

        def moving(name: str) -> Any:
            def moved(source: Any, target: Any, **named: Any) -> None:
                if disk.watches(target) and disk.wrong("rename", target):
                    raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(target))
                real[name](source, target, **named)

            return moved

        real_open = io.open
        with (
            mock.patch.object(io, "open", opened),
            mock.patch.object(builtins, "open", opened),
            mock.patch.object(os, "fsync", fsync),
            mock.patch.object(os, "rename", moving("rename")),
            mock.patch.object(os, "replace", moving("replace")),
        ):
            yield


def _asked_by() -> str:
    """The innermost two functions of Leafgraft that are being called."""
    found: list[str] = []
    frame = sys._getframe(1)
    while frame and len(found) < 2:
        code = frame.f_code
        if f"{os.sep}leafgraft{os.sep}" in code.co_filename:
            found.append(f"{Path(code.co_filename).stem}.{code.co_name}")
        frame = frame.f_back  # type: ignore[assignment]
    return " in ".join(found)
