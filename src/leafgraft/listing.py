"""Photos to be named, from whatever a caller lists: files, folders, patterns, CSVs and lines of a stream."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from leafgraft.errors import UserError

STREAM = "-"
"""Stands for the lines of a stream."""


def listed(names: Iterable[str], lines: Iterable[str] = ()) -> Iterator[Path]:
    """List photos one by one; only the names within one folder are in memory at once.

    Args:
        names: each a photo, a folder, whose files are listed in the order of their names with those of the folders in
            it, a CSV with the column ``path``, a pattern like ``photos/**/*.jpg``, or "-" for ``lines``.
        lines: a path each.

    Yields:
        The paths, whether there is something or not; hidden files in folders are passed over.

    Raises:
        UserError: a CSV has no column ``path``, or cannot be read.
    """
    for name in names:
        path = Path(name)
        if name == STREAM:
            yield from (Path(line.rstrip("\r\n")) for line in lines if line.strip())
        elif path.is_dir():
            yield from _below(path)
        elif path.suffix.lower() == ".csv" and path.is_file():
            yield from _column(path)
        elif glob.has_magic(name) and not path.exists():
            yield from _matching(path)
        else:
            yield path


def _below(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it; links to folders are not followed, which could lead in a circle."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_file()) for entry in entries)
    for name, is_folder, is_file in found:
        if name.startswith("."):
            continue
        if is_folder:
            yield from _below(folder / name)
        elif is_file:
            yield folder / name


def _matching(pattern: Path) -> Iterator[Path]:
    """The files that a pattern names, in order; ``**`` does not follow links to folders either."""
    plain = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:plain])
    for path in sorted(root.glob("/".join(pattern.parts[plain:]))):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _column(path: Path) -> Iterator[Path]:
    """The column ``path`` of a CSV; relative ones begin at its folder."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                raise UserError(f"{path} has no column path; it has {', '.join(rows.fieldnames or ()) or 'none'}.")
            for row in rows:
                if row["path"]:
                    yield path.parent / row["path"]
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); give another list of photos.") from error
