"""What a caller may hand over as photos and labels, and how it becomes a data set."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from leafgraft.errors import UserError
from leafgraft.hubs.bring import brought
from leafgraft.photos.dataset import Dataset
from leafgraft.photos.decode import SIDE
from leafgraft.photos.folder import scan

Photos = NDArray[Any] | str | Path | Dataset
"""Pixels (n, 224, 224, 3); a folder, a CSV, or a data set of a hub (``hf:NAME``, ``tfds:NAME``); or a data set."""

Side = Literal["train", "val", "test"]
"""What photos are for."""

Labels = NDArray[Any] | Sequence[int] | Sequence[str] | None
"""One-hot (n, k), integers (n,), names (n,), or None where the photos bring their own."""


def as_dataset(
    photos: Photos, labels: Labels, num_classes: int, classes: tuple[str, ...] | None, *, side: Side = "train"
) -> Dataset:
    """Check photos and labels, and put them into one form.

    Args:
        photos: see `Photos`.
        labels: see `Labels`.
        num_classes: how many species the classifier tells apart.
        classes: their names, if they are known.
        side: what they are for. Of a folder or CSV that is split already, only that side is taken.

    Returns:
        A data set with ``num_classes`` classes; species without a name are called "class 0", "class 1", ...

    Raises:
        UserError: something does not fit; the sentence says what was received.
    """
    if isinstance(photos, str | Path):
        if labels is not None:
            raise UserError(f"{photos} names the species of its photos itself; leave y out.")
        data = _of_folder(_at_hand(Path(photos)), classes, side)
    elif isinstance(photos, Dataset):
        if labels is not None:
            raise UserError("A Dataset brings its labels itself; leave y out.")
        data = photos
    else:
        pixels = as_pixels(photos)
        if labels is None:
            raise UserError("An array of photos needs labels: pass y, one-hot, integers or names.")
        return _of_arrays(pixels, _array(labels, "Labels"), num_classes, classes)
    if len(data.classes) != num_classes:
        raise UserError(
            f"num_classes is {num_classes}, but the photos show {len(data.classes)} species "
            f"({', '.join(data.classes[:12])}{', ...' if len(data.classes) > 12 else ''}): make the classifier with "
            f"num_classes={len(data.classes)}, or choose the species."
        )
    if classes is not None and data.classes != classes:
        raise UserError(f"The photos show {', '.join(data.classes)}; the classifier tells apart {', '.join(classes)}.")
    return data


def as_pixels(photos: Any) -> NDArray[np.uint8]:
    """Check an array of photos and make it uint8 (n, 224, 224, 3).

    Floats within 0-1 are recognised and scaled, which is said on standard error.

    Raises:
        UserError: wrong shape or type, values that are not finite or outside 0-255, or no photo at all.
    """
    array = _array(photos, "Photos")
    if array.ndim != 4 or array.shape[1:] != (SIDE, SIDE, 3):
        hint = " Did you forget the batch axis?" if array.shape == (SIDE, SIDE, 3) else ""
        raise UserError(
            f"Photos must be an array of shape (n, {SIDE}, {SIDE}, 3), RGB. Received: shape {array.shape}.{hint}"
        )
    if len(array) == 0:
        raise UserError(f"There are no photos: the array has shape {array.shape}.")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise UserError(f"Photos must be uint8 or float. Received: {array.dtype}.")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise UserError("The photos hold NaN or infinite values; clean the array first.")
    if low < 0 or high > 255:
        raise UserError(f"Photos must be within 0-255, raw RGB. Received: values from {low:g} to {high:g}.")
    scale = 1.0
    if array.dtype.kind == "f" and high <= 1.0:
        print("leafgraft: the photos are floats within 0-1 and were scaled to 0-255.", file=sys.stderr)
        scale = 255.0
    result = np.empty(array.shape, np.uint8)
    for row, photo in zip(result, array, strict=True):  # one at a time: no second float array of all of them
        np.rint(photo * scale, out=row, casting="unsafe")
    return result


def _array(values: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(f"{what} must make one array. Received: a sequence of things of different shapes.") from None


def _at_hand(source: Path) -> Path:
    return brought(source, say=lambda text: print(f"leafgraft: {text}", file=sys.stderr))


def _of_folder(source: Path, classes: tuple[str, ...] | None, side: Side) -> Dataset:
    photos = [photo for photo in scan(source, fewest=2 if side == "train" else 1) if not photo.problem]
    if any(photo.split for photo in photos):
        photos = [photo for photo in photos if (photo.split or "train") == side]
    if not photos:
        raise UserError(f"{source} is split already and has no photos for {side}; add some, or name another folder.")
    shown = {photo.label for photo in photos}
    if classes is not None and (shown - set(classes) or (side == "train" and shown != set(classes))):
        raise UserError(f"{source} shows {', '.join(sorted(shown))}; the classifier tells apart {', '.join(classes)}.")
    return Dataset.of_photos(photos, classes or tuple(sorted(shown)))


def unnamed(num_classes: int) -> tuple[str, ...]:
    """What species are called that have no name."""
    return tuple(f"class {i}" for i in range(num_classes))


def _of_arrays(
    pixels: NDArray[np.uint8], labels: NDArray[Any], num_classes: int, classes: tuple[str, ...] | None
) -> Dataset:
    if labels.ndim not in (1, 2):
        raise UserError(f"Labels must have the shape (n,) or (n, {num_classes}). Received: shape {labels.shape}.")
    if len(labels) != len(pixels):
        raise UserError(f"There are {len(pixels)} photos but {len(labels)} labels; give one label a photo.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        numbers = _of_one_hot(labels, num_classes)
    elif all(isinstance(label, str) for label in labels):
        numbers, classes = _of_names([str(label) for label in labels], num_classes, classes)
    else:
        numbers = _of_integers(labels, num_classes)
    return Dataset.of_arrays(pixels, numbers, classes or unnamed(num_classes))


def _of_one_hot(labels: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    if labels.shape[1] != num_classes:
        raise UserError(f"num_classes is {num_classes}, but the one-hot labels have {labels.shape[1]} columns.")
    numbers: NDArray[np.int64] = labels.argmax(axis=1).astype(np.int64)
    if not np.array_equal(labels, np.eye(num_classes, dtype=labels.dtype)[numbers]):
        raise UserError("Labels with two axes must be one-hot: a single 1 in each row and 0 elsewhere.")
    return numbers


def _of_integers(labels: NDArray[Any], num_classes: int) -> NDArray[np.int64]:
    if labels.dtype.kind not in "biuf":
        raise UserError(f"Labels must be whole numbers, names or one-hot. Received: {labels.dtype}.")
    if not np.array_equal(labels, np.floor(labels)):
        raise UserError("Labels must be whole numbers, names or one-hot. Received: numbers with fractions or NaN.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(
            f"num_classes is {num_classes}, so labels go from 0 to {num_classes - 1}. "
            f"Received: labels from {labels.min()} to {labels.max()}."
        )
    numbers: NDArray[np.int64] = labels.astype(np.int64)
    return numbers


def _of_names(
    labels: list[str], num_classes: int, classes: tuple[str, ...] | None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    names = classes or tuple(sorted(set(labels)))
    if len(names) != num_classes:
        raise UserError(
            f"num_classes is {num_classes}, but the labels name {len(names)} species: {', '.join(names[:12])}."
        )
    order = {name: number for number, name in enumerate(names)}
    if unknown := sorted(set(labels) - set(order)):
        raise UserError(f"The labels name {unknown[0]!r}, which is none of {', '.join(names)}.")
    return np.array([order[label] for label in labels], np.int64), names


def class_weights(given: Mapping[Any, float] | str | None, data: Dataset) -> dict[int, float] | None:
    """The weight of each label in the loss.

    Args:
        given: a mapping by label or name, "balanced" for weights that make every species count alike, or None.
        data: the photos that are trained on.

    Raises:
        UserError: a species is not known, or it is none of these.
    """
    if given is None:
        return None
    if given == "balanced":
        counts = np.bincount(data.labels, minlength=len(data.classes))
        return {label: len(data) / (len(counts) * count) for label, count in enumerate(counts.tolist()) if count}
    if not isinstance(given, Mapping):
        raise UserError(f'class_weight must be a mapping or "balanced". Received: {given!r}.')
    order: dict[Any, int] = {name: label for label, name in enumerate(data.classes)}
    order |= {label: label for label in range(len(data.classes))}
    if unknown := [key for key in given if key not in order]:
        raise UserError(f"class_weight names {unknown[0]!r}, which is none of {', '.join(data.classes)}.")
    return {order[key]: float(weight) for key, weight in given.items()}


def photos_in(source: Path) -> Dataset:
    """All photos in a folder, CSV or data set of a hub, whatever they show, in the order of `scan`.

    Raises:
        UserError: there is none, or one of them cannot be read.
    """
    photos = scan(_at_hand(source), fewest=1)
    for photo in photos:
        if photo.problem:
            raise UserError(f"{photo.path} cannot be used: {photo.problem}; take it out of {source}.")
    return Dataset.of_photos(photos, sorted({photo.label for photo in photos}))
