"""The temperature inside the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from leafgraft.bundle import Bundle
from leafgraft.export import graph
from leafgraft.verdict.calibration import tempered

logits = arrays(np.float32, (5, 4), elements=st.floats(-12, 12, width=32))


def in_layers(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    return np.asarray(graph.tempered(scores, temperature), np.float32)


@settings(deadline=None, max_examples=30)
@given(logits, st.floats(0.2, 5.0))
def test_it_is_the_temperature_of_the_bundle(scores: NDArray[np.float32], temperature: float) -> None:
    shares = in_layers(scores, 1.0)
    found = in_layers(scores, temperature)
    np.testing.assert_allclose(found, tempered(shares, temperature), atol=1e-5)
    np.testing.assert_allclose(in_layers(np.log(np.maximum(shares, 1e-37)), temperature), found, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    for before, after in zip(shares, found, strict=True):
        assert (np.diff(after[np.argsort(before, kind="stable")]) >= -1e-6).all()


def test_logits_that_no_probability_can_hold_stay_finite() -> None:
    scores = np.array([[400.0, -400.0, 0.0]], np.float32)
    np.testing.assert_allclose(in_layers(scores, 0.05), [[1, 0, 0]])


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_network_of_a_bundle_is_flat_and_keeps_its_answers(trained_run: Path, temperature: float) -> None:
    model = graph.load(trained_run, temperature)
    names = [layer.name for layer in model.layers]
    assert names[-3:] == ["logits", "temperature", "probabilities"]
    assert "conv1_conv" in names
    noise = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    bundle = Bundle(trained_run)
    shares = np.concatenate([part for part, _ in bundle.raw(noise)])
    np.testing.assert_allclose(model.predict_on_batch(noise), tempered(shares, temperature), atol=1e-4)
