"""Data sets of Hugging Face, or in its formats on this disk, by the package ``datasets``."""

from __future__ import annotations

import hashlib
import os
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from leafgraft.hubs.request import Request
from leafgraft.hubs.table import Kind, Rows, Table
from leafgraft.machine import offline
from leafgraft.photos.decode import MEGABYTES, UnreadablePhoto, read_bytes

# They count only before the library is loaded; what the user has set stands.
_QUIETLY = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
}


def library() -> Any:
    """The package ``datasets``, which reports nothing and shows nothing."""
    for name, value in _QUIETLY.items():
        os.environ.setdefault(name, value)
    import datasets
    from huggingface_hub import constants

    if offline():
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    return datasets


def opened(request: Request) -> Table:
    """Fetch a data set into the cache of its library, unless it is there, and open it.

    No program of a data set is run: since its version 4 the library can none.

    Args:
        request: what is asked for; a folder may hold what ``save_to_disk`` wrote, or files that ``load_dataset`` takes.

    Raises:
        ImportError: the library is missing.
        Exception: whatever it raises.
    """
    datasets = library()
    folder = Path(request.name)
    saved = request.local and any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    if saved:
        found = datasets.load_from_disk(request.name)
        splits = dict(found) if isinstance(found, dict) else {str(found.split or "photos"): found}
        digest = " ".join(f"{name} {split._fingerprint}" for name, split in splits.items())
        revision = hashlib.sha256(digest.encode()).hexdigest()[:16]
    else:
        builder = datasets.load_dataset_builder(request.name, request.config, revision=request.revision)
        builder.download_and_prepare()
        splits, revision = dict(builder.as_dataset()), str(builder.hash)
    features = next(iter(splits.values())).features

    def rows(split: str, image: str, label: str) -> Rows:
        data = splits[split].select_columns([image, label])
        if isinstance(features[image], datasets.Image):
            data = data.cast_column(image, datasets.Image(decode=False))
        with closing(_Files([folder.resolve()] if request.local else _caches())) as files:
            for row in data:
                yield files.content(row[image]), _label(row[label], features[label])

    kinds = {name: _kind(datasets, feature) for name, feature in features.items()}
    return Table(revision, kinds, {name: len(data) for name, data in splits.items()}, rows)


def _kind(datasets: Any, feature: Any) -> Kind:
    if isinstance(feature, datasets.Image):
        return "pictures"
    if isinstance(feature, datasets.ClassLabel):
        return "classes"
    if isinstance(feature, dict):  # how pictures lie in Parquet files whose writer has not said so
        return "bytes" if "bytes" in feature else "other"
    dtype = str(getattr(feature, "dtype", "")) if isinstance(feature, datasets.Value) else ""
    if "binary" in dtype:
        return "bytes"
    if "string" in dtype:
        return "text"
    return "numbers" if dtype.startswith(("int", "uint", "bool")) else "other"


def _label(value: Any, feature: Any) -> str:
    if value is None:
        return ""
    if hasattr(feature, "int2str"):
        return "" if value < 0 else str(feature.int2str(value))  # -1 stands for no label
    return str(value)


def _caches() -> list[Path]:
    """Where the library keeps what it has fetched; the folder above it holds the user's token."""
    import datasets
    from huggingface_hub import constants

    config = datasets.config
    places = config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, config.EXTRACTED_DATASETS_PATH
    return [Path(place).expanduser().resolve() for place in (*places, constants.HF_HUB_CACHE)]


class _Files:
    """Reads the files that rows name in place of bytes: ``a.jpg``, or ``zip://a.jpg::photos.zip``.

    Whoever made the data set could so have any file of this machine copied, so they have to lie in one of some places.
    """

    def __init__(self, places: list[Path]) -> None:
        self._places = places
        self._archives: dict[Path, zipfile.ZipFile] = {}

    def content(self, value: Any) -> bytes | str:
        """The bytes of a picture, or why there are none."""
        inside = value if isinstance(value, dict) else {"bytes": value}
        if (data := inside.get("bytes")) is not None:
            return bytes(data)
        if not inside.get("path"):
            return "no picture"
        *inner, outer = str(inside["path"]).split("::")
        file = Path(outer).resolve()
        if not any(file.is_relative_to(place) for place in self._places):
            return "a file outside of the data set"
        try:
            return self._in_archive(file, inner) if inner else read_bytes(file)
        except (UnreadablePhoto, OSError, ValueError, KeyError, zipfile.BadZipFile):
            return "a file that cannot be read"

    def _in_archive(self, file: Path, inner: list[str]) -> bytes:
        if len(inner) > 1 or not inner[0].startswith("zip://"):
            raise ValueError("not in a ZIP archive")
        archive = self._archives.get(file) or self._archives.setdefault(file, zipfile.ZipFile(file))
        entry = archive.getinfo(inner[0].removeprefix("zip://"))
        if entry.file_size > MEGABYTES * 10**6:
            raise ValueError(f"larger than the limit of {MEGABYTES} MB")
        return archive.read(entry)

    def close(self) -> None:
        """Close the archives."""
        for archive in self._archives.values():
            archive.close()
