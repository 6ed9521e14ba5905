"""Keras' own file, and TensorFlow's SavedModel."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.export.facts import NAME, Facts, labels_in

FACTS = f"{NAME}.json"
LABELS = "labels.json"


class Runner:
    """A Keras file in Keras; see `leafgraft.export.verify.Runner`."""

    def __init__(self, path: Path) -> None:
        """Open a file that `write` has written, in safe mode: it has no code of ours."""
        from leafgraft._tensorflow import keras
        from leafgraft.network import without_xla

        with zipfile.ZipFile(path) as file:
            self.labels = labels_in(json.loads(file.read(FACTS)))
        self._model = without_xla(keras.models.load_model(path, safe_mode=True))

    def predict(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, k), of photos, uint8 (n, 224, 224, 3)."""
        return np.asarray(self._model.predict_on_batch(photos), np.float32)


def write(model: Any, facts: Facts, path: Path, examples: None = None) -> None:
    """Write a Keras network as a file of Keras, the facts as one more file in its ZIP archive.

    Args:
        model: photo to probabilities, as from `leafgraft.export.graph`; not compiled.
        facts: what the file says of itself.
        path: ends in .keras.
        examples: int8 is not to be had.
    """
    model.save(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(FACTS, json.dumps(facts.as_dict(), indent=2))


class SavedModelRunner:
    """A SavedModel in TensorFlow; see `leafgraft.export.verify.Runner`."""

    def __init__(self, path: Path) -> None:
        """Open a folder that `write_saved_model` has written."""
        from leafgraft.export.graph import tensorflow

        self._tf = tensorflow()
        self.labels = tuple(json.loads((path / "assets" / LABELS).read_text(encoding="utf-8")))
        self._loaded = self._tf.saved_model.load(str(path))
        self._answer = self._loaded.signatures["serving_default"]

    def predict(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities, float32 (n, k), of photos, uint8 (n, 224, 224, 3)."""
        return np.asarray(self._answer(photo=self._tf.constant(photos))["probabilities"].numpy(), np.float32)


def write_saved_model(model: Any, facts: Facts, path: Path, examples: None = None) -> None:
    """Write a Keras network as a SavedModel with the signature ``serving_default``, labels and facts as its assets.

    Args:
        model: photo to probabilities, as from `leafgraft.export.graph`.
        facts: what the folder says of itself.
        path: a folder.
        examples: int8 is not to be had.
    """
    from leafgraft.export.graph import module, tensorflow

    tf = tensorflow()
    saved = module(model)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ((LABELS, list(facts.labels)), (FACTS, facts.as_dict())):
            (Path(folder) / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
        saved.labels = tf.saved_model.Asset(str(Path(folder) / LABELS))
        saved.facts = tf.saved_model.Asset(str(Path(folder) / FACTS))
        tf.saved_model.save(saved, str(path), signatures={"serving_default": saved.answer})
    path.chmod(0o755)
