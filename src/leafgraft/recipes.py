"""Recipes: how long, how fast and on how many views a classifier is trained, as plain data and pure rules."""

from __future__ import annotations

from dataclasses import dataclass

from leafgraft.photos.augment import Augmentation

RESNET_LAYERS = 175
"""Layers of ResNet50 without its top, the input among them."""


@dataclass(frozen=True)
class Recipe:
    """The settings of both stages.

    Attributes:
        name: as given to ``--recipe``.
        epochs_frozen: epochs of stage 1, in which only the head learns.
        rate_frozen: learning rate of stage 1.
        epochs_fine: epochs of stage 2, in which the last layers of the base learn as well.
        rate_fine: learning rate of stage 2.
        unfreeze: how many of the 175 layers of the base learn in stage 2.
        batch_size: photos a step.
        augmentation: ranges of the random views.
    """

    name: str
    epochs_frozen: int
    rate_frozen: float
    epochs_fine: int
    rate_fine: float
    unfreeze: int
    batch_size: int
    augmentation: Augmentation


CLASSIC = Recipe(
    name="classic",
    epochs_frozen=10,
    rate_frozen=1e-3,
    epochs_fine=20,
    rate_fine=1e-5,
    unfreeze=50,
    batch_size=32,
    augmentation=Augmentation(rotation=20.0, shift=0.2, flip=True),
)
"""The schedule, rates, depth and augmentation of the assignment."""

RECIPES = {recipe.name: recipe for recipe in (CLASSIC,)}


def views_per_photo(photos: int) -> int:
    """How many random views of each photo are kept, from which every epoch draws one.

    Few photos need the variety and can afford it; with many, other photos bring it. The frozen part then sees about
    2,400 views in a data set of 400 to 800 photos, where an epoch of fine-tuning costs as much as that.

    Args:
        photos: how many there are to train on, at least 1.

    Returns:
        3 to 6.
    """
    return min(6, max(3, 2400 // photos))
