"""What is known, and who is a stranger."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from leafgraft.engine.probe import rooted
from leafgraft.verdict.unknown import ACCEPTED, MOST, Known, Strangers, some_of_each

pytestmark = pytest.mark.quick

Rows = NDArray[np.float32]


def features(photos: int, seed: int, width: int = 16) -> Rows:
    """Features as networks pool them: at least 0, few of them large."""
    return np.random.default_rng(seed).gamma(0.3, size=(photos, width)).astype(np.float32)


def known(photos: int, seed: int = 0, species: int = 3) -> Known:
    return Known.of(features(photos, seed), np.arange(photos) % species, tuple(f"{i}.jpg" for i in range(photos)))


def test_a_few_photos_are_all_kept_in_their_order() -> None:
    found = known(30)
    assert found.paths == tuple(f"{i}.jpg" for i in range(30))
    np.testing.assert_array_equal(found.labels, np.arange(30) % 3)
    assert found.features.dtype == np.float16
    np.testing.assert_allclose(found.features.astype(np.float32), rooted(features(30, 0)), atol=1e-3)


def test_of_many_photos_some_of_each_species_are_kept_by_chance() -> None:
    labels = np.r_[np.zeros(MOST, np.int64), np.ones(10, np.int64), np.full(MOST, 2, np.int64)]
    found = some_of_each(labels, 0)
    assert np.bincount(labels[found]).tolist() == [MOST // 3, 10, MOST // 3]
    assert (np.diff(found) > 0).all()
    np.testing.assert_array_equal(some_of_each(labels, 0), found)
    assert some_of_each(labels, 1).tolist() != found.tolist()


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
def test_the_nearest_are_those_with_the_largest_cosines(count: int, photos: int, seed: int) -> None:
    those, others = known(photos, seed), features(4, seed + 100)
    positions, cosines = those.nearest(others, count)
    assert positions.shape == cosines.shape == (4, min(count, photos))
    every = rooted(others) @ those.features.astype(np.float32).T
    np.testing.assert_allclose(np.take_along_axis(every, positions, axis=1), cosines, atol=1e-6)
    np.testing.assert_allclose(cosines, -np.sort(-every, axis=1)[:, :count], atol=1e-6)


def test_a_known_photo_is_nearest_to_itself_however_many_are_asked_for() -> None:
    those = known(1500)
    positions, cosines = those.nearest(features(1500, 0))
    assert positions.shape == (1500, 5)
    np.testing.assert_array_equal(positions[:, 0], np.arange(1500))
    np.testing.assert_allclose(cosines[:, 0], 1, atol=1e-3)


def test_where_nothing_is_known_nothing_is_near() -> None:
    nothing = Known.of(np.zeros((0, 16), np.float32), np.zeros(0, np.int64), ())
    positions, cosines = nothing.nearest(features(3, 0))
    assert positions.shape == cosines.shape == (3, 0)
    assert known(3).nearest(np.zeros((0, 1), np.float32))[0].shape == (0, 3)  # as of no photos


cosines = arrays(np.float32, (25, 2), elements=st.floats(0, 1, width=32))
shares = arrays(np.float64, (25, 3), elements=st.floats(0.01, 1)).map(
    lambda rows: (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
)


@given(cosines, shares)
def test_most_of_the_photos_that_it_was_learned_from_pass(near: Rows, probabilities: Rows) -> None:
    found = Strangers.fitted(near, probabilities)
    strange = found.strangeness(near, probabilities)
    assert strange.shape == (25,)
    assert (strange <= found.threshold).mean() >= ACCEPTED
    assert found.threshold in strange


@given(cosines, shares)
def test_strangeness_counts_from_the_mean_of_known_species(near: Rows, probabilities: Rows) -> None:
    near[:2, 0], probabilities[:2] = (0.2, 0.8), ((0.9, 0.05, 0.05), (0.3, 0.3, 0.4))  # no two all alike
    strange = Strangers.fitted(near, probabilities).strangeness(near, probabilities)
    assert strange.mean() == pytest.approx(0, abs=1e-3)


@given(cosines, shares, st.floats(0, 1, width=32), st.floats(0, 0.5, width=32))
def test_what_lies_farther_or_is_less_certain_is_stranger(
    near: Rows, probabilities: Rows, cosine: float, farther: float
) -> None:
    found = Strangers.fitted(near, probabilities)
    sure, torn = np.array([[0.98, 0.01, 0.01]], np.float32), np.array([[0.4, 0.3, 0.3]], np.float32)
    at, away = np.array([[cosine]], np.float32), np.array([[cosine - farther]], np.float32)
    assert found.strangeness(away, sure)[0] >= found.strangeness(at, sure)[0]
    assert found.strangeness(at, torn)[0] > found.strangeness(at, sure)[0]


def test_a_photo_that_is_like_no_other_is_a_stranger() -> None:
    chance = np.random.default_rng(0)
    centre = chance.gamma(0.3, size=16)

    def around(photos: int) -> Rows:
        return (centre * chance.uniform(0.8, 1.25, (photos, 16))).astype(np.float32)

    those = Known.of(around(50), np.zeros(50, np.int64), ("",) * 50)
    sure = np.tile(np.array([0.97, 0.03], np.float32), (40, 1))
    found = Strangers.fitted(those.nearest(around(40))[1], sure)
    assert (found.strangeness(those.nearest(around(40))[1], sure) > found.threshold).mean() < 0.3
    assert (found.strangeness(those.nearest(features(40, 1))[1], sure) > found.threshold).all()


def test_it_comes_back_from_json() -> None:
    found = Strangers.fitted(np.array([[0.5], [0.75]], np.float32), np.array([[0.9, 0.1], [0.5, 0.5]], np.float32))
    content = json.loads(json.dumps(found.as_dict()))
    assert content == found.as_dict()
    assert Strangers(tuple(content["distance"]), tuple(content["entropy"]), content["threshold"]) == found
