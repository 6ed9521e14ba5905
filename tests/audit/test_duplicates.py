"""Near duplicates among drawn photos: each is found again in its copies, and in nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from leafgraft.audit.duplicates import near_duplicates
from leafgraft.photos.garden import SPECIES, draw
from leafgraft.photos.garden.camera import photograph
from leafgraft.photos.garden.plot import PLANTS

pytestmark = pytest.mark.quick

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def greys(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """As `looks` makes them."""
    return np.stack([np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BOX)) for image in images])


def apart(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Features that say nothing: rows of length 1 in all directions."""
    rows = np.random.default_rng(seed).normal(size=(n, 64)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def found(features: NDArray[np.float32], images: Sequence[Image.Image]) -> list[tuple[int, ...]]:
    return [tuple(pair) for pair in near_duplicates(features, greys(images)).tolist()]


def compressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def resized(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    scale = chance.uniform(0.4, 0.8)
    return compressed(image.resize((round(scale * image.width), round(scale * image.height))), 60)


def cropped(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    width, height = round(0.9 * image.width), round(0.9 * image.height)
    left, top = int(chance.integers(image.width - width + 1)), int(chance.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


CHANGES: dict[str, Change] = {
    "resized": resized,
    "recompressed": lambda image, chance: compressed(image, 25),
    "mirrored": lambda image, chance: compressed(ImageOps.mirror(image), 90),
    "cropped": cropped,
    "mirrored and cropped": lambda image, chance: ImageOps.mirror(cropped(image, chance)),
    "squeezed": lambda image, chance: image.resize((image.height, image.width)),
    "flat": lambda image, chance: ImageEnhance.Contrast(image).enhance(0.4),
    "dark": lambda image, chance: image.point(lambda value: value // 3),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_picture_is_found_in_its_copies(change: Change) -> None:
    chance = np.random.default_rng(1)
    pictures = [draw(name, 40 + seed) for seed, name in enumerate(SPECIES)]
    copies = [change(picture, chance) for picture in pictures]
    n = len(pictures)
    features = np.concatenate([apart(n), apart(n)])  # a copy has the features of its original
    assert found(features, [*pictures, *copies]) == [(i, n + i) for i in range(n)]


def test_another_pose_of_the_same_plant_is_another_picture() -> None:
    for name in SPECIES:
        cultivar, habit = PLANTS[name]
        specimen = cultivar(np.random.default_rng(5))
        poses = [photograph(np.random.default_rng([17, pose]), specimen, habit, (300, 256)) for pose in range(4)]
        assert found(np.repeat(apart(1), 4, axis=0), poses) == []


def test_copies_are_found_whatever_their_features_say() -> None:
    pictures = [draw(name, seed) for name in SPECIES for seed in range(3)]
    images = [*pictures, compressed(pictures[4], 40), ImageOps.mirror(pictures[17])]
    assert found(apart(len(images)), images) == [(4, 30), (17, 31)]


def test_the_order_of_the_photos_does_not_matter() -> None:
    chance = np.random.default_rng(2)
    pictures = [draw(name, 70) for name in SPECIES[:4]]
    images = [*pictures, resized(pictures[1], chance), cropped(pictures[1], chance), ImageOps.mirror(pictures[3])]
    features = apart(len(images))
    expected = found(features, images)
    assert {(1, 4), (1, 5), (3, 6)} <= set(expected)
    for _ in range(3):
        order = chance.permutation(len(images))
        pairs = found(features[order], [images[i] for i in order])
        assert sorted(tuple(sorted((int(order[i]), int(order[j])))) for i, j in pairs) == expected


def test_plain_photos_are_no_copies_of_each_other() -> None:
    plain = [Image.new("RGB", (100, 80), (grey, grey, grey)) for grey in (0, 60, 61, 255)]
    assert found(apart(4), plain) == []


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_photos_have_no_copies(n: int) -> None:
    assert near_duplicates(apart(n), np.zeros((n, 64, 64), np.uint8)).shape == (0, 2)
