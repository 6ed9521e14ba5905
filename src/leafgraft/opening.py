"""What lies in a bundle, each file checked before it is believed.

Digests tell damage. They say nothing of intent: whoever makes a hostile file can write its digest too. So every file is
also safe by itself: plain, bounded, without anything that runs, and in keeping with the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leafgraft.engine.head import MOST_BYTES, Head
from leafgraft.errors import UserError
from leafgraft.files import sha256
from leafgraft.safety import keras_file, openvino_file
from leafgraft.safety.archive import arrays, require_finite, require_kinds
from leafgraft.safety.plain import json_in, require_plain, text_in, unfit_names
from leafgraft.verdict.unknown import MOST, Known, Strangers

KERAS = "model.keras"
OPENVINO = "model.xml"
WEIGHTS = "model.bin"
LABELS = "labels.json"
CALIBRATION = "calibration.json"
KNOWN = "known.npz"
HEAD = "head.npz"
CARD = "card.md"
MANIFEST = "manifest.json"
ANSWERING = (OPENVINO, WEIGHTS, HEAD, LABELS, CALIBRATION, KNOWN, CARD)
"""What answers; the Keras file is for going on."""
FILES = (KERAS, *ANSWERING)
FORMAT = 3

BYTES = {
    KERAS: 2_000_000_000, OPENVINO: 16_000_000, WEIGHTS: 2_000_000_000, HEAD: MOST_BYTES, LABELS: 16_000_000,
    CALIBRATION: 64_000, KNOWN: 1_000_000_000, CARD: 16_000_000, MANIFEST: 64_000,
}  # fmt: skip
"""How large each file may be; a bundle of 17 species has 94 MB in each network and less than 5 MB in all the rest."""

MOST_SPECIES = 100_000


@dataclass(frozen=True)
class Calibration:
    """What turns the network's outputs into answers.

    Attributes:
        temperature: of the probabilities; see `leafgraft.verdict.calibration`.
        strangers: how strangers are told; None if no photo is ever called unknown.
        photos: validation photos that both were found on; 0 if there were none.
    """

    temperature: float = 1.0
    strangers: Strangers | None = None
    photos: int = 0


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into one sentence."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} is missing or damaged; use another copy of the classifier.") from None
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path} is refused: {reason}; use another copy, from a place that you trust.") from error


def find(path: str | Path) -> Path:
    """The bundle at a path, which may also be the folder of a run.

    Raises:
        UserError: there is none.
    """
    for folder in (Path(path), Path(path) / "model"):
        if (folder / MANIFEST).is_file() or (folder / MANIFEST).is_symlink():
            return folder
    what = "has no saved classifier in it" if Path(path).is_dir() else "is not there"
    raise UserError(f"{path} {what}; name the folder of a run, or the model/ in it.")


def digests(folder: Path, names: Sequence[str] = FILES) -> dict[str, str]:
    """What the manifest of a bundle says of its files, all of which are plain and no larger than they may be.

    Args:
        folder: the bundle.
        names: of the files.

    Raises:
        UserError: it says something else, a file is missing or not plain, or the bundle is of another version's format.
    """
    with _refusing(folder / MANIFEST):
        require_plain(folder / MANIFEST, BYTES[MANIFEST])
        try:
            manifest = json_in(folder / MANIFEST, BYTES[MANIFEST])
            found, edition = dict(manifest["sha256"]), manifest["format"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{folder / MANIFEST} is damaged; use another copy of the classifier.") from None
    if edition != FORMAT:
        way = "update leafgraft" if isinstance(edition, int) and edition > FORMAT else "train it again"
        raise UserError(f"{folder} has the format {edition!r}, and this version reads {FORMAT}; {way}.")
    with _refusing(folder / MANIFEST):
        if strange := [name for name in found if name not in FILES]:
            raise ValueError(f"it names {strange[0][:80]!r}, which is no file of a classifier")
    for name in names:
        with _refusing(folder / name):
            require_plain(folder / name, BYTES[name])
    return found


def require_same(folder: Path, found: dict[str, str], names: Sequence[str] = FILES) -> None:
    """Check files of a bundle against their digests.

    Args:
        folder: the bundle.
        found: from `digests`.
        names: of the files.

    Raises:
        UserError: a file has changed.
    """
    for name in names:
        if sha256(folder / name) != found.get(name):
            raise UserError(f"{folder / name} is missing or damaged; use another copy of the classifier.")


def verify(folder: Path, names: Sequence[str] = FILES) -> None:
    """Check files of a bundle against their digests; see `digests` and `require_same`."""
    require_same(folder, digests(folder, names), names)


def labels(path: str | Path) -> tuple[str, ...]:
    """Names of the species in a bundle, in the order of the probabilities."""
    with _refusing(file := find(path) / LABELS):
        names = json_in(file, BYTES[LABELS])
        if not isinstance(names, list) or not 0 < len(names) <= MOST_SPECIES:
            raise ValueError(f"it is no list of up to {MOST_SPECIES:,} names")
        if unfit := unfit_names(names):
            raise ValueError(f"the names in it {unfit}")
        return tuple(names)


def calibration(path: str | Path) -> Calibration:
    """Temperature and threshold of a bundle."""
    with _refusing(file := find(path) / CALIBRATION):
        content = json_in(file, BYTES[CALIBRATION])
        try:
            heat, photos, strangers = _number(content["temperature"]), content["photos"], content["strangers"]
            if heat <= 0:
                raise ValueError(f"it has the temperature {heat:g}, which must be above 0")
            if not isinstance(photos, int) or isinstance(photos, bool) or photos < 0:
                raise ValueError(f"it was found on {str(photos)[:40]} photos")
            if strangers is None:
                return Calibration(heat, None, photos)
            distance, entropy = _spread(strangers["distance"]), _spread(strangers["entropy"])
            return Calibration(heat, Strangers(distance, entropy, _number(strangers["threshold"])), photos)
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is no calibration ({type(error).__name__}: {error})") from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e12:
        raise ValueError(f"it holds {str(value)[:40]!r} where a number belongs")
    return float(value)


def _spread(pair: Any) -> tuple[float, float]:
    """A mean and a standard deviation."""
    mean, deviation = map(_number, pair)
    if deviation <= 0:
        raise ValueError(f"it has the standard deviation {deviation:g}, which must be above 0")
    return mean, deviation


def known(path: str | Path) -> Known:
    """The photos that a bundle's classifier has learned from."""
    count = len(labels(path))
    with _refusing(file := find(path) / KNOWN):
        found = arrays(file, most=BYTES[KNOWN])
        require_kinds(found, {"features": "float16", "labels": "int64", "paths": "str"})
        features, numbers, paths = found["features"], found["labels"], found["paths"]
        if features.ndim != 2 or numbers.shape != features.shape[:1] or paths.shape != numbers.shape:
            shapes = f"{features.shape}, {numbers.shape} and {paths.shape}"
            raise ValueError(f"its features, labels and paths have the shapes {shapes}")
        if len(features) > max(MOST, count):
            raise ValueError(f"it holds {len(features):,} photos, and {MOST:,} is the most")
        require_finite("its table of features", features)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
            raise ValueError(f"it labels a photo {max(numbers.min(), numbers.max(), key=abs)} of {count} species")
        names = tuple(paths.tolist())
        if any("\0" in name for name in names):
            raise ValueError("it holds a path with a NUL in it")
        return Known(features, numbers, names)


def head(folder: Path, features: int, classes: int) -> Head:
    """The dense layers of a bundle's classifier.

    Args:
        folder: the bundle.
        features: how many its network gives.
        classes: how many its labels name.

    Raises:
        UserError: they do not fit.
    """
    with _refusing(file := folder / HEAD):
        found = Head.read(file)
        first, last = len(found.layers[0][0]), len(found.layers[-1][1])
        if (first, last) != (features, classes):
            raise ValueError(
                f"it leads from {first} features to {last} species, and the network from {features} to {classes}"
            )
        return found


def card(path: str | Path) -> str:
    """The model card of a bundle, in Markdown."""
    with _refusing(file := find(path) / CARD):
        return text_in(file, BYTES[CARD])


def network(folder: Path, classes: int) -> tuple[Any, int]:
    """The network of a bundle in OpenVINO.

    Args:
        folder: the bundle.
        classes: how many its labels name.

    Returns:
        An ``openvino.Model``, not compiled, and how many features it gives of a photo.

    Raises:
        UserError: it is none that may be asked.
    """
    with _refusing(folder / WEIGHTS):
        weights = require_plain(folder / WEIGHTS, BYTES[WEIGHTS])
    with _refusing(file := folder / OPENVINO):
        require_plain(file, BYTES[OPENVINO])
        model = openvino_file.read(file, weights)
        return model, openvino_file.require_modest(model, classes)


def figures(folder: Path) -> dict[str, Any]:
    """What ``metrics.json`` of the run says that a bundle lies in; empty where there is none."""
    try:
        found = json_in(folder.parent / "metrics.json", BYTES[CARD])
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keras_model(folder: Path) -> Any:
    """The network of a bundle in Keras.

    Returns:
        A ``keras.Model``, not compiled.

    Raises:
        UserError: it is none that may be opened.
    """
    classes = len(labels(folder))
    with _refusing(file := folder / KERAS):
        require_plain(file, BYTES[KERAS])
        return keras_file.load(file, classes)


def inspect(folder: Path) -> dict[str, str]:
    """Check all that lies in a bundle, without Keras and without a photo.

    Returns:
        What each file was found to be.

    Raises:
        UserError: something is missing, damaged or not safe to open.
    """
    verify(folder)
    names, heat, learned = labels(folder), calibration(folder), known(folder)
    model, features = network(folder, len(names))
    head(folder, features, len(names))
    require_width(folder, learned, features)
    with _refusing(folder / KERAS):
        keras_file.require_plain(folder / KERAS, len(names))
    return {
        LABELS: f"{len(names)} species",
        OPENVINO: f"{len(model.get_ops())} operations of the standard sets, within model.bin",
        WEIGHTS: "as its digest says",
        HEAD: f"from {features} features to {len(names)} species",
        KERAS: "standard layers with as many weights as they want",
        KNOWN: f"{len(learned.labels)} photos",
        CALIBRATION: f"temperature {heat.temperature:.3g}",
        CARD: f"{len(card(folder)):,} letters",
    }


def require_width(folder: Path, learned: Known, features: int) -> None:
    """Make sure that what was learned from is described by as many features as the network gives.

    Raises:
        UserError: it is not.
    """
    with _refusing(folder / KNOWN):
        if len(learned.labels) and learned.features.shape[1] != features:
            raise ValueError(
                f"it holds features of {learned.features.shape[1]} numbers, and {OPENVINO} gives {features}"
            )
