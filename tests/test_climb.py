"""From a probe upwards."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafgraft import run
from leafgraft._tensorflow import deterministic, keras
from leafgraft.classifier import PlantClassifierTransferLearning
from leafgraft.climb import affordable, rate_share
from leafgraft.engine.checkpoint import Checkpoint
from leafgraft.errors import OrderError, UserError
from leafgraft.recipes import AUTO, BEST, QUICK


@given(st.integers(1, 50), st.integers(1, 20), st.floats(0, 1))
def test_the_rate_rises_and_then_only_falls(steps: int, epochs: int, spent: float) -> None:
    shares = [rate_share(step, steps, epochs, 0.0) for step in range(steps * epochs)]
    peak = max(1, steps // 2)
    assert all(0 <= share <= 1 for share in shares)
    assert shares[: peak - 1] == sorted(shares[: peak - 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    assert rate_share(0, steps, epochs, spent) <= shares[0] + 1e-9


def test_the_rate_is_zero_when_time_is_up() -> None:
    assert rate_share(100, 50, 20, 1.0) == pytest.approx(0.0, abs=1e-12)
    assert rate_share(50 * 20, 50, 20, 0.0) == pytest.approx(0.0, abs=1e-12)


@given(st.integers(1, 6), st.floats(0.001, 1e4), st.floats(-10, 1e4))
def test_views_that_do_not_fit_into_the_time_are_left_out(views: int, seconds: float, left: float) -> None:
    fit = affordable(views, seconds, left)
    assert 0 <= fit <= views
    assert fit == 0 or fit * seconds <= left / 2 * (1 + 1e-9)
    assert affordable(views, seconds, math.inf) == views


@pytest.fixture(scope="module")
def found(garden: Path, settings: run.Settings) -> run.Gathered:
    return run.gather(garden, settings)


def fitted(found: run.Gathered, settings: run.Settings, recipe: Any, **rest: Any) -> PlantClassifierTransferLearning:
    classifier = PlantClassifierTransferLearning(
        len(found.classes), weights=settings.weights, class_names=found.classes, bank=settings.bank
    )
    return classifier.fit(found.train, recipe=recipe, validation_data=found.val, verbose=0, **rest)


def test_quick_is_a_probe_in_an_ordinary_model(found: run.Gathered, settings: run.Settings) -> None:
    classifier = fitted(found, settings, QUICK)
    assert [row["stage"] for row in classifier.history] == ["probe"]
    assert found.val is not None
    assert found.test is not None
    figures = classifier.evaluate(found.val)
    assert figures["accuracy"] == pytest.approx(classifier.history[0]["val_accuracy"])
    assert (
        figures["log_loss"] == pytest.approx(classifier.history[0]["val_loss"], abs=0.02)
        if "log_loss" in figures
        else True
    )
    assert classifier.evaluate(found.test)["accuracy"] > 0.6


@pytest.mark.slow
def test_auto_keeps_the_best_of_its_steps(found: run.Gathered, settings: run.Settings) -> None:
    recipe = dataclasses.replace(AUTO, budget=None, epochs_fine=2)
    told = []
    classifier = fitted(found, settings, recipe, on_probe=lambda: told.append(1))
    assert [row["stage"] for row in classifier.history] == ["probe", "probe", "fine", "fine"]
    assert len(told) == 2
    assert found.val is not None
    best = max(row["val_accuracy"] for row in classifier.history)
    assert classifier.evaluate(found.val)["accuracy"] == pytest.approx(best)


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", [0, 1])
def test_layers_that_have_nothing_to_learn_are_no_obstacle(
    found: run.Gathered, settings: run.Settings, unfreeze: int
) -> None:
    recipe = dataclasses.replace(AUTO, budget=None, epochs_fine=1, unfreeze=unfreeze)
    classifier = fitted(found, settings, recipe, views=1)
    assert [row["stage"] for row in classifier.history] == ["probe", "probe", "fine"]


@pytest.mark.slow
def test_names_come_from_the_photos_and_each_species_needs_one(found: run.Gathered, settings: run.Settings) -> None:
    nameless = PlantClassifierTransferLearning(len(found.classes), weights=None, bank=settings.bank)
    nameless.fit(found.train, recipe=QUICK, validation_data=found.val, verbose=0)
    assert nameless.classes == found.classes
    some = found.train.subset(np.flatnonzero(found.train.labels != 1))
    with pytest.raises(UserError, match=f"no photo of {found.classes[1]}"):
        nameless.train_probe(some)
    with pytest.raises(UserError, match="views must be"):
        nameless.fit(found.train, recipe=AUTO, views=-1)


@pytest.mark.slow
@pytest.mark.slow
def test_without_time_there_is_still_a_probe(found: run.Gathered, settings: run.Settings) -> None:
    classifier = fitted(found, settings, dataclasses.replace(AUTO, budget=1e-9))
    assert [row["stage"] for row in classifier.history] == ["probe"]


def test_a_probe_needs_the_linear_head_and_a_frozen_base(found: run.Gathered, settings: run.Settings) -> None:
    classifier = PlantClassifierTransferLearning(3, weights=None, bank=settings.bank)
    with pytest.raises(OrderError, match="add_linear_head"):
        classifier.train_probe(found.train)
    classifier.add_custom_head()
    with pytest.raises(OrderError, match="add_linear_head"):
        classifier.train_probe(found.train)
    classifier.add_linear_head()
    with pytest.raises(OrderError, match="freeze_base_model"):
        classifier.train_probe(found.train)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_to_the_last_digit(found: run.Gathered, settings: run.Settings) -> None:
    deterministic()
    recipe = dataclasses.replace(AUTO, budget=None, epochs_fine=2)
    first, second = (fitted(found, settings, recipe) for _ in range(2))
    for one, other in zip(first.history, second.history, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}
    assert found.test is not None
    np.testing.assert_array_equal(first.predict_proba(found.test), second.predict_proba(found.test))


@pytest.mark.slow
def test_without_validation_photos_few_photos_are_not_fine_tuned_on(
    found: run.Gathered, settings: run.Settings
) -> None:
    classifier = PlantClassifierTransferLearning(
        len(found.classes), weights=settings.weights, class_names=found.classes, bank=settings.bank
    )
    classifier.fit(found.train, recipe=dataclasses.replace(AUTO, budget=None), verbose=0)
    assert [row["stage"] for row in classifier.history] == ["probe", "probe"]


@pytest.mark.slow
def test_an_interrupted_one_goes_on_to_the_last_digit(
    found: run.Gathered, settings: run.Settings, tmp_path: Path
) -> None:
    deterministic()
    recipe = dataclasses.replace(BEST, epochs_fine=3, unfreeze=10, patience=None)
    expected = fitted(found, settings, recipe)
    wishes: list[str] = []

    def wish(*_: Any) -> None:
        wishes.append("to end")

    def opened() -> Checkpoint:
        wishes.clear()
        return Checkpoint(tmp_path, "mine", every=0.0, ending=lambda: bool(wishes))

    with pytest.raises(KeyboardInterrupt):  # after the first probe
        fitted(found, settings, recipe, checkpoint=opened(), on_probe=wish)
    tell = keras.callbacks.LambdaCallback(on_epoch_end=wish)
    with pytest.raises(KeyboardInterrupt):  # after an epoch of fine-tuning
        fitted(found, settings, recipe, checkpoint=opened(), callbacks=[tell])
    resumed = fitted(found, settings, recipe, checkpoint=opened())
    assert [row | {"seconds": 0} for row in resumed.history] == [row | {"seconds": 0} for row in expected.history]
    assert resumed.model is not None
    assert expected.model is not None
    for one, other in zip(resumed.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
