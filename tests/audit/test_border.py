"""Whether borders betray labels, where it is known that they do or do not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from leafgraft.audit import border
from leafgraft.audit.border import border_probe

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as cases need that are as clear as these."""
    monkeypatch.setattr(border, "TREES", 20)


def borders(labels: NDArray[np.int64], difference: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise, with one block that is brighter for each label."""
    rows = np.random.default_rng(seed).normal(100, 20, (len(labels), 16, 3))
    rows[np.arange(len(labels)), labels] += difference
    return rows.astype(np.float32)


def test_a_studio_for_each_species_is_noticed() -> None:
    labels = np.arange(120) % 4
    found = border_probe(borders(labels, 100), labels, np.arange(120))
    assert found is not None
    assert found.accuracy > 0.9
    assert found.chance == 0.25
    assert found.tells


def test_borders_that_are_alike_tell_nothing() -> None:
    labels = np.arange(120) % 4
    found = border_probe(borders(labels, 0), labels, np.arange(120))
    assert found is not None
    assert found.accuracy < 0.45
    assert not found.tells


def test_always_naming_the_commonest_species_is_no_knowledge() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    found = border_probe(borders(labels, 0), labels, np.arange(100))
    assert found is not None
    assert found.chance == 0.9
    assert not found.tells


def test_photos_of_one_group_do_not_betray_each_other() -> None:
    # Each of 40 places was photographed five times and says nothing about the species that was found there.
    places = np.random.default_rng(1).normal(100, 40, (40, 16, 3)).repeat(5, axis=0)
    rows = (places + np.random.default_rng(2).normal(0, 2, places.shape)).astype(np.float32)
    labels = (np.arange(40) % 2).repeat(5)
    apart = border_probe(rows, labels, np.arange(40).repeat(5))
    torn = border_probe(rows, labels, np.arange(200))
    assert apart is not None
    assert torn is not None
    assert torn.tells
    assert not apart.tells


def test_a_rare_species_is_left_out_and_does_not_silence_the_others() -> None:
    labels = np.array([*np.arange(60) % 2, *[2] * 4, 3])
    found = border_probe(borders(labels, 100), labels, np.arange(65))
    assert found is not None
    assert found.chance == 0.5
    assert found.tells


@pytest.mark.parametrize("labels", [[], [0], [0] * 20, [0] * 20 + [1] * 4, [0, 1] * 4])
def test_too_few_photos_tell_nothing(labels: list[int]) -> None:
    numbers = np.array(labels, np.int64)
    assert border_probe(borders(numbers, 100), numbers, np.arange(len(labels))) is None


def test_of_many_photos_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "PHOTOS", 50)
    labels = np.arange(400) % 2
    found = border_probe(borders(labels, 100), labels, np.arange(400))
    assert found is not None
    assert found.chance * 50 == round(found.chance * 50)
    assert found.tells
