"""Recipes and their rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafgraft.photos import Augmentation
from leafgraft.recipes import CLASSIC, RECIPES, fine_tuning_pays, views_per_photo

pytestmark = pytest.mark.quick


def test_classic_is_the_assignment() -> None:
    assert RECIPES["classic"] is CLASSIC
    assert (CLASSIC.epochs_frozen, CLASSIC.rate_frozen) == (10, 0.001)
    assert (CLASSIC.epochs_fine, CLASSIC.rate_fine, CLASSIC.unfreeze) == (20, 0.00001, 50)
    assert CLASSIC.batch_size == 32
    assert CLASSIC.augmentation == Augmentation(rotation=20.0, shift=0.2, flip=True)


@given(st.integers(1, 10_000_000))
def test_more_photos_never_want_more_views(photos: int) -> None:
    assert 3 <= views_per_photo(photos + 1) <= views_per_photo(photos) <= 6


@given(st.integers(1, 10_000), st.integers(2, 100))
def test_more_photos_never_speak_against_fine_tuning(photos: int, species: int) -> None:
    assert fine_tuning_pays(photos, species) <= fine_tuning_pays(photos + 1, species)


def test_fine_tuning_pays_where_it_was_measured_to() -> None:
    assert fine_tuning_pays(17 * 60, 17)
    assert not fine_tuning_pays(17 * 10, 17)
    assert not fine_tuning_pays(10 * 30, 10)
