"""The saved classifier: a folder that is written whole or not at all, checked when opened, and answers without Keras.

model.keras              the flat Keras model, for those who go on training or exporting
model.xml, model.bin     the same in OpenVINO, float32, with uint8 photos in: what answers
labels.json              names of the species in the order of the probabilities
card.md                  what it is for, how good it is, and where its limits lie
manifest.json            the SHA-256 of each of these files
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.prefix import OpenVINO, convert
from leafgraft.errors import UserError
from leafgraft.files import sha256, write_json, write_text
from leafgraft.photos.decode import centre

KERAS = "model.keras"
OPENVINO = "model.xml"
LABELS = "labels.json"
CARD = "card.md"
MANIFEST = "manifest.json"
FILES = (KERAS, OPENVINO, "model.bin", LABELS, CARD)
FORMAT = 1

TOLERANCE = 1e-4
"""Largest difference in a probability between the files of a bundle; in float32 it is about 1e-6."""


def write(folder: Path, model: Any, classes: tuple[str, ...], card: str = "") -> Path:
    """Write a bundle, atomically.

    Args:
        folder: a path that does not exist, or an earlier bundle, which is replaced.
        model: the Keras model, photo to probabilities.
        classes: names of the species in the order of the probabilities.
        card: Markdown.

    Returns:
        The folder.

    Raises:
        UserError: there is something else at that path, or it cannot be written.
    """
    from leafgraft._openvino import ov
    from leafgraft._tensorflow import keras

    if folder.exists() and not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} exists and is no saved classifier; choose another path.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another path.") from error
    try:
        # A new model around the same layers is not compiled: the optimizer's state would double the file.
        keras.Model(model.input, model.output, name=model.name).save(temporary / KERAS)
        converted = convert(model)
        try:
            ov.save_model(converted, temporary / OPENVINO, compress_to_fp16=False)
        except RuntimeError as error:  # whatever keeps OpenVINO from writing, a full disk included
            raise OSError(errno.EIO, "OpenVINO could not write its files") from error
        _require_agreement(model, temporary / OPENVINO)
        write_json(temporary / LABELS, classes)
        write_text(temporary / CARD, card)
        digests = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(json.dumps({"format": FORMAT, "sha256": digests}, indent=2), encoding="utf-8")
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        temporary.chmod(0o755)
        if folder.exists():
            old = temporary.with_name(temporary.name + "-old")
            folder.rename(old)
            try:
                temporary.rename(folder)
            except BaseException:
                old.rename(folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.rename(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error}); free some space.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _require_agreement(model: Any, converted: Path) -> None:
    """Let both files answer to noise of several kinds; a conversion that changes the answer must not be saved.

    Raises:
        RuntimeError: they differ by more than 1e-4 in a probability.
    """
    chance = np.random.default_rng(0)
    grain = [chance.integers(0, 256, (size, size, 3), np.uint8) for size in (1, 8, 56, 224)]
    photos = np.stack([part.repeat(224 // len(part), 0).repeat(224 // len(part), 1) for part in grain])
    expected = np.asarray(model.predict_on_batch(photos))
    answered = np.concatenate([outputs[0].copy() for outputs in OpenVINO(converted, batch=1).run(photos)])
    if (gap := float(np.abs(answered - expected).max())) > TOLERANCE:
        raise RuntimeError(f"the OpenVINO file answers otherwise than the Keras model, by {gap:g}")


def find(path: str | Path) -> Path:
    """The bundle at a path, which may also be the folder of a run.

    Raises:
        UserError: there is none.
    """
    for folder in (Path(path), Path(path) / "model"):
        if (folder / MANIFEST).is_file():
            return folder
    what = "has no saved classifier in it" if Path(path).is_dir() else "is not there"
    raise UserError(f"{path} {what}; name the folder of a run, or the model/ in it.")


def labels(path: str | Path) -> tuple[str, ...]:
    """Names of the species in a bundle, in the order of the probabilities."""
    return tuple(json.loads((find(path) / LABELS).read_text(encoding="utf-8")))


def verify(folder: Path) -> None:
    """Check every file of a bundle against its digest.

    Raises:
        UserError: a file is missing or has changed, or the bundle comes from a later version.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        digests, edition = dict(manifest["sha256"]), manifest["format"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{folder / MANIFEST} is damaged; use another copy of the classifier.") from None
    if edition != FORMAT:
        raise UserError(f"{folder} has the format {edition!r}, and this version reads {FORMAT}; update leafgraft.")
    for name in FILES:
        path = folder / name
        if not path.is_file() or sha256(path) != digests.get(name):
            raise UserError(f"{path} is missing or damaged; use another copy of the classifier.")


class Bundle:
    """A classifier that answers through OpenVINO alone.

    Attributes:
        classes: names of the species in the order of the probabilities.
    """

    def __init__(self, path: str | Path, *, batch: int = 1) -> None:
        """Open a bundle.

        Args:
            path: a bundle, or the folder of a run.
            batch: photos a request; more than 1 pays a little when there are many.

        Raises:
            UserError: there is none, or it is damaged.
        """
        folder = find(path)
        verify(folder)
        self.classes = labels(folder)
        self._engine = OpenVINO(folder / OPENVINO, batch=batch)

    def predict_proba(self, canvases: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The probability of each species for each photo.

        Args:
            canvases: as from `leafgraft.photos.load_canvas`.

        Returns:
            float32 (n, classes), in the order of the photos; every row adds up to 1.
        """
        parts = [outputs[0].copy() for outputs in self._engine.run(centre(canvas) for canvas in canvases)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)
