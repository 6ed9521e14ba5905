"""Files that are there whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Let the block write a file under a temporary name in the same folder, and rename it to ``path`` at the end.

    If the block fails, nothing is left and an earlier file stays as it was.

    Yields:
        The temporary path; it ends as ``path`` does, for writers that go by the ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
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
    temporary = Path(tempfile.mkdtemp(prefix="temporary-", dir=path.parent))
    try:
        yield temporary
        if path.exists() and not (path / sign).is_file():
            shutil.rmtree(path)  # half of it has been removed
        try:
            temporary.rename(path)
        except OSError:
            if not (path / sign).is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
