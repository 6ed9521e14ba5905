"""Files that are there whole or not at all."""

from __future__ import annotations

import csv
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leafgraft.errors import UserError

TEMPORARY = re.compile(r"\.leafgraft-[0-9a-f]{32}(\.\w+)?")
"""The name of what is being written, and of what a process that was killed has left; see `sweep`."""


def temporary_beside(path: Path) -> Path:
    """A new name in the same folder, which ends as ``path`` does, for writers that go by the ending."""
    return path.with_name(f".leafgraft-{uuid.uuid4().hex}{path.suffix if path.suffix[1:].isalnum() else ''}")


def sweep(folder: Path) -> None:
    """Remove what killed processes have left in a folder.

    The caller holds the lock of all who write there, or the work of another process would be gone.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if TEMPORARY.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def synced(path: Path) -> None:
    """Bring a file, or the list of names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot, and need not
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Let the block write a file under a temporary name in the same folder, and rename it to ``path`` at the end.

    If the block fails, nothing is left and an earlier file stays as it was. When it has ended, the file would outlast
    a power cut (https://lwn.net/Articles/457667/).

    Yields:
        The temporary path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        synced(temporary)
        temporary.replace(path)
        synced(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, sign: str) -> Iterator[Path]:
    """Let the block fill a folder under a temporary name beside ``path``, and rename it at the end.

    If another process was first, its folder stays: whoever makes it, its content is as good. If the block fails,
    nothing is left.

    Args:
        path: the folder.
        sign: the file in it without which it is not whole; what is there without it is replaced.

    Yields:
        The temporary folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    temporary.mkdir()
    try:
        yield temporary
        sync_all(temporary)
        if path.exists() and not (path / sign).is_file():
            shutil.rmtree(path)  # half of it has been removed
        try:
            temporary.rename(path)
        except OSError:
            if not (path / sign).is_file():
                raise
        synced(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_all(folder: Path) -> None:
    """Bring a folder and all that is in it to the disk."""
    places = [Path(parent, name) for parent, _, names in os.walk(folder) for name in (*names, ".")]
    if len(places) > 1000 and sys.platform == "linux":
        os.sync()  # which waits there; one file after the other would take minutes
        return
    for place in places:
        synced(place)


def exchange(one: Path, other: Path) -> None:
    """Let two folders swap their names, in one step where the system can.

    Elsewhere there is a moment in which ``other`` has no name; what it held lies beside it, and is put back if the
    renaming fails. Source: renameat2(2), https://man7.org/linux/man-pages/man2/rename.2.html
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        if hasattr(library, "renameat2"):  # with the flag RENAME_EXCHANGE; -100 is the working directory
            if not library.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2):
                return
            if (code := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOSYS):  # this file system cannot
                raise OSError(code, os.strerror(code), str(other))
    aside = temporary_beside(other)
    other.rename(aside)
    try:
        one.rename(other)
    except BaseException:
        aside.rename(other)
        raise
    aside.rename(one)


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8.

    What UTF-8 cannot hold, such as parts of file names in another encoding, is written as an escape of JSON.
    """
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file for people to read as well."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file with a header; None becomes an empty cell, and no text can run as a spreadsheet's formula."""
    # File names that are not UTF-8 reach Python as surrogates; the same handler at reading brings them back.
    with whole(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        # Lines end with CR LF, without which the csv module would not quote a name with a CR in it.
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: guarded(value) for name, value in row.items()} for row in rows)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""


def guarded(value: Any) -> Any:
    """Put a single quote before a text that a spreadsheet would run, or that looks as if it had been treated so."""
    return f"'{value}" if isinstance(value, str) and value.lstrip("'").startswith(FORMULA) else value


def require_pyarrow(otherwise: str) -> None:
    """Refuse to write Parquet where pyarrow is missing.

    Args:
        otherwise: the ending of a file that can be written without it.

    Raises:
        UserError: it is missing.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UserError(f"Parquet needs pyarrow: pip install 'leafgraft[parquet]', or write {otherwise}.") from None
