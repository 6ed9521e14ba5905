"""Whether what lies at a path is whole and safe to open, whatever of ours it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leafgraft import imagenet, opening
from leafgraft.engine import bank, checkpoint
from leafgraft.engine.checkpoint import STATE
from leafgraft.errors import UserError
from leafgraft.photos.manifest import read_manifest
from leafgraft.runfolder import CHECKPOINTS
from leafgraft.safety.plain import json_in, require_plain
from leafgraft.weights_format import NOTOP, read

MOST_RECORD = 1_000_000_000
"""Bytes of a file that a run has written down, at most: millions of photos have room in it."""


@dataclass(frozen=True)
class Kind:
    """Something that can be checked.

    Attributes:
        name: in a word or two.
        is_it: whether a path holds such a thing, going by the names in it.
        check: looks at all of it and returns what each file was found to be; raises `UserError` for the first fault.
    """

    name: str
    is_it: Callable[[Path], bool]
    check: Callable[[Path], dict[str, str]]


@dataclass(frozen=True)
class Whole:
    """What was found whole.

    Attributes:
        path: where it lies.
        kind: what it is.
        checked: what each file in it was found to be.
    """

    path: Path
    kind: str
    checked: dict[str, str]


def _is_bundle(path: Path) -> bool:
    return (path / opening.MANIFEST).exists()


def _is_run(path: Path) -> bool:
    return (path / "model" / opening.MANIFEST).exists()


def _run(path: Path) -> dict[str, str]:
    """The bundle of a run, what the run has written down, and what it would go on from."""
    found = {f"model/{name}": what for name, what in opening.inspect(path / "model").items()}
    for name, look in _WRITTEN.items():
        if (path / name).exists():
            try:
                require_plain(path / name, MOST_RECORD)
                found[name] = look(path / name)
            except UserError:
                raise
            except (ValueError, TypeError) as reason:
                raise UserError(f"{path / name} is refused: {reason}; use another copy of the run.") from None
    if (path / CHECKPOINTS / STATE).exists():
        found |= {f"{CHECKPOINTS}/{name}": what for name, what in _checkpoint(path).items()}
    return found


def _entries(path: Path) -> str:
    return f"{len(json_in(path, MOST_RECORD))} entries"


_WRITTEN: dict[str, Callable[[Path], str]] = {
    "run.json": _entries,
    "metrics.json": _entries,
    "manifest.csv": lambda path: f"{len(read_manifest(path))} photos",
}


def _is_cache(path: Path) -> bool:
    return (path / NOTOP).exists() or path == imagenet.cache_dir()


def _weights(path: Path) -> dict[str, str]:
    return {path.name: f"{len(read(path))} tensors of ResNet50"}


def _is_banks(path: Path) -> bool:
    return (path / "rows").exists() or any(path.glob("*/rows"))


def _banks(path: Path) -> dict[str, str]:
    """One bank, or all that lie in a folder."""
    folders = [path] if (path / "rows").exists() else sorted(rows.parent for rows in path.glob("*/rows"))
    return {folder.name: bank.inspect(folder) for folder in folders}


def _cache(path: Path) -> dict[str, str]:
    """The weights, and the banks beside them."""
    return imagenet.inspect(path) | {f"bank/{name}": what for name, what in _banks(path / "bank").items()}


def _checkpoint(path: Path) -> dict[str, str]:
    """What an interrupted run goes on from."""
    _, parts = checkpoint.read(path if (path / STATE).exists() else path / CHECKPOINTS)
    return {name: f"{len(list(part.arrays))} arrays" for name, part in parts.items()}


KINDS = (
    Kind("classifier", _is_bundle, opening.inspect),
    Kind("run", _is_run, _run),
    Kind("checkpoint", lambda path: (path / STATE).exists() or (path / CHECKPOINTS / STATE).exists(), _checkpoint),
    Kind("cache of weights", _is_cache, _cache),
    Kind("bank", _is_banks, _banks),
    Kind("weights file", Path.is_file, _weights),
)
"""The first that a path is of counts."""


def verify(path: Path | None = None) -> Whole:
    """Check all that lies at a path.

    Args:
        path: a bundle, the folder of a run, a checkpoint, a cache, a bank or a weights file; None for the user's cache.

    Raises:
        UserError: it is none of these, or something in it is missing, damaged or not safe to open.
    """
    path = imagenet.cache_dir() if path is None else path
    for kind in KINDS:
        if kind.is_it(path):
            return Whole(path, kind.name, kind.check(path))
    what = "is not there" if not path.exists() else "is nothing of ours"
    raise UserError(f"{path} {what}; name one of: {', '.join(kind.name for kind in KINDS)}.")
