"""Heat maps are Grad-CAM's, do not depend on company, and mark what the answer rests on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from conftest import SPECIES
from leafgraft import PlantClassifierTransferLearning, network, run
from leafgraft.bundle import Bundle
from leafgraft.engine.head import Head
from leafgraft.photos import canvas, centre
from leafgraft.photos.garden import draw
from leafgraft.recipes import QUICK
from leafgraft.verdict.explain import deletion, heat_maps, overlay

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photos(trained: run.Trained) -> Pixels:
    """The photos that `trained` has not seen."""
    test = trained.found.test
    assert test is not None
    return np.stack([centre(test.canvas(i)) for i in range(len(test))])


@pytest.fixture(scope="module")
def probed(trained: run.Trained, weights: Path, bank: Path) -> PlantClassifierTransferLearning:
    """A classifier with the linear head, of the same photos."""
    classifier = PlantClassifierTransferLearning(len(SPECIES), weights=weights, bank=bank)
    return classifier.fit(trained.found.train, recipe=QUICK, verbose=0)


@pytest.fixture(scope="module")
def models(trained: run.Trained, probed: PlantClassifierTransferLearning) -> dict[str, Any]:
    return {"custom": trained.classifier.model, "linear": probed.model}


@pytest.fixture(scope="module")
def in_a_corner() -> tuple[Pixels, NDArray[np.int64]]:
    """Plants that fill a quarter of an even photo, and the row and column of the quarter."""
    pixels = np.zeros((24, 224, 224, 3), np.uint8)
    corners = np.array([(i // 2 % 2, i % 2) for i in range(len(pixels))])
    for i, (row, column) in enumerate(corners):
        plant = np.asarray(Image.fromarray(centre(canvas(draw(SPECIES[i % len(SPECIES)], 500 + i)))).resize((112, 112)))
        pixels[i] = plant.mean(axis=(0, 1))
        pixels[i, 112 * row : 112 * row + 112, 112 * column : 112 * column + 112] = plant
    return pixels, corners


@pytest.fixture(scope="module")
def marked(models: dict[str, Any], in_a_corner: tuple[Pixels, NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
    """What each model takes for evidence on these."""
    return {head: maps(model, in_a_corner[0]) for head, model in models.items()}


def maps(model: Any, photos: Pixels, labels: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """The heat maps of some species, by default the likeliest ones."""
    activations = network.base_of(model).predict_on_batch(photos)
    if labels is None:
        labels = model.predict_on_batch(photos).argmax(axis=1)
    return heat_maps(activations, Head.of(model).slopes(activations.mean(axis=(1, 2)), labels))


def custom_score(model: Any, pooled: NDArray[np.float64]) -> NDArray[np.float64]:
    for name in ("head_512", "head_256"):
        kernel, bias = model.get_layer(name).get_weights()
        pooled = np.maximum(pooled @ kernel + bias, 0)
    kernel, bias = model.get_layer("probabilities").get_weights()
    scores: NDArray[np.float64] = pooled @ kernel + bias
    return scores


def linear_score(model: Any, pooled: NDArray[np.float64]) -> NDArray[np.float64]:
    rooted = np.sqrt(pooled + 1e-3)
    kernel, bias = model.get_layer("probabilities").get_weights()
    scores: NDArray[np.float64] = rooted / np.linalg.norm(rooted, axis=-1, keepdims=True) @ kernel + bias
    return scores


SCORES: dict[str, Callable[[Any, NDArray[np.float64]], NDArray[np.float64]]] = {
    "custom": custom_score,
    "linear": linear_score,
}
HEADS = [pytest.param("custom", marks=pytest.mark.slow), "linear"]
"""The second one is that of the default recipe; how the two differ is shown by the first test."""


@pytest.mark.parametrize("head", SCORES)
def test_a_cell_is_what_more_of_it_adds_to_the_score(models: dict[str, Any], photos: Pixels, head: str) -> None:
    # The score sees the activations through their mean alone, so Grad-CAM's sum over the channels of a cell is the
    # slope of the score in the direction of that cell; here by central differences in float64.
    model, photo = models[head], photos[:1]
    cells = network.base_of(model).predict_on_batch(photo)[0].reshape(49, 2048).astype(np.float64)
    ahead, behind = (SCORES[head](model, cells.mean(axis=0) + step * cells) for step in (1e-6, -1e-6))
    found = 0
    for target in range(len(SPECIES)):
        slopes = np.maximum(ahead - behind, 0)[:, target].reshape(7, 7)
        heat = maps(model, photo, np.array([target]))[0]
        if slopes.max() > 0:
            np.testing.assert_allclose(heat, slopes / slopes.max(), atol=1e-3)
            found += 1
        else:
            np.testing.assert_array_equal(heat, 0)  # nothing on the photo speaks for this species
    assert found


@pytest.mark.parametrize("head", HEADS)
def test_maps_lie_within_0_and_1_and_the_strongest_cell_is_1(models: dict[str, Any], photos: Pixels, head: str) -> None:
    heat = maps(models[head], photos)
    assert heat.dtype == np.float32
    assert heat.shape == (len(photos), 7, 7)
    assert heat.min() >= 0
    np.testing.assert_array_equal(heat.max(axis=(1, 2)), 1)


def test_each_species_has_a_map_of_its_own(models: dict[str, Any], photos: Pixels) -> None:
    model = models["linear"]
    likeliest = model.predict_on_batch(photos).argmax(axis=1)
    assert np.abs(maps(model, photos, (likeliest + 1) % len(SPECIES)) - maps(model, photos)).mean() > 0.05


def test_the_bundle_gives_the_same_maps(trained: run.Trained, trained_run: Path, photos: Pixels) -> None:
    labels = np.array([0, 1, 2])
    expected = maps(trained.classifier.model, photos[:3], labels)
    saved = Bundle(trained_run)
    found = saved.heat(photos[:3], labels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(saved.heat(photos[2:3], labels[2:])[0], found[2], atol=1e-5)
    assert len(saved.heat(photos[:0], labels[:0])) == 0


def test_no_photos_make_no_maps_and_misfits_are_refused() -> None:
    assert heat_maps(np.zeros((0, 7, 7, 4), np.float32), np.zeros((0, 4), np.float32)).shape == (0, 7, 7)
    assert not heat_maps(np.ones((1, 7, 7, 4), np.float32), -np.ones((1, 4), np.float32)).any()
    for shape in ((1, 4), (2, 3), (2,)):
        with pytest.raises(ValueError, match=r"must be \(n, a, b, f\) and \(n, f\)"):
            heat_maps(np.ones((2, 7, 7, 4), np.float32), np.ones(shape, np.float32))


@pytest.mark.parametrize("head", HEADS)
def test_the_heat_is_where_the_plant_is(
    marked: dict[str, NDArray[np.float32]], in_a_corner: tuple[Pixels, NDArray[np.int64]], head: str
) -> None:
    heat, corners = marked[head], in_a_corner[1]
    # The 4 x 4 cells that the quarter reaches, a third of all.
    quarters = np.stack(
        [
            one[3 * row : 3 * row + 4, 3 * column : 3 * column + 4]
            for one, (row, column) in zip(heat, corners, strict=True)
        ]
    )
    assert (quarters.max(axis=(1, 2)) == 1).mean() > 0.9
    assert quarters.sum() > 0.6 * heat.sum()


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=32)),
)
def test_an_overlay_keeps_shape_and_type(photo: Pixels, heat: NDArray[np.float32]) -> None:
    before = photo.copy()
    laid = overlay(photo, heat)
    assert laid.shape == photo.shape
    assert laid.dtype == np.uint8
    np.testing.assert_array_equal(photo, before)


def test_an_overlay_is_brightest_where_the_heat_is_and_shows_the_photo() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[1, 5] = 1
    even = np.full((224, 224, 3), 128, np.uint8)
    light = overlay(even, heat).astype(int).sum(axis=-1)
    place = np.array(np.unravel_index(light.argmax(), light.shape)) / 32
    np.testing.assert_allclose(place, (1.5, 5.5), atol=0.2)
    assert np.abs(np.diff(light, axis=0)).max() < 40  # it fades, and no cell has an edge
    half = even.copy()
    half[:, :112] = 20
    assert (overlay(half, np.ones((7, 7), np.float32)) != overlay(even, np.ones((7, 7), np.float32)))[:, :112].all()
    colourful = np.stack([half[..., 0], even[..., 0], half[..., 0]], axis=-1)
    cold = overlay(colourful, np.zeros((7, 7), np.float32)).astype(int)
    assert np.ptp(cold, axis=-1).max() <= 3  # whatever has a colour has it from the heat


@pytest.mark.parametrize("head", HEADS)
def test_without_its_hottest_cells_an_answer_falls_further(
    models: dict[str, Any],
    marked: dict[str, NDArray[np.float32]],
    in_a_corner: tuple[Pixels, NDArray[np.int64]],
    head: str,
) -> None:
    pixels, _ = in_a_corner
    found = deletion(pixels, marked[head], models[head].predict_on_batch)
    assert found.photos == len(pixels)
    assert found.hottest > found.random
    assert found.difference.low > 0


def test_any_engine_may_answer(trained: run.Trained, trained_run: Path, photos: Pixels) -> None:
    heat = maps(trained.classifier.model, photos)
    labels = trained.classifier.predict_proba(photos).argmax(axis=1)
    expected = deletion(photos, heat, trained.classifier.predict_proba)
    got = deletion(photos, heat, Bundle(trained_run).predict_proba, labels)
    assert got.photos == expected.photos
    assert (got.hottest, got.random, *got.difference) == pytest.approx(
        (expected.hottest, expected.random, *expected.difference), abs=1e-4
    )


def lit(photos: Pixels) -> NDArray[np.float32]:
    """Sure of the second of two species by how white the upper left cell of 4 x 4 is."""
    side = photos.shape[1] // 4
    share = photos[:, :side, :side].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1).astype(np.float32)


def test_falls_are_what_they_should_be_by_hand() -> None:
    photos = np.zeros((20, 224, 224, 3), np.uint8)
    photos[:, :56, :56] = 255  # whose mean colour is a sixteenth of white, 16
    heat = np.zeros((20, 4, 4), np.float32)
    heat[:, 0, 0] = 1
    found = deletion(photos, heat, lit, share=1 / 16)
    assert found.hottest == pytest.approx(1 - 16 / 255)
    assert found.random in [pytest.approx(hits / 20 * (1 - 16 / 255)) for hits in range(10)]
    # The other species gains what this one loses.
    other = deletion(photos, heat, lit, np.zeros(20, np.int64), share=1 / 16)
    assert other.hottest == pytest.approx(16 / 255 - 1)
    assert found == deletion(photos, heat, lit, share=1 / 16)
    assert len({deletion(photos, heat, lit, share=0.5, seed=seed).random for seed in range(5)}) > 1


def test_a_map_that_says_nothing_is_no_better_than_chance() -> None:
    photos = np.zeros((400, 56, 56, 3), np.uint8)
    photos[:, :14, :14] = 255
    found = deletion(photos, np.zeros((400, 4, 4), np.float32), lit, share=0.25)
    assert found.difference.low < 0 < found.difference.high
    assert found.hottest == pytest.approx(0.25 * (1 - 16 / 255), abs=0.06)
    assert found.random == pytest.approx(0.25 * (1 - 16 / 255), abs=0.06)


def test_photos_of_one_plant_make_the_interval_wide() -> None:
    chance = np.random.default_rng(0)
    photos = chance.integers(0, 256, (16, 224, 224, 3), np.uint8)
    photos[:8, :56, :56] = 255
    heat = np.zeros((16, 4, 4), np.float32)
    heat[:, 0, 0] = 1
    alone, together = (
        deletion(photos, heat, lit, np.ones(16, np.int64), share=1 / 16, groups=groups).difference
        for groups in (None, np.arange(16) // 8)
    )
    assert together.high - together.low > alone.high - alone.low


def test_what_cannot_be_tested_is_refused() -> None:
    photos, heat = np.zeros((2, 224, 224, 3), np.uint8), np.zeros((2, 4, 4), np.float32)
    for some, maps in ((photos, heat[:1]), (photos[:0], heat[:0]), (photos, heat[0])):
        with pytest.raises(ValueError, match="n > 0"):
            deletion(some, maps, lit)
    for share in (0.0, 0.01, 1.0):
        with pytest.raises(ValueError, match="some of the 16 cells and not all"):
            deletion(photos, heat, lit, share=share)
    with pytest.raises(ValueError, match="one for each photo"):
        deletion(photos, heat, lit, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match=r"0\.\.1, not 0\.\.2"):
        deletion(photos, heat, lit, np.array([0, 2]))
