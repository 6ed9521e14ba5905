"""The saved classifier: a folder that is written whole or not at all, checked when opened, and answers without Keras.

model.keras              the flat Keras model, for those who go on training or exporting
model.xml, model.bin     the same in OpenVINO, float32: uint8 photos in; probabilities, features and activations out
head.npz                 the dense layers of the head, for heat maps
labels.json              names of the species in the order of the probabilities
calibration.json         the temperature of the probabilities, and from where on a photo is called unknown
known.npz                the photos that were learned from, as the classifier sees them
card.md                  what it is for, how good it is, and where its limits lie
manifest.json            the SHA-256 of each of these files
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.head import Head
from leafgraft.engine.prefix import BATCH, OpenVINO, choose, convert
from leafgraft.errors import UserError
from leafgraft.files import exchange, sha256, sync_all, synced, temporary_beside, write_json, write_text
from leafgraft.machine import release_memory
from leafgraft.opening import (
    ANSWERING,
    CALIBRATION,
    CARD,
    FILES,
    FORMAT,
    HEAD,
    KERAS,
    KNOWN,
    LABELS,
    MANIFEST,
    OPENVINO,
    Calibration,
    calibration,
    card,
    digests,
    figures,
    find,
    head,
    known,
    labels,
    network,
    require_same,
    require_width,
    verify,
)
from leafgraft.photos.ahead import in_order
from leafgraft.photos.dataset import Dataset
from leafgraft.photos.decode import Picture, as_canvas, centre
from leafgraft.progress import Progress
from leafgraft.verdict.calibration import temperature, tempered
from leafgraft.verdict.explain import heat_maps
from leafgraft.verdict.unknown import FEWEST, Known, Strangers

__all__ = [
    "ANSWERING", "CALIBRATION", "CARD", "FILES", "FORMAT", "HEAD", "KERAS", "KNOWN", "LABELS", "MANIFEST", "OPENVINO",
    "Answering", "Answers", "Bundle", "Calibration", "Draft", "calibration", "drafted", "find", "known", "labels",
    "load_bundle", "stacked", "verify",
]  # fmt: skip

TOLERANCE = 1e-4
"""Largest difference in a probability between the files of a bundle; in float32 it is about 1e-6."""


@dataclass(frozen=True)
class Answers:
    """What a classifier says of n photos.

    Attributes:
        probabilities: float32 (n, classes), calibrated; every row adds up to 1.
        strangeness: float32 (n,), about 0 for photos of known species; NaN where the classifier cannot tell.
        unknown: bool (n,), whether a photo is unlike all that was learned.
        nearest: int64 (n, c), the most similar photos that were learned from, as positions in `Bundle.known`.
    """

    probabilities: NDArray[np.float32]
    strangeness: NDArray[np.float32]
    unknown: NDArray[np.bool_]
    nearest: NDArray[np.int64]


class Answering:
    """The files of a classifier that answer, opened.

    Attributes:
        folder: where they lie.
        classes: names of the species in the order of the probabilities.
        known: the photos that were learned from.
        calibration: temperature and threshold.
    """

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...],
        known: Known,
        calibration: Calibration,
        batch: int,
        precision: str = "fp32",
        heat: bool = False,
    ) -> None:
        """Compile the network; `Bundle` is the public way.

        With ``heat`` the same network serves for heat maps too, which takes less memory than a second one; without,
        answers are a little faster, and a network for the maps is compiled when the first one is asked for.
        """
        self.folder, self.classes, self.known, self.calibration = folder, classes, known, calibration
        self._precision, self._heat = precision, heat
        model, self._features = network(folder, len(classes))
        require_width(folder, known, self._features)
        self._engine = OpenVINO(model, batch=batch, precision=precision, lone=batch == 1, outputs=None if heat else 2)

    def raw(self, canvases: Iterable[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Probabilities before calibration (b, classes) and features (b, 2048) of the next b photos, in order."""
        for shares, features, *_ in self._engine.run(centre(canvas) for canvas in canvases):
            yield shares.copy(), features.copy()

    def seen(self, data: Dataset, progress: Progress | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the network makes of labelled photos: see `stacked`.

        Args:
            data: the photos.
            progress: told how many are done.
        """

        def told() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
            done = 0
            for part in self.raw(data.canvas(position) for position in range(len(data))):
                done += len(part[0])
                if progress:
                    progress("Looking at the photos held out", done, len(data))
                yield part

        return stacked(told(), len(self.classes))

    def answer(self, photos: Iterable[Picture]) -> Answers:
        """Answer to photos, all at once.

        Args:
            photos: paths, binary files, or uint8 (h, w, 3) in RGB each.

        Raises:
            UnreadablePhoto: one of them is no photo; with the reason.
        """
        return self.judged(*stacked(self.raw(in_order(as_canvas, photos)), len(self.classes)))

    def predict_proba(self, photos: Iterable[Picture]) -> NDArray[np.float32]:
        """The calibrated probability of each species for each photo, float32 (n, classes); see `answer`."""
        return self.answer(photos).probabilities

    def predict(self, photos: Iterable[Picture]) -> NDArray[np.str_]:
        """The likeliest species of each photo, (n,); `answer` also says whether it is unlike all of them."""
        names: NDArray[np.str_] = np.array(self.classes)[self.predict_proba(photos).argmax(axis=1)]
        return names

    def heat(self, crops: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Where in photos the evidence for a species lies; see `leafgraft.verdict.explain.heat_maps`.

        Args:
            crops: uint8 (n, 224, 224, 3), as from `leafgraft.photos.centre`.
            labels: int64 (n,), the species of each.

        Returns:
            float32 (n, 7, 7), 0-1.
        """
        engine, head = self._looking
        maps, start = [], 0
        for _, features, activations in engine.run(crops):
            slopes = head.slopes(features, labels[start : start + len(features)])
            maps.append(heat_maps(activations, slopes))
            start += len(features)
        return np.concatenate(maps) if maps else np.zeros((0, 1, 1), np.float32)

    @cached_property
    def _looking(self) -> tuple[OpenVINO, Head]:
        """The network with its activations, which most answers do without, and the head."""
        engine = self._engine
        if not self._heat:
            model, _ = network(self.folder, len(self.classes))
            engine = OpenVINO(model, batch=1, precision=self._precision, lone=True)
        return engine, head(self.folder, self._features, len(self.classes))

    def judged(self, shares: NDArray[np.float32], features: NDArray[np.float32]) -> Answers:
        """Turn what the network gave for some photos into answers."""
        positions, cosines = self.known.nearest(features)
        probabilities = tempered(shares, self.calibration.temperature)
        strangers = self.calibration.strangers
        if strangers is None:
            strange, unknown = np.full(len(shares), np.nan, np.float32), np.zeros(len(shares), bool)
        else:
            strange = strangers.strangeness(cosines, probabilities)
            unknown = strange > strangers.threshold
        return Answers(probabilities, strange, unknown, positions)


def stacked(
    parts: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Put the parts of `Answering.raw` together: float32 (n, classes) and (n, 2048)."""
    found = list(parts)
    if not found:
        return np.zeros((0, classes), np.float32), np.zeros((0, 1), np.float32)
    return np.concatenate([shares for shares, _ in found]), np.concatenate([features for _, features in found])


class Bundle(Answering):
    """A classifier that answers through OpenVINO alone.

    Attributes:
        card: the model card, in Markdown.
    """

    def __init__(self, path: str | Path, *, batch: int = 1, engine: str = "fp32") -> None:
        """Open a bundle.

        Args:
            path: a bundle, or the folder of a run.
            batch: photos a request. With 1 all cores work on one photo, which is answered soonest; more is faster for
                many photos.
            engine: "fp32" gives the same answers everywhere; "bf16" is about twice as fast where the processor has it,
                and "auto" takes it there (probabilities differ in the third digit).

        Raises:
            UserError: there is none, it is damaged, or the machine has no such engine.
        """
        precision = choose(engine).name
        if precision not in ("fp32", "bf16"):
            raise UserError(f"A saved classifier answers in fp32, bf16 or auto. Received: {engine!r}.")
        folder = find(path)
        found = digests(folder, ANSWERING)
        with ThreadPoolExecutor(1) as aside:  # the digests take as long as the compiling
            verified = aside.submit(require_same, folder, found, ANSWERING)
            try:
                super().__init__(folder, labels(folder), known(folder), calibration(folder), batch, precision)
                self.card = card(folder)
                head(folder, self._features, len(self.classes))
            except Exception:
                verified.result()  # says which file is damaged
                raise
            verified.result()

    @property
    def figures(self) -> dict[str, Any]:
        """What ``metrics.json`` of the run says that the bundle lies in; empty where there is none."""
        return figures(self.folder)


def load_bundle(path: str | Path, *, batch: int = 1, engine: str = "fp32") -> Bundle:
    """Open a saved classifier to ask; see `Bundle`.

    For example:

        load_bundle("run").predict(["photo.jpg"])
    """
    return Bundle(path, batch=batch, engine=engine)


class Draft(Answering):
    """A classifier whose files answer already, and that is not saved yet: what has to be measured first is set here.

    Attributes:
        card: Markdown.
    """

    card: str = ""

    def calibrate(self, shares: NDArray[np.float32], features: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        """Find the temperature and, unless there are too few photos or none is known, the threshold.

        Args:
            shares: float32 (n, classes), of photos that were not trained on, as from `raw`.
            features: float32 (n, 2048), of the same.
            truth: int64 (n,), their labels.
        """
        _, cosines = self.known.nearest(features)
        heat = temperature(truth, shares)
        enough = len(truth) >= FEWEST and cosines.shape[1]
        strangers = Strangers.fitted(cosines, tempered(shares, heat)) if enough else None
        self.calibration = Calibration(heat, strangers, len(truth))


@contextmanager
def drafted(folder: Path, model: Any, classes: tuple[str, ...], known: Known) -> Iterator[Draft]:
    """Write a bundle, atomically: at the end of the block it is there, and if the block fails, all is as before.

    Args:
        folder: a path that does not exist, or an earlier bundle, which is replaced.
        model: a Keras model with one of our heads, photo to probabilities.
        classes: names of the species in the order of the probabilities.
        known: the photos that were learned from.

    Yields:
        The classifier as it will be saved, to be measured and calibrated.

    Raises:
        UserError: there is something else at that path, or it cannot be written.
    """
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} exists and is no saved classifier; choose another path.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(folder)
        temporary.mkdir()
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose another path.") from error
    try:
        with _full_disk_is_said(folder):
            _write_network(temporary, model)
            write_json(temporary / LABELS, classes)
            with (temporary / KNOWN).open("wb") as file:
                np.savez(file, features=known.features, labels=known.labels, paths=_encoded(known.paths))
        release_memory()
        draft = Draft(temporary, classes, known, Calibration(), BATCH, heat=True)
        _require_agreement(model, draft)
        release_memory()
        yield draft
        with _full_disk_is_said(folder):
            write_json(temporary / CALIBRATION, asdict(draft.calibration))
            write_text(temporary / CARD, draft.card)
            _put(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _full_disk_is_said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error}); free some space.") from error


def _write_network(folder: Path, model: Any) -> None:
    from leafgraft._openvino import ov
    from leafgraft._tensorflow import keras

    # A new model around the same layers is not compiled: the optimizer's state would double the file.
    keras.Model(model.input, model.output, name=model.name).save(folder / KERAS)
    pool = model.get_layer("pool")
    converted = convert(keras.Model(model.input, [model.output, pool.output, pool.input]))
    Head.of(model).write(folder / HEAD)
    try:
        ov.save_model(converted, folder / OPENVINO, compress_to_fp16=False)
    except RuntimeError as error:  # whatever keeps OpenVINO from writing, a full disk included
        raise OSError(errno.EIO, "OpenVINO could not write its files") from error


def _put(temporary: Path, folder: Path) -> None:
    """Write the manifest, bring everything to the disk, and give the folder its name."""
    digests = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
    (temporary / MANIFEST).write_text(json.dumps({"format": FORMAT, "sha256": digests}, indent=2), encoding="utf-8")
    sync_all(temporary)
    if folder.exists():
        exchange(temporary, folder)  # whoever opens it in this moment finds one or the other
    else:
        temporary.rename(folder)
    synced(folder.parent)


def _require_agreement(model: Any, draft: Draft) -> None:
    """Let both files answer to noise of several kinds; a conversion that changes the answer must not be saved.

    Raises:
        RuntimeError: they differ by more than 1e-4 in a probability.
    """
    chance = np.random.default_rng(0)
    grain = [chance.integers(0, 256, (size, size, 3), np.uint8) for size in (1, 8, 56, 224)]
    photos = np.stack([part.repeat(224 // len(part), 0).repeat(224 // len(part), 1) for part in grain])
    expected = np.asarray(model.predict_on_batch(photos))
    answered, _ = stacked(draft.raw(photos), len(draft.classes))
    if (gap := float(np.abs(answered - expected).max())) > TOLERANCE:
        raise RuntimeError(f"the OpenVINO file answers otherwise than the Keras model, by {gap:g}")


def _encoded(paths: tuple[str, ...]) -> NDArray[np.str_]:
    """Paths as an array; parts of names that are no Unicode become question marks."""
    return np.array([path.encode("utf-8", "replace").decode("utf-8") for path in paths], np.str_)
