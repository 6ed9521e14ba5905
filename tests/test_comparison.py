"""Scratch against transfer, on a few drawn plants."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from leafgraft import comparison
from leafgraft.comparison import Comparison, Outcome
from leafgraft.photos import canvas, centre
from leafgraft.photos.dataset import Dataset
from leafgraft.photos.garden import draw
from leafgraft.recipes import CLASSIC
from leafgraft.verdict.compare import Curve

NAMES = ("cactus", "fern")


def dataset(numbers: range) -> Dataset:
    """Drawn plants of two kinds."""
    pixels = np.stack([centre(canvas(draw(name, seed))) for name in NAMES for seed in numbers])
    return Dataset.of_arrays(pixels, np.repeat(np.arange(2), len(numbers)), NAMES)


@pytest.mark.slow
def test_both_get_the_same_epochs(weights: Path) -> None:
    recipe = dataclasses.replace(CLASSIC, epochs_frozen=2, epochs_fine=0)
    result = comparison.compare(dataset(range(4)), dataset(range(50, 54)), recipe=recipe, equal="epochs")
    scratch, transfer = result.scratch.curve, result.transfer.curve
    assert transfer.epochs == [1, 2]
    assert list(transfer.seconds) == sorted(transfer.seconds)
    assert scratch.epochs == transfer.epochs
    assert result.interval.low <= result.difference <= result.interval.high
    content = result.as_dict()
    assert content["n"] == 8
    assert content["sentence"] == result.sentence
    assert 0 <= content["scratch"]["accuracy"] <= 1


def test_sentence_claims_no_more_than_the_interval() -> None:
    curve = Curve("x", [1.0], [1], [0.5])
    test = Dataset.of_arrays(np.zeros((40, 224, 224, 3), np.uint8), np.zeros(40, np.int64), NAMES)
    sure, unsure = np.tile([1.0, 0.0], (40, 1)), np.tile([1.0, 0.0], (40, 1))
    unsure[:2] = [0.0, 1.0]
    keys = tuple(str(i) for i in range(40))
    test = dataclasses.replace(test, keys=keys)
    alike = Comparison.between(Outcome.of(curve, test, unsure), Outcome.of(curve, test, sure), "equal time", keys)
    assert alike.sentence.startswith("No difference is shown")
    wrong = Outcome.of(curve, test, np.tile([0.0, 1.0], (40, 1)))
    apart = Comparison.between(wrong, Outcome.of(curve, test, sure), "equal time", keys)
    assert apart.difference == 1
    assert apart.sentence.startswith("Transfer is better than scratch by 100.0 points")
