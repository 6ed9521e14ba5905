"""The activation bank: what the frozen part made of each view, kept on disk, so that it is computed once.

A bank is a folder with one flat file per tensor, in which row after row is appended, and ``rows``, the list of the
rows' keys (32 bytes each) and checksums (CRC-32 over the row's tensors). A row counts only once its key stands in
``rows``, and the key is written after the data are on the disk: a killed run leaves surplus data that the next one
overwrites, never a row to trust by mistake. What the disk has spoilt since shows by the checksum.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import mmap
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
from numpy.typing import NDArray

from leafgraft.errors import UserError
from leafgraft.files import sweep, synced, write_json

ENTRY = np.dtype([("key", "V32"), ("crc", "<u4")])
"""What ``rows`` has for each row."""

FORMAT = 2

_log = logging.getLogger(__name__)


def row_key(content: str, view: int) -> bytes:
    """The key of one view of a photo, from the SHA-256 of its content and the number of the view."""
    return hashlib.sha256(f"{content} {view}".encode()).digest()


class Rows:
    """Rows of tensors that lie in files, mapped into memory and read as they are asked for.

    What has been read is given back at once: the pages of a file that is several times as large as the memory would
    otherwise all count as resident.
    """

    def __init__(
        self,
        files: Sequence[Path],
        shapes: Sequence[tuple[int, ...]],
        dtype: np.dtype[Any],
        checksums: NDArray[np.uint32],
    ) -> None:
        """Map as many rows of each file as there are checksums."""
        self.shapes, self.dtype, self._checksums, self._count = tuple(shapes), dtype, checksums, len(checksums)
        self._checked = np.zeros(len(checksums), bool)
        self._folder = files[0].parent
        self._maps: list[mmap.mmap] = []
        for path in files if self._count else ():
            with path.open("rb") as file:
                self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def __len__(self) -> int:
        """How many rows there are."""
        return self._count

    def take(self, places: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Copy some rows.

        Args:
            places: int64 (n,), 0 <= place < number of rows.

        Returns:
            (n, *shape) for each tensor.
        """
        if not len(places):
            return tuple(np.zeros((0, *shape), self.dtype) for shape in self.shapes)
        found = tuple(rows[places] for rows in self._tensors())
        for mapped in self._maps if hasattr(mmap, "MADV_DONTNEED") else ():
            mapped.madvise(mmap.MADV_DONTNEED)
        return found

    def intact(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some rows are as they were written, bool (n,); a row that is has to be looked at only once."""
        tensors = self._tensors() if len(places) else []
        for place in places[~self._checked[places]]:
            self._checked[place] = _checksum([rows[place] for rows in tensors]) == self._checksums[place]
        good: NDArray[np.bool_] = self._checked[places]
        if not good.all():
            _log.warning("%d rows in %s are damaged and computed anew.", int((~good).sum()), self._folder)
        return good

    def _tensors(self) -> list[NDArray[Any]]:
        return [
            np.frombuffer(mapped, self.dtype, self._count * math.prod(shape)).reshape(self._count, *shape)
            for mapped, shape in zip(self._maps, self.shapes, strict=True)
        ]


def _checksum(tensors: Sequence[NDArray[Any]]) -> int:
    """CRC-32 over the tensors of a row."""
    crc = 0
    for tensor in tensors:
        crc = zlib.crc32(np.ascontiguousarray(tensor).data, crc)
    return crc


def stored(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values as a bank keeps them; beyond the range of half precision they become its largest."""
    if dtype.kind != "f":
        return values.astype(dtype)
    limit = np.finfo(dtype).max
    kept: NDArray[Any] = np.clip(values, -limit, limit).astype(dtype)
    return kept


def _open_to_extend(path: Path) -> BinaryIO:
    return path.open("r+b" if path.exists() else "w+b")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class Bank:
    """One folder of activations that share all their settings.

    Attributes:
        folder: where it lies.
        shapes: the shape of a row in each tensor.
    """

    def __init__(self, root: Path, settings: str, shapes: Sequence[tuple[int, ...]], dtype: str = "float16") -> None:
        """Open a bank, or begin one.

        Args:
            root: the folder that holds all banks.
            settings: everything that the rows depend on besides photo and view; other settings, other bank.
            shapes: the shape of a row in each tensor.
            dtype: "float16", or "uint8" for photos.
        """
        self.folder = root / hashlib.sha256(f"{settings} {list(shapes)} {dtype} {FORMAT}".encode()).hexdigest()[:32]
        self.shapes = tuple(shapes)
        self._dtype = np.dtype(dtype)
        self.folder.mkdir(parents=True, exist_ok=True)
        about = self.folder / "about.json"
        if not about.exists():
            write_json(about, {"settings": settings, "shapes": self.shapes, "dtype": dtype, "format": FORMAT})
        self._places: dict[bytes, int]
        self._pending: list[tuple[bytes, int]] = []
        self._refresh()

    def _refresh(self) -> None:
        """Read the keys; those that were cut off do not count, nor those whose data are gone."""
        path = self.folder / "rows"
        content = path.read_bytes() if path.exists() else b""
        held = [_size(self._file(i)) // self._row_bytes(i) for i in range(len(self.shapes))]
        entries = np.frombuffer(content, ENTRY, min(len(content) // ENTRY.itemsize, *held))
        self._checksums = entries["crc"]
        self._count = len(entries)
        self._places = {}
        for place, key in enumerate(entries["key"].tolist()):
            self._places.setdefault(bytes(key), place)

    def _file(self, tensor: int) -> Path:
        return self.folder / f"tensor_{tensor}"

    def lock(self) -> filelock.FileLock:
        """The lock of the one who appends; a process that dies gives it back."""
        return filelock.FileLock(self.folder / "lock")

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Positions of the keys that have no row yet, each key once."""
        self._refresh()
        first: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            if key not in self._places:
                first.setdefault(key, position)
        return sorted(first.values())

    def append(self, keys: Sequence[bytes], tensors: Sequence[NDArray[Any]]) -> None:
        """Write rows behind those that are there; the caller holds the lock, and calls `commit` now and then.

        Args:
            keys: n keys.
            tensors: (n, *shape) each; see `stored`.
        """
        tensors = [stored(tensor, self._dtype) for tensor in tensors]
        for i, (tensor, shape) in enumerate(zip(tensors, self.shapes, strict=True)):
            if tensor.shape != (len(keys), *shape):
                raise ValueError(f"{len(keys)} rows of shape {shape} expected; received {tensor.shape}")
            with _open_to_extend(self._file(i)) as file:
                file.seek((self._count + len(self._pending)) * self._row_bytes(i))
                file.write(np.ascontiguousarray(tensor).data)
        self._pending.extend(zip(keys, map(_checksum, zip(*tensors, strict=True)), strict=True))

    def commit(self) -> None:
        """Make what was appended count, the data first."""
        if not self._pending:
            return
        begun = not self._count
        for i in range(len(self.shapes)):
            synced(self._file(i))
        entries = np.array(self._pending, ENTRY)
        with _open_to_extend(self.folder / "rows") as file:
            file.seek(self._count * ENTRY.itemsize)
            file.write(entries.tobytes())
            file.flush()
            os.fsync(file.fileno())
        if begun:
            synced(self.folder)
        for place, (key, _) in enumerate(self._pending, start=self._count):
            self._places.setdefault(key, place)
        self._checksums = np.concatenate([self._checksums, entries["crc"]])
        self._count += len(self._pending)
        self._pending.clear()

    def _row_bytes(self, tensor: int) -> int:
        return math.prod(self.shapes[tensor]) * self._dtype.itemsize

    def places(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """The row of each key, or -1 where there is none."""
        return np.array([self._places.get(key, -1) for key in keys], np.int64)

    def rows(self) -> Rows:
        """All rows that count."""
        return Rows([self._file(i) for i in range(len(self.shapes))], self.shapes, self._dtype, self._checksums)

    @property
    def row_bytes(self) -> int:
        """How much of the disk a row takes."""
        data: int = sum(self._row_bytes(i) for i in range(len(self.shapes)))
        return ENTRY.itemsize + data


@contextmanager
def converting(root: Path) -> Iterator[None]:
    """Hold the lock of the one who puts a converted network beside the banks, and remove what a killed one has left."""
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / "converting.lock"):
        sweep(root)
        yield


def room(root: Path, limit_gb: float | None = None) -> int:
    """How many bytes more the banks may take.

    Args:
        root: the folder of all banks.
        limit_gb: what all of them together may take, in GB; None leaves half of the disk that is free to others.
    """
    root.mkdir(parents=True, exist_ok=True)
    if limit_gb is None:
        return shutil.disk_usage(root).free // 2
    return max(0, int(limit_gb * 1e9) - sum(int(bank["bytes"]) for bank in banks(root)))


def banks(root: Path) -> list[dict[str, Any]]:
    """What lies in the folder of all banks: for each folder, shapes of a row, rows and bytes; largest first."""
    found = []
    for about in sorted(root.rglob("about.json")):
        try:
            shapes = json.loads(about.read_text(encoding="utf-8"))["shapes"]
        except (OSError, ValueError, KeyError):
            shapes = []
        folder = about.parent
        size = sum(_size(path) for path in folder.iterdir())
        rows = _size(folder / "rows") // ENTRY.itemsize
        found.append({"folder": str(folder), "shapes": shapes, "rows": rows, "bytes": size})
    return sorted(found, key=lambda bank: -bank["bytes"])


def inspect(folder: Path) -> str:
    """Compare every row of a bank with its checksum; returns how many there are, in words.

    Raises:
        UserError: a row is damaged.
    """
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        if about.get("format") != FORMAT:
            return "of another version, and not used"
        shapes, dtype = [tuple(shape) for shape in about["shapes"]], np.dtype(about["dtype"])
        entries = np.frombuffer((folder / "rows").read_bytes(), ENTRY)
        rows = Rows([folder / f"tensor_{i}" for i in range(len(shapes))], shapes, dtype, entries["crc"])
        for start in range(0, len(rows), 256):
            some = np.arange(start, min(start + 256, len(rows)))
            if not rows.intact(some).all():
                raise ValueError("a row differs from its checksum")
            rows.take(some[:1])  # gives the memory back
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise UserError(
            f"{folder} is damaged ({reason}); what is damaged is computed anew, and `leafgraft bank clear` removes all."
        ) from None
    return f"{len(rows)} rows"


def clear(root: Path) -> tuple[int, list[str]]:
    """Remove all banks, except those that a process is filling.

    Returns:
        How many bytes were freed, and the folders that were left alone.
    """
    freed, busy = 0, []
    for bank in banks(root):
        folder = Path(bank["folder"])
        try:
            with filelock.FileLock(folder / "lock", timeout=0):
                shutil.rmtree(folder)
                freed += bank["bytes"]
        except filelock.Timeout:
            busy.append(str(folder))
    return freed, busy
