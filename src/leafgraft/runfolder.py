"""The folder of a run: new, or that of an interrupted run that is gone on with; one process at a time writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from leafgraft.engine.checkpoint import STATE
from leafgraft.errors import UserError
from leafgraft.files import sweep
from leafgraft.photos import Photo, read_manifest

RECORD = "run.json"
CHECKPOINTS = "checkpoints"


def record_in(folder: Path) -> dict[str, Any]:
    """What ``run.json`` in a folder says; empty where there is none that can be read."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def require_fit(folder: Path, source: Path, request: Mapping[str, Any]) -> bool:
    """Refuse a folder in which this run can neither begin nor go on.

    Args:
        folder: where the run is to be written.
        source: its photos.
        request: what is asked for, as `leafgraft.records.request_of` says it.

    Returns:
        Whether there is an interrupted run of the same request.

    Raises:
        UserError: it is a file; it lies among the photos, where the next scan would take it for a species; it holds a
            run that is finished or was asked for something else, or no run at all.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose a folder that does not exist yet.")
    if folder.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{folder} lies within {source}, where it would pass for a species; choose a folder outside.")
    # A process that was killed at once has left no more than these.
    if not folder.exists() or all(path.name == CHECKPOINTS or path.name[0] == "." for path in folder.iterdir()):
        return False
    earlier = record_in(folder)
    if earlier.get("status") not in ("running", "interrupted", "failed"):
        raise UserError(f"{folder} exists and is not empty; choose another folder, or remove this one first.")
    if unlike := asked_otherwise(folder, request):
        name, before, now = unlike
        raise UserError(
            f"{folder} holds an interrupted run with {name} {before!r}, not {now!r}: ask for the same to go on, or "
            "choose another folder."
        )
    return True


def asked_otherwise(folder: Path, request: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first setting in which the run in a folder was asked for something else: its name, then and now."""
    return _difference(record_in(folder), json.loads(json.dumps(request)))


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The name of the first setting that differs, and both values."""
    for name, value in now.items():
        earlier = before.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            if inner := _difference(earlier, value):
                return f"{name} {inner[0]}", *inner[1:]
        elif name not in before or earlier != value:
            return name, earlier, value
    return None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder and be the only one who writes it; a process that dies lets go of it.

    What a killed process has left half-written is removed.

    Raises:
        UserError: another process writes it; or it has been removed when the block ends.
    """
    place = folder / CHECKPOINTS
    place.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(place / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{folder} is being written by another training; choose another folder, or wait.") from None
    try:
        sweep(folder)
        yield
        if not (place / "lock").exists():
            raise UserError(f"{folder} was removed while it was being written; give the same command again.")
    finally:
        lock.release()


def require_same_photos(folder: Path, photos: Sequence[Photo]) -> None:
    """Refuse to go on where a training has begun with other photos than there are now.

    Raises:
        UserError: a photo has changed, is new, or is gone; the sentence names the first.
    """
    if not (folder / CHECKPOINTS / STATE).exists():
        return  # nothing has been learned yet
    seen = read_manifest(folder / "manifest.csv")
    before, now = (
        {photo.path.absolute(): photo.sha256 for photo in some if not photo.problem} for some in (seen, photos)
    )
    for path in sorted(before.keys() | now.keys()):
        if before.get(path) != now.get(path):
            what = "is new" if path not in before else "is gone" if path not in now else "has changed"
            raise UserError(
                f"{path} {what} since the run in {folder} was interrupted: put the photos back to go on, or begin "
                "again in another folder."
            )
