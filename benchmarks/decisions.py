"""Small measurements behind docs/decisions/ and the guides, for which accuracy counts and time does not.

    python -m benchmarks.decisions PHOTOS                 all of them, minutes each on two cores
    python -m benchmarks.decisions PHOTOS half loader     some

PHOTOS is a folder per species; the published figures are of Flowers-17. A quarter of each species is held out.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import first_ten
from leafgraft import imagenet
from leafgraft.engine import probe
from leafgraft.photos import scan
from leafgraft.photos.augment import random_view
from leafgraft.photos.dataset import Dataset
from leafgraft.photos.decode import SIDE, as_canvas, centre
from leafgraft.photos.split import split
from leafgraft.recipes import CLASSIC
from leafgraft.verdict.metrics import score

Sides = tuple[NDArray[np.int64], NDArray[np.int64]]


class Seen:
    """The photos of a folder and what ResNet50 makes of them in float32, not rounded."""

    def __init__(self, folder: Path) -> None:
        self.photos = [photo for photo in scan(folder) if not photo.problem]
        self.classes = sorted({photo.label for photo in self.photos})
        self.data = Dataset.of_photos(self.photos, self.classes)

    def features(self, crops: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Rows of a probe, float32 (n, 2048), of crops (224, 224, 3)."""
        from leafgraft.engine.backbone import backbone
        from leafgraft.engine.prefix import OpenVINO

        model = backbone(imagenet.fetch(), imagenet.cache_dir() / "bank").openvino()
        return probe.rooted(np.concatenate([part.copy() for part, *_ in OpenVINO(model).run(crops)]))

    def centres(self) -> NDArray[np.float32]:
        """Rows of the centre crops, as training sees them."""
        return self.features(centre(self.data.canvas(i)) for i in range(len(self.data)))

    def sides(self, seeds: int) -> Iterator[Sides]:
        """Positions to train on and to test on, by species, for several seeds."""
        for seed in range(seeds):
            where = np.array([photo.split for photo in split(self.photos, val=0.0, test=0.25, seed=seed)])
            yield np.flatnonzero(where == "train"), np.flatnonzero(where == "test")

    def fitted(
        self, rows: NDArray[Any], inside: NDArray[np.int64], weights: NDArray[np.float32] | None = None
    ) -> probe.Probe:
        """A probe of some rows."""
        return probe.fit(rows[inside], self.data.labels[inside], inside, len(self.classes), weights=weights)


def half(seen: Seen) -> None:
    """Rows in float16 against float32: rounded when they are answered to, and when they are learned from as well."""
    rows = seen.centres()
    rounded = rows.astype(np.float16)
    for inside, outside in seen.sides(5):
        exact, coarse = seen.fitted(rows, inside), seen.fitted(rounded, inside)
        shares = [_shares(exact, rows[outside]), _shares(exact, rounded[outside]), _shares(coarse, rounded[outside])]
        right = [float((one.argmax(axis=1) == seen.data.labels[outside]).mean()) for one in shares]
        other = [int((shares[0].argmax(axis=1) != one.argmax(axis=1)).sum()) for one in shares[1:]]
        largest = [float(np.abs(shares[0] - one).max()) for one in shares[1:]]
        print(f"float32 {right[0]:.4f}, strength {exact.strength:g}")
        print(f"answers to float16 {right[1]:.4f}, {other[0]} of {len(outside)} other, by up to {largest[0]:.1e}")
        print(f"fitted on float16 too {right[2]:.4f}, strength {coarse.strength:g}, {other[1]} other, "
              f"by up to {largest[1]:.1e}")  # fmt: skip


def loader(seen: Seen) -> None:
    """What ``image_dataset_from_directory`` does to the same photos: squashed pixels, and a split by chance alone."""
    squashed = (
        np.asarray(Image.open(photo.path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for photo in seen.photos
    )
    for name, rows in (("centre crop", seen.centres()), ("squashed", seen.features(squashed))):
        right = [seen.fitted(rows, inside).figures(rows[outside], seen.data.labels[outside])[1]
                 for inside, outside in seen.sides(5)]  # fmt: skip
        print(f"{name}: mean {np.mean(right):.4f}, {', '.join(f'{one:.4f}' for one in right)}")
    for seed in range(3):
        held = np.random.RandomState(seed).permutation(len(seen.photos))[: round(0.15 * len(seen.photos))]
        counts = Counter(seen.photos[i].label for i in held).values()
        print(f"15 % held out by chance, seed {seed}: {min(counts)} to {max(counts)} photos of a species")


def warp(seen: Seen) -> None:
    """Milliseconds that a random view takes on one core, ours and those of Keras."""
    canvases = [as_canvas(photo.path) for photo in seen.photos[:200]]
    crops = np.stack([centre(canvas) for canvas in canvases])
    chance = np.random.default_rng(0)
    ours = _milliseconds(lambda i: random_view(canvases[i], chance), len(canvases))
    from leafgraft._tensorflow import keras

    reach = 20 / 360
    layers = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomTranslation(0.2, 0.2),
            keras.layers.RandomRotation(reach),
        ]
    )
    layers(crops[:1], training=True)
    theirs = _milliseconds(lambda i: layers(crops[i : i + 1], training=True), len(crops))
    in_batches = _milliseconds(lambda i: layers(crops[32 * i : 32 * i + 32], training=True), 6) / 32
    old = keras.src.legacy.preprocessing.image.ImageDataGenerator(
        rotation_range=20, width_shift_range=0.2, height_shift_range=0.2, horizontal_flip=True
    )
    oldest = _milliseconds(lambda i: old.random_transform(crops[i].astype(np.float32)), len(crops))
    print(f"ours {ours:.2f} ms, Keras' layers one by one {theirs:.2f}, 32 at a time {in_batches:.2f}, "
          f"ImageDataGenerator {oldest:.2f}")  # fmt: skip


def uneven(seen: Seen) -> None:
    """A probe of uneven numbers of photos, 60 down to 6 a species, with and without balanced weights."""
    rows = seen.centres()
    counts = np.round(np.geomspace(60, 6, len(seen.classes))).astype(int)
    for seed, (inside, outside) in enumerate(seen.sides(5)):
        chance = np.random.default_rng(seed)
        wanted = dict(zip(chance.permutation(len(seen.classes)).tolist(), counts.tolist(), strict=True))
        labels = seen.data.labels
        some = np.concatenate([chance.permutation(inside[labels[inside] == one])[: wanted[one]] for one in wanted])
        weights = np.array([len(some) / (len(wanted) * wanted[int(one)]) for one in labels[some]], np.float32)
        rare = [one for one, count in wanted.items() if count <= 12]
        for name, used in (("as they are", None), ("balanced", weights)):
            fitted = seen.fitted(rows, some, used)
            found = score(labels[outside], _shares(fitted, rows[outside]))
            of_rare = np.isin(labels[outside], rare)
            right = _shares(fitted, rows[outside]).argmax(axis=1) == labels[outside]
            print(f"seed {seed}, {name}: accuracy {found['accuracy']:.4f}, macro F1 {found['macro_f1']:.4f}, "
                  f"species of at most 12 photos {right[of_rare].mean():.4f}")  # fmt: skip


def batch_norm(seen: Seen) -> None:
    """The classic recipe on ten photos of each of ten species, BatchNorm frozen and not."""
    from leafgraft.classifier import PlantClassifierTransferLearning

    ten = [photo for photo in seen.photos if photo.label in first_ten(seen.photos[0].path.parent.parent)]
    classes = sorted({photo.label for photo in ten})
    for seed in range(3):
        parts = split(ten, val=0.0, test=0.25, seed=seed)
        train, test = (
            Dataset.of_photos([photo for photo in parts if photo.split == side], classes) for side in ("train", "test")
        )
        few = train.subset(np.concatenate([np.flatnonzero(train.labels == one)[:10] for one in range(10)]))
        for rate in (CLASSIC.rate_fine, 1e-4):
            for kind in ("frozen", "train"):
                classifier = PlantClassifierTransferLearning(10, class_names=classes, batch_norm=kind, seed=seed)
                recipe = dataclasses.replace(CLASSIC, rate_fine=rate)
                classifier.fit(few, recipe=recipe, verbose=0, validation_data=test)
                lines = {
                    stage: [line for line in classifier.history if line["stage"] == stage]
                    for stage in ("frozen", "fine")
                }
                path = ", ".join(f"{line['val_accuracy']:.3f}" for line in lines["fine"][::4] + lines["fine"][-1:])
                print(f"seed {seed}, rate {rate:g}, BatchNorm {kind}: after the head "
                      f"{lines['frozen'][-1]['val_accuracy']:.3f}, "
                      f"then {path}; training accuracy {lines['fine'][-1]['accuracy']:.3f}", flush=True)  # fmt: skip


def _shares(fitted: probe.Probe, rows: NDArray[Any]) -> NDArray[np.float32]:
    from scipy.special import softmax

    shares: NDArray[np.float32] = softmax(rows.astype(np.float32) @ fitted.kernel + fitted.bias, axis=1)
    return shares


def _milliseconds(work: Callable[[int], Any], times: int) -> float:
    found = []
    for i in range(times):
        start = time.perf_counter()
        work(i)
        found.append(time.perf_counter() - start)
    return 1000 * median(found)


MEASUREMENTS = {"half": half, "loader": loader, "warp": warp, "uneven": uneven, "batch-norm": batch_norm}


def main() -> None:
    """Measure what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - MEASUREMENTS.keys():
        parser.error(f"there is no measurement {unknown.pop()!r}; choose {', '.join(MEASUREMENTS)}")
    seen = Seen(arguments.photos)
    for name in arguments.names or MEASUREMENTS:
        print(f"== {name}", flush=True)
        MEASUREMENTS[name](seen)


if __name__ == "__main__":
    main()
