"""The list of photos as a CSV that a person, a spreadsheet and `folder.scan` can read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unicodedata import normalize

from leafgraft.errors import UserError
from leafgraft.files import FORMULA, write_csv
from leafgraft.photos.photo import Photo

COLUMNS = ("path", "label", "split", "sha256", "group", "width", "height", "problem")

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What data sets in the wild call the sides of a split, in lower case, and our names for them."""


def write_manifest(path: Path, photos: Iterable[Photo], root: Path | None = None) -> None:
    """Write photos to a CSV, atomically.

    Text that a spreadsheet would run as a formula gets a single quote in front, which `read_manifest` takes off again.

    Args:
        path: the CSV to write or replace.
        photos: the rows.
        root: paths below this folder are written relative to it, others absolute. By default the folder of ``path``,
            which is where `read_manifest` and `folder.scan` start from.
    """
    base = (root or path.parent).absolute()
    rows = (asdict(photo) | {"path": _below(photo.path.absolute(), base)} for photo in photos)
    write_csv(path, COLUMNS, rows)


def _below(path: Path, base: Path) -> str:
    return (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()


def read_manifest(path: Path, root: Path | None = None, *, group_by: str | None = None) -> list[Photo]:
    """Read photos from a CSV.

    It needs the columns path and label and may have split, sha256, group, width, height and problem. The separator may
    be a comma, a semicolon or a tab; a byte order mark and quoted cells are fine. The files are not looked at.

    Args:
        path: the CSV.
        root: what relative paths start from; by default the folder of the CSV.
        group_by: the column that is taken for the group, if there is such a one.

    Raises:
        UserError: the file is no such CSV; the message names the row or the column.
    """
    base = root or path.parent
    try:
        with _opened(path) as (names, rows):
            if lacking := [name for name in ("path", "label") if name not in names]:
                raise UserError(
                    f"{path} has no column {' and no column '.join(lacking)}: "
                    "its first line has to be path,label and may go on with split and group."
                )
            group = "group" if group_by is None or group_by.strip().lower() not in names else group_by.strip().lower()
            cells = (dict(zip(names, map(_unguard, row), strict=False)) for row in rows if any(map(str.strip, row)))
            return [_photo(row | {"group": row.get(group, "")}, base, f"{path}, line {rows.line_num}") for row in cells]
    except FileNotFoundError:
        raise UserError(f"There is no file {path}: give the path of a CSV with the columns path and label.") from None
    except (csv.Error, OSError) as error:
        raise UserError(f"{path} cannot be read as a CSV ({error}): save it as UTF-8 text with commas.") from error


def columns(path: Path) -> list[str]:
    """The names of a CSV's columns, in lower case."""
    with _opened(path) as (names, _):
        return names


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Any]]:
    """The header and a reader of the other rows."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header = file.readline()
        file.seek(0)
        rows = csv.reader(file, delimiter=max(",;\t", key=header.count))
        yield [name.strip().lower() for name in next(rows, [])], rows


def _photo(row: Mapping[str, str], base: Path, place: str) -> Photo:
    path = row.get("path", "")
    if not path:
        raise UserError(f"{place}: the path is empty; name a file or remove the line.")
    split = row.get("split", "").strip().lower()
    if split and split not in SPLITS:
        raise UserError(f'{place}: the split "{split}" is not known; write train, val, test or nothing.')
    label = normalize("NFC", row.get("label", "")).strip()
    problem = row.get("problem", "") or ("" if label else "no label")
    try:
        width, height = int(row.get("width") or 0), int(row.get("height") or 0)
    except ValueError:
        raise UserError(f"{place}: width and height have to be whole numbers of pixels or empty.") from None
    sha256, group = row.get("sha256", ""), row.get("group", "")
    return Photo(base / path, label, SPLITS.get(split, ""), sha256, group, width, height, problem)


def _unguard(text: str) -> str:
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text
