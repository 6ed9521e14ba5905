"""ZIP archives and the NumPy arrays in them: what will be unpacked is known, and bounded, before it is."""

from __future__ import annotations

import math
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

CATALOGUE = 1 << 18
"""Bytes of an archive's list of members, at most: some thousands of them. `zipfile` reads it whole."""

_CHUNK = 1 << 18  # small enough to be in the processor's cache when the checksum is taken
_END = 22  # bytes of the record at the end of an archive without a comment


@contextmanager
def opened(path: Path, *, most: int, packed: bool = False) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP archive whose members are plain files inside it.

    Args:
        path: the archive.
        most: bytes that all members may have together when they are unpacked.
        packed: whether members may be compressed.

    Raises:
        ValueError: it is none, or holds something else.
    """
    with path.open("rb") as file:
        _require_short_catalogue(file)
        try:
            with zipfile.ZipFile(file) as archive:
                _require_plain(archive.infolist(), most, packed)
                yield archive
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise ValueError(f"it is no whole ZIP archive ({error or 'it ends too early'})") from None


def _require_short_catalogue(file: BinaryIO) -> None:
    """Look at the end of an archive as `zipfile` will, which would take any length from it."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END - 20))
    end = file.read()
    if end[-_END : 4 - _END] != b"PK\5\6":
        raise ValueError("it is no whole ZIP archive (it does not end as one does)")
    if end[:4] == b"PK\6\7" or int.from_bytes(end[-10:-6], "little") > CATALOGUE:
        raise ValueError(f"it is an archive with a list of members of over {CATALOGUE:,} bytes")


def _require_plain(infos: Sequence[zipfile.ZipInfo], most: int, packed: bool) -> None:
    seen: set[str] = set()
    for info in infos:
        # The name as it is written there: ZipInfo cuts it at a NUL and turns strange separators.
        name = info.orig_filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or name[1:2] == ":":
            raise ValueError(f"its member {name[:80]!r} leads out of the archive")
        if stat.S_ISLNK(info.external_attr >> 16) or info.is_dir():
            raise ValueError(f"its member {name[:80]!r} is a link or a folder")
        if name in seen:
            raise ValueError(f"it holds {name[:80]!r} twice")
        if info.flag_bits & 1:
            raise ValueError(f"its member {name[:80]!r} is encrypted")
        if info.compress_type != zipfile.ZIP_STORED and not (packed and info.compress_type == zipfile.ZIP_DEFLATED):
            raise ValueError(f"its member {name[:80]!r} is compressed in a way that is never used for it")
        seen.add(name)
    if (size := sum(info.file_size for info in infos)) > most:
        raise ValueError(f"it would unpack to {size:,} bytes, more than the {most:,} that such a file may have")


def arrays(path: Path, *, most: int, packed: bool = False) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file: numbers and texts, never Python objects.

    Args:
        path: the file.
        most: bytes that all arrays may have together.
        packed: whether they may be compressed.

    Returns:
        The arrays by name.

    Raises:
        ValueError: it is something else.
    """
    with opened(path, most=most, packed=packed) as archive:
        return {info.filename.removesuffix(".npy"): _array(archive, info) for info in archive.infolist()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array; NumPy's own reader would take memory for as many numbers as the header claims."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    name = repr(info.filename[:80])
    with archive.open(info) as file:
        try:
            shape, columns, dtype = readers[np.lib.format.read_magic(file)](file)
        except (ValueError, KeyError, TypeError, RecursionError, MemoryError):
            raise ValueError(f"its member {name} is no NumPy array") from None
        if dtype.hasobject:
            raise ValueError(f"its member {name} is a pickle of Python objects, which could run code")
        if dtype.kind not in "biufU":
            raise ValueError(f"its member {name} is of the type {dtype}, neither numbers nor texts")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != info.file_size - file.tell():
            raise ValueError(f"its member {name} claims the shape {shape} of {dtype} and is of another size")
        data, start = np.empty(size, np.uint8), 0
        while part := file.read(_CHUNK):
            data[start : start + len(part)] = np.frombuffer(part, np.uint8)
            start += len(part)
    array: NDArray[Any] = np.ndarray(shape, dtype, data.data, order="F" if columns else "C")
    if dtype.kind == "U" and array.size and int(data.view(f"{dtype.byteorder}u4").max()) > 0x10FFFF:
        raise ValueError(f"its member {name} holds letters that are no Unicode")
    return array


def require_kinds(found: Mapping[str, NDArray[Any]], kinds: Mapping[str, str]) -> None:
    """Make sure that there are the arrays that are expected, and of the expected types.

    Args:
        found: arrays by name.
        kinds: the type of each in NumPy's words; "str" for texts of any length.

    Raises:
        ValueError: something is missing, surplus or of another type.
    """
    if found.keys() != kinds.keys():
        raise ValueError(f"it holds {', '.join(sorted(found))[:200] or 'nothing'} instead of {', '.join(kinds)[:200]}")
    for name, kind in kinds.items():
        dtype = found[name].dtype
        if dtype != np.dtype(kind) and not (kind == "str" and dtype.kind == "U" and dtype.isnative):
            raise ValueError(f"its member {name!r} is of the type {dtype}, not {kind}")


def require_finite(name: str, array: NDArray[Any]) -> None:
    """Make sure that no number of an array is infinite or NaN.

    Raises:
        ValueError: one is.
    """
    if array.dtype == np.float16:  # by its bits, which takes a tenth of the time
        infinite = bool((array.view(np.uint16) & 0x7FFF).max(initial=0) >= 0x7C00)
    else:
        infinite = not np.isfinite(array).all()
    if infinite:
        raise ValueError(f"{name} holds numbers that are not finite")
