"""The linear probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from leafgraft.engine import probe

pytestmark = pytest.mark.quick


def clouds(classes: int, apiece: int, spread: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points around one centre a class, not below 0."""
    chance = np.random.default_rng(seed)
    centres = chance.gamma(0.5, size=(classes, 64))
    labels = np.repeat(np.arange(classes), apiece)
    points = np.abs(centres[labels] + spread * chance.normal(size=(len(labels), 64)))
    return probe.rooted(points.astype(np.float32)), labels


@pytest.mark.parametrize("classes", [2, 5])
def test_a_probe_learns_and_gives_the_weights_of_a_head(classes: int) -> None:
    features, labels = clouds(classes, 30, 0.3)
    fitted = probe.fit(features[::2], labels[::2], np.arange(len(labels[::2])), classes)
    assert fitted.kernel.shape == (64, classes)
    assert fitted.bias.shape == (classes,)
    assert fitted.kernel.dtype == fitted.bias.dtype == np.float32
    loss, accuracy = fitted.figures(features[1::2], labels[1::2])
    assert accuracy > 0.9
    assert 0 < loss < np.log(classes)


def test_the_probability_of_two_classes_is_that_of_a_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    features, labels = clouds(2, 20, 0.5)
    fitted = probe.fit(features, labels, np.arange(40), 2)
    scores = features @ fitted.kernel + fitted.bias
    expected = (
        LogisticRegression(C=fitted.strength, max_iter=probe.ITERATIONS).fit(features, labels).predict_proba(features)
    )
    np.testing.assert_allclose(1 / (1 + np.exp(scores[:, 0] - scores[:, 1])), expected[:, 1], atol=1e-3)


def test_the_kernel_is_that_of_scikit_learn_in_blocks_of_any_size(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, labels = clouds(4, 50, 0.5)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(labels)).astype(np.float32)
    expected = LogisticRegression(C=30.0, max_iter=1000, tol=1e-6).fit(features, labels, sample_weight=weights)
    in_file = np.memmap(tmp_path / "rows", np.float16, "w+", shape=features.shape)
    in_file[:] = features
    for rows, block, atol in ((features, 4096, 0.02), (features, 7, 0.02), (in_file, 64, 0.05)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(probe, "_BLOCK", block)
            patch.setattr(probe, "FLAT", 1e-6)
            kernel, bias = probe.regression(rows, labels, weights, 30.0)
        kernel, bias = (one - one.mean(axis=-1, keepdims=True) for one in (kernel, bias))
        np.testing.assert_allclose(kernel, expected.coef_.T, atol=atol)
        np.testing.assert_allclose(bias, expected.intercept_ - expected.intercept_.mean(), atol=atol)


def test_noise_asks_for_a_stronger_regularisation_than_clear_cases() -> None:
    clear, labels = clouds(4, 40, 0.1)
    noise = probe.rooted(np.random.default_rng(1).random(clear.shape).astype(np.float32))
    groups = np.arange(len(labels))
    assert probe.fit(noise, labels, groups, 4).strength < probe.fit(clear, labels, groups, 4).strength


def test_views_of_a_photo_stay_together_when_the_strength_is_chosen() -> None:
    # Every photo comes twice and has a label at random: only a split that tears the pairs apart finds that learnable.
    chance = np.random.default_rng(0)
    once = probe.rooted(chance.random((60, 64)).astype(np.float32))
    labels = np.arange(60) % 3
    fitted = probe.fit(np.repeat(once, 2, 0), np.repeat(labels, 2), np.repeat(np.arange(60), 2), 3)
    assert min(fitted.log_loss.values()) > 0.9 * np.log(3)
    assert fitted.strength == min(probe.STRENGTHS)


def test_with_too_few_photos_nothing_is_chosen() -> None:
    features, labels = clouds(3, 2, 0.1)
    fitted = probe.fit(features, labels, np.arange(6), 3)
    assert fitted.log_loss == {}
    assert fitted.figures(features, labels)[1] == 1.0


def test_weights_shift_what_is_uncertain() -> None:
    features, labels = clouds(2, 30, 3.0)
    groups = np.arange(60)
    even = probe.fit(features, labels, groups, 2)
    weights = np.where(labels == 1, 20.0, 1.0).astype(np.float32)
    tilted = probe.fit(features, labels, groups, 2, weights=weights)
    named = [(features @ one.kernel + one.bias).argmax(axis=1).sum() for one in (even, tilted)]
    assert named[1] > named[0]


@settings(deadline=None)
@given(arrays(np.float32, (3, 8), elements=st.floats(0, 1000, width=32)))
def test_rooted_rows_have_length_one(features: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(np.linalg.norm(probe.rooted(features), axis=1), 1.0, rtol=1e-5)
