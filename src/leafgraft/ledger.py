"""Answers to many photos on disk: kept line by line as they come, so that a run can go on, and a whole file at its end.

Until then they are in ``FILE.partial``: a line of JSON about the run, then one for each photo.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from leafgraft.errors import UserError
from leafgraft.files import guarded, require_pyarrow, whole
from leafgraft.naming import Row

FORMATS = (".csv", ".jsonl", ".parquet")

_SYNC = 1000  # rows between two synchronisations with the disk
_GROUP = 10_000  # rows of a Parquet file that are in memory at once


class Ledger:
    """The rows of one run.

    Attributes:
        done: how many rows there are already.
    """

    def __init__(self, path: Path, about: dict[str, Any], *, resume: bool) -> None:
        """Begin, or go on where an earlier run stopped.

        Args:
            path: the file to write in the end; its ending says how.
            about: what rows depend on; an earlier run must have been about the same.
            resume: whether to go on.

        Raises:
            UserError: the ending is another; there is an earlier run and ``resume`` is false, or it was about something
                else.
        """
        require_format(path)
        self._path, self._partial, self._about = path, path.with_name(f"{path.name}.partial"), about
        self.done = 0
        if self._partial.exists() and not resume:
            raise UserError(f"{self._partial} is left of a run that was ended; add --resume to go on, or remove it.")
        if self._partial.exists():
            self.done = self._recovered()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_text(json.dumps(about) + "\n", encoding="utf-8")

    def _recovered(self) -> int:
        """Cut off a last line that is not whole, and count the rows."""
        rows = -1
        with self._partial.open("rb+") as file:
            good = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if rows < 0 and json.loads(line) != self._about:
                    raise UserError(
                        f"{self._partial} is of another classifier or other options; remove it to begin anew."
                    )
                good += len(line)
                rows += 1
            file.truncate(good)
            if rows < 0:
                file.write(json.dumps(self._about).encode() + b"\n")
        return max(0, rows)

    def remaining(self, photos: Iterable[Path]) -> Iterator[Path]:
        """The photos that have no row yet.

        Raises:
            UserError: those that have one are not the first of these.
        """
        photos = iter(photos)
        for row in self.rows():
            path = next(photos, None)
            if path is None or str(path) != row["path"]:
                raise UserError(
                    f"{self._partial} goes on to {row['path']} where {path or 'nothing'} is listed now; "
                    "list the same photos, or remove it to begin anew."
                )
        return photos

    def rows(self) -> Iterator[Row]:
        """All rows so far."""
        with self._partial.open(encoding="utf-8") as file:
            next(file)
            for line in itertools.islice(file, self.done):
                yield json.loads(line)

    def extend(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Keep rows as they come, and hand them on."""
        with self._partial.open("a", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row) + "\n")
                self.done += 1
                if self.done % _SYNC == 0:
                    file.flush()
                    os.fsync(file.fileno())
                yield row

    def finish(self) -> None:
        """Write the file, and remove what it was made from."""
        write(self._path, self.rows(), self._about["top"])
        self._partial.unlink()


def require_format(path: Path) -> None:
    """Refuse what `write` cannot write.

    Raises:
        UserError: the ending is another, pyarrow is missing, or there is a folder.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"The file must end in {', '.join(FORMATS)}. Received: {path}.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it.")
    if path.suffix.lower() == ".parquet":
        require_pyarrow(".csv")


def write(path: Path, rows: Iterable[Row], top: int) -> None:
    """Write a file of answers.

    Args:
        path: its ending says how: .csv, .jsonl or .parquet.
        rows: the answers; only some of them are in memory at once.
        top: how many species are named in each.
    """
    with whole(path) as temporary:
        match path.suffix.lower():
            case ".jsonl":
                with temporary.open("w", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)
            case ".csv":
                # File names that are not UTF-8 are surrogates; see `leafgraft.files.write_csv`.
                with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                    writer = csv.DictWriter(file, list(_columns(top)))
                    writer.writeheader()
                    writer.writerows({name: guarded(value) for name, value in _cells(row).items()} for row in rows)
            case _:
                import pyarrow.parquet as pq

                rows = iter(rows)
                with pq.ParquetWriter(temporary, table((), top).schema) as writer:
                    while group := list(itertools.islice(rows, _GROUP)):
                        writer.write_table(table(group, top))


def table(rows: Iterable[Row], top: int) -> Any:
    """Answers as a ``pyarrow.Table``, a species and its probability to a column."""
    import pyarrow as pa

    types = {str: pa.string(), bool: pa.bool_(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in _columns(top).items()])
    cells = [_cells(row) for row in rows]
    for one in cells:  # parts of names that are no Unicode become question marks
        one["path"] = one["path"].encode("utf-8", "replace").decode("utf-8")
    return pa.Table.from_pylist(cells, schema)


def _columns(top: int) -> dict[str, type]:
    named = [f"{what}_{place}" for place in range(1, top + 1) for what in ("species", "probability")]
    return {
        "path": str, "unknown": bool, "strangeness": float,
        **{name: str if name.startswith("species") else float for name in named}, "problem": str,
    }  # fmt: skip


def _cells(row: Row) -> dict[str, Any]:
    cells = {name: row.get(name) for name in ("path", "unknown", "strangeness", "problem")}
    for place, one in enumerate(row.get("predictions", ()), start=1):
        cells[f"species_{place}"], cells[f"probability_{place}"] = one["species"], one["probability"]
    return cells
