"""Labels that are likely wrong, in made-up clouds of features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from leafgraft.audit.labels import out_of_fold, suspects
from leafgraft.engine.probe import rooted

pytestmark = pytest.mark.quick


def clouds(classes: int, apiece: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows around one centre a class."""
    chance = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), apiece)
    points = chance.gamma(0.5, size=(classes, 64))[labels] + 0.2 * chance.random((len(labels), 64))
    return rooted(points.astype(np.float32)), labels


def test_swapped_labels_are_found_first_and_named_rightly() -> None:
    features, true = clouds(4, 25)
    labels = true.copy()
    swapped = [3, 30, 55, 90]
    labels[swapped] = (true[swapped] + 1) % 4
    probabilities = out_of_fold(features, labels, np.arange(100), 4)
    assert probabilities is not None
    found = suspects(labels, probabilities)
    assert {one.position for one in found[:4]} == set(swapped)
    assert all(one.suggested == true[one.position] for one in found[:4])


def test_clear_labels_are_not_doubted() -> None:
    features, labels = clouds(3, 20)
    probabilities = out_of_fold(features, labels, np.arange(60), 3)
    assert probabilities is not None
    assert suspects(labels, probabilities) == []
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels)


def test_no_photo_is_judged_by_a_probe_that_saw_one_of_its_group() -> None:
    # Every photo comes twice and has a label at random: a probe that had seen its twin would be right.
    once = rooted(np.random.default_rng(0).random((60, 60)).astype(np.float32))
    features, labels, groups = np.repeat(once, 2, 0), np.repeat(np.arange(60) % 3, 2), np.repeat(np.arange(60), 2)
    apart = out_of_fold(features, labels, groups, 3)
    torn = out_of_fold(features, labels, np.arange(120), 3)
    assert apart is not None
    assert torn is not None
    right = [float((found.argmax(axis=1) == labels).mean()) for found in (apart, torn)]
    assert right[0] < 0.5
    assert right[1] > 0.7


def test_what_cannot_be_tried_is_not_judged() -> None:
    features, labels = clouds(3, 4)
    assert out_of_fold(features[:0], labels[:0], labels[:0], 0) is None
    assert out_of_fold(features[:4], labels[:4], np.arange(4), 1) is None
    assert out_of_fold(features[:9], labels[:9], np.arange(9), 3) is None  # the third has one photo
    assert out_of_fold(features, labels, np.minimum(np.arange(12), 8), 3) is None  # and here one group
    assert out_of_fold(features[:10], labels[:10], np.arange(10), 3) is not None


def test_a_species_that_only_the_tested_fold_has_is_taken_at_its_word() -> None:
    # Nearly all photos of both species are one group, as where photos of several species are tied together.
    labels = np.repeat([0, 1], [28, 22])
    groups = np.array([0, *[5] * 20, 2, *[3] * 5, 4, *[5] * 21, 7])
    features = rooted(np.random.default_rng(0).random((50, 16)).astype(np.float32))
    probabilities = out_of_fold(features, labels, groups, 2)
    assert probabilities is not None
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    unmet = (probabilities == np.eye(2)[labels]).all(axis=1)
    assert unmet.any()
    assert not {one.position for one in suspects(labels, probabilities)} & set(np.flatnonzero(unmet).tolist())


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 5), st.lists(st.integers(0, 9), min_size=12, max_size=40), st.integers(0, 9))
def test_every_photo_gets_probabilities_or_none_does(classes: int, drawn: list[int], seed: int) -> None:
    labels = np.arange(len(drawn)) % classes
    features = rooted(np.random.default_rng(seed).random((len(drawn), 8)).astype(np.float32))
    probabilities = out_of_fold(features, labels, np.array(drawn), classes)
    alone = min(len({group for group, label in zip(drawn, labels, strict=True) if label == k}) for k in range(classes))
    assert (probabilities is None) == (alone < 2)
    if probabilities is not None:
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert (probabilities >= 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 6), st.integers(2, 12), st.integers(0, 99))
def test_suspects_are_sorted_and_suggest_another_species(classes: int, apiece: int, seed: int) -> None:
    labels = np.repeat(np.arange(classes), apiece)
    probabilities = np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), len(labels))
    found = suspects(labels, probabilities)
    assert len({one.position for one in found}) == len(found)
    scores = [one.score for one in found]
    assert scores == sorted(scores)
    for one in found:
        assert one.score == pytest.approx(probabilities[one.position, labels[one.position]])
        assert one.suggested != labels[one.position]
        assert probabilities[one.position, one.suggested] >= one.score
