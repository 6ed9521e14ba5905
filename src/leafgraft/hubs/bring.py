"""Brings a data set of a hub to this disk, once: its photos as files, their bytes as they are, and a list of them."""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from unicodedata import normalize

import filelock

from leafgraft.errors import UserError
from leafgraft.files import sweep, whole_folder, write_csv, write_json
from leafgraft.hubs.failures import refused
from leafgraft.hubs.folders import Folders, plain_name
from leafgraft.hubs.request import Request, parse
from leafgraft.hubs.table import Rows, Table, columns_of, sides_of
from leafgraft.progress import Progress, under_way

ABOUT = "hub.json"
_READERS = {"hf": "huggingface", "tfds": "tensorflow_datasets"}
_SUFFIXES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"GIF8": ".gif",
    b"RIFF": ".webp",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}

Source = TypeVar("Source", str, Path)


def brought(source: Source, progress: Progress | None = None, say: Callable[[str], None] = lambda text: None) -> Source:
    """The photos that somebody names: a data set of a hub as a CSV with the columns path, label and split.

    The photos lie beside the CSV in ``hub/`` of the cache, in a folder for each split and in it one for each label,
    numbered by their rows. What has been brought stays as it is, and nothing is asked of the hub again, until its
    folder is removed; of a folder on this disk (``hf:./folder``) each state is brought anew. A failure or an
    interruption leaves nothing there; what the library of the hub has fetched until then stays in its own cache.

    Args:
        source: a name as `leafgraft.hubs.request.parse` reads it; anything else, such as a folder, is given back.
        progress: told how many photos are there.
        say: given a line about what was left out, and where it lies.

    Raises:
        UserError: it cannot be had, or holds no photos with labels; the sentence says why.
    """
    request = parse(source)
    return source if request is None else type(source)(_list_of(request, progress, say))


def origin(source: Path) -> dict[str, Any] | None:
    """What is known of the data set that a CSV is the list of, to get it again; None for photos of no hub."""
    about = source.parent / ABOUT
    if not source.absolute().is_relative_to(_root().absolute()) or not about.is_file():
        return None
    return dict(json.loads(about.read_text(encoding="utf-8")))


def _root() -> Path:
    from leafgraft.imagenet import cache_dir

    return cache_dir() / "hub"


def _list_of(request: Request, progress: Progress | None, say: Callable[[str], None]) -> Path:
    name = plain_name(request.name.rpartition("/")[2])
    digest = hashlib.sha256(str(request).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    place = _root() / request.hub / f"{plain_name(request.name.strip('/'))}-{digest}"
    if (there := _whole(place)) and not request.local:
        return there / f"{name}.csv"
    place.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(place / "lock"):  # one brings, and the others wait for it
        sweep(place)
        if (there := _whole(place)) and not request.local:
            return there / f"{name}.csv"
        try:
            with under_way(progress, f"Fetching {request}"):
                table: Table = importlib.import_module(f"leafgraft.hubs.{_READERS[request.hub]}").opened(request)
        except UserError:
            raise
        except Exception as error:
            raise refused(request, error) from error
        folder = place / plain_name(table.revision)
        if not (folder / ABOUT).is_file():
            _bring(request, table, folder, f"{name}.csv", progress, say)
    return folder / f"{name}.csv"


def _whole(place: Path) -> Path | None:
    """What has been brought already."""
    return next((path.parent for path in sorted(place.glob(f"[!.]*/{ABOUT}"))), None)  # a dot begins what is half done


def _bring(
    request: Request, table: Table, folder: Path, name: str, progress: Progress | None, say: Callable[[str], None]
) -> None:
    columns = columns_of(table, request)
    sides = sides_of(table, request)
    if unused := [split for split in table.splits if split not in sides]:
        say(f"{request}: left out: the splits {', '.join(unused)}.")
    try:
        with whole_folder(folder, ABOUT) as temporary:
            photos, size = _fill(temporary, request, table, columns, sides, progress, say)
            write_csv(temporary / name, ("path", "label", "split"), photos)
            about = {
                "data_set": str(request),
                "revision": table.revision,
                "columns": dict(zip(("image", "label"), columns, strict=True)),
                "photos": len(photos),
                "bytes": size,
                "brought": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            write_json(temporary / ABOUT, about)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"{request} does not fit on the disk of {_root()}: free some, or have LEAFGRAFT_CACHE name another folder."
        ) from error
    kept = f"{len(photos):,} photos, {size / 1e6:,.0f} MB, are kept in {folder}"
    say(f"{request}: {kept}; remove that folder to free the space.")


def _fill(
    folder: Path, request: Request, table: Table, columns: tuple[str, str], sides: dict[str, str],
    progress: Progress | None, say: Callable[[str], None],
) -> tuple[list[dict[str, str]], int]:  # fmt: skip
    """Write the photos of some splits; returns the lines of the list, and how many bytes the photos have."""
    photos: list[dict[str, str]] = []
    split_folder, label_folder = Folders(), Folders()
    done, size, total = 0, 0, sum(table.splits[split] for split in sides)
    for split, side in sides.items():
        kept, lacking = len(photos), Counter[str]()
        for number, (content, label) in enumerate(_read(request, table.rows(split, *columns))):
            label = normalize("NFC", label).strip()
            if isinstance(content, bytes) and label:
                path = Path(split_folder(split), label_folder(label), f"{number:05}{_suffix(content)}")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
                photos.append({"path": path.as_posix(), "label": label, "split": side})
                size += len(content)
            else:
                lacking["no label" if isinstance(content, bytes) else content] += 1
            done += 1
            if progress:
                progress(f"Bringing the photos of {request}", done, total)
        if len(photos) == kept and set(lacking) == {"no label"}:
            say(f"{request}: left out: the split {split}, which has no labels.")
        else:
            for reason, count in lacking.items():
                say(f"{request}: left out of {split}: {count:,} {'row' if count == 1 else 'rows'} with {reason}.")
    if not photos:
        raise UserError(f"{request} has no photo with a label in {', '.join(sides)}; choose another split or data set.")
    return photos, size


def _read(request: Request, rows: Rows) -> Rows:
    """Rows, with what goes wrong as they are read told in a sentence."""
    try:
        yield from rows
    except Exception as error:
        raise refused(request, error) from error


def _suffix(content: bytes) -> str:
    """How a file with a picture ends, for people and other programs: Leafgraft goes by the content."""
    return next((suffix for start, suffix in _SUFFIXES.items() if content.startswith(start)), "")
