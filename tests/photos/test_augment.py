from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from leafgraft.photos.augment import Augmentation, random_view
from leafgraft.photos.decode import centre, load_canvas

DATA = Path(skimage.__file__).parent / "data"
STILL = Augmentation(rotation=0.0, shift=0.0, flip=False)


@pytest.fixture(scope="module")
def cat() -> NDArray[np.uint8]:
    return load_canvas(DATA / "chelsea.png")


canvases = st.tuples(st.integers(224, 384), st.integers(224, 384), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).integers(0, 256, (*drawn[:2], 3), dtype=np.uint8)
)
augmentations = st.builds(Augmentation, rotation=st.floats(0, 180), shift=st.floats(0, 3), flip=st.booleans())
seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=30)
@given(array=canvases, seed=seeds)
def test_standing_still_gives_the_centre_crop(array: NDArray[np.uint8], seed: int) -> None:
    assert (random_view(array, np.random.default_rng(seed), STILL) == centre(array)).all()


@settings(deadline=None, max_examples=60)
@given(array=canvases, seed=seeds, augmentation=augmentations)
def test_every_view_has_the_form_and_follows_the_generator(
    array: NDArray[np.uint8], seed: int, augmentation: Augmentation
) -> None:
    before = array.copy()
    view = random_view(array, np.random.default_rng(seed), augmentation)
    assert view.shape == (224, 224, 3)
    assert view.dtype == np.uint8
    assert view.flags["C_CONTIGUOUS"]
    assert view.flags["OWNDATA"]
    assert (view == random_view(array, np.random.default_rng(seed), augmentation)).all()
    assert (array == before).all()


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(224, 384), st.integers(224, 384)),
    colour=st.tuples(*[st.integers(1, 255)] * 3),
    seed=seeds,
    augmentation=augmentations,
)
def test_one_colour_stays_one_colour(
    size: tuple[int, int], colour: tuple[int, int, int], seed: int, augmentation: Augmentation
) -> None:
    plain = np.full((*size, 3), colour, np.uint8)
    assert (random_view(plain, np.random.default_rng(seed), augmentation) == colour).all()


def test_half_of_the_views_are_mirrored_and_mirroring_twice_changes_nothing(cat: NDArray[np.uint8]) -> None:
    mirrored = 0
    for seed in range(200):
        view = random_view(cat, np.random.default_rng(seed), Augmentation(rotation=0.0, shift=0.0))
        if (view == centre(cat)).all():
            continue
        mirrored += 1
        assert (view[:, ::-1] == centre(cat)).all()
    assert 70 < mirrored < 130


def test_rotation_and_shift_are_uniform_to_both_sides(cat: NDArray[np.uint8]) -> None:
    """A white dot in the middle shows where each view looks."""
    dot = np.zeros((256, 256, 3), np.uint8)
    dot[126:130, 126:130] = 255
    shift_only = Augmentation(rotation=0.0, flip=False)
    rng = np.random.default_rng(0)
    places = []
    for _ in range(300):
        weight = random_view(dot, rng, shift_only)[:, :, 0].astype(float)
        places.append([float(np.dot(weight.sum(axis=axis), np.arange(224) - 111.5)) / weight.sum() for axis in (0, 1)])
    spread = np.array(places) / (0.2 * 224)
    assert np.abs(spread).max() <= 1.01
    assert (np.abs(spread.mean(axis=0)) < 0.12).all()
    assert (np.abs(spread.std(axis=0) - 1 / math.sqrt(3)) < 0.06).all()
    assert abs((spread[:, 0] * spread[:, 1]).mean()) < 0.07

    turned = Augmentation(shift=0.0, flip=False)
    bar = np.zeros((256, 256, 3), np.uint8)
    bar[:, 118:138] = 255
    angles = []
    for _ in range(300):
        y, x = np.nonzero(random_view(bar, rng, turned)[:, :, 0] > 127)
        angles.append(math.degrees(math.atan(np.cov(y, x)[0, 1] / y.var(ddof=1))))
    assert 19 < max(angles) < 20.5
    assert -20.5 < min(angles) < -19
    assert abs(np.mean(angles)) < 2.5


def test_the_geometry_is_that_of_image_data_generator() -> None:
    """On a bare 224 x 224 photo only the fill differs from Keras, whose affine transform is done with SciPy as here.

    See ``apply_affine_transform`` in keras/src/legacy/preprocessing/image.py.
    """
    photo = Image.open(DATA / "astronaut.png").convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    array = np.asarray(photo)
    for seed in range(8):
        turn, down, right, mirror = np.random.default_rng(seed).uniform(-1, 1, 4)
        theta, tx, ty = math.radians(20 * turn), 0.2 * 224 * down, 0.2 * 224 * right
        rotation = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
        # SciPy counts rows before columns, where the same angle turns the other way round.
        matrix, middle = rotation.T, np.array([111.5, 111.5])
        offset = middle + matrix @ (np.array([tx, ty]) - middle)
        channels = [
            ndimage.affine_transform(array[..., c].astype(float), matrix, offset, order=1, mode="reflect")
            for c in range(3)
        ]
        expected = np.stack(channels, axis=-1)
        expected = expected[:, ::-1] if mirror < 0 else expected
        view = random_view(array, np.random.default_rng(seed))
        assert np.abs(view - expected).mean() < 0.6
        assert np.abs(view - expected).max() < 1.5


def test_the_photo_beyond_the_crop_is_used_before_anything_is_mirrored() -> None:
    canvas = np.zeros((256, 384, 3), np.uint8)
    canvas[:, :80] = 255  # left of the centre crop, which is black
    canvas[:, 304:] = 255
    assert centre(canvas).max() == 0
    sideways = Augmentation(rotation=0.0, flip=False)
    views = [random_view(canvas, np.random.default_rng(seed), sideways) for seed in range(20)]
    assert all(view.min() == 0 for view in views)
    assert sum(view.max() == 255 for view in views) > 15


def test_beyond_the_canvas_the_edge_is_mirrored() -> None:
    ramp = np.repeat(np.arange(224, dtype=np.uint8)[None, :, None], 224, axis=0).repeat(3, axis=2)
    rng = np.random.default_rng(3)
    far = Augmentation(rotation=0.0, shift=2.0, flip=False)
    steps = np.abs(np.diff(random_view(ramp, rng, far)[100, :, 0].astype(int)))
    assert steps.max() <= 1  # a jump from 223 to 0 would betray wrapping, one to 0 a black border
