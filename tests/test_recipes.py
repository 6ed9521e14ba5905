"""Recipes and their rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leafgraft.photos import Augmentation
from leafgraft.recipes import CLASSIC, RECIPES, views_per_photo


def test_classic_is_the_assignment() -> None:
    assert RECIPES["classic"] is CLASSIC
    assert (CLASSIC.epochs_frozen, CLASSIC.rate_frozen) == (10, 0.001)
    assert (CLASSIC.epochs_fine, CLASSIC.rate_fine, CLASSIC.unfreeze) == (20, 0.00001, 50)
    assert CLASSIC.batch_size == 32
    assert CLASSIC.augmentation == Augmentation(rotation=20.0, shift=0.2, flip=True)


@given(st.integers(1, 10_000_000))
def test_more_photos_never_want_more_views(photos: int) -> None:
    assert 3 <= views_per_photo(photos + 1) <= views_per_photo(photos) <= 6
