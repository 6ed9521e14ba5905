"""Recipes: what is trained, how long, how fast and on how many views, as plain data and pure rules."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from leafgraft.photos.augment import Augmentation

Views = int | Literal["fresh"]
"""How many random views of each photo are kept to draw from; or new ones in every epoch, which are not kept."""

RESNET_LAYERS = 175
"""Layers of ResNet50 without its top, the input among them."""


AUGMENTATION = Augmentation(rotation=20.0, shift=0.2, flip=True)
"""The ranges of the assignment."""


@dataclass(frozen=True)
class Recipe:
    """The settings of all stages.

    Attributes:
        name: as given to ``--recipe``.
        head: "custom" is that of the assignment, trained by gradient descent; "linear" is a probe (see
            `leafgraft.engine.probe`).
        epochs_frozen: epochs in which only a custom head learns.
        rate_frozen: their learning rate.
        probe_views: whether the probe is fitted once more with random views of the photos.
        epochs_fine: epochs at most in which the last layers of the base learn as well.
        rate_fine: their learning rate, or its peak.
        unfreeze: how many of the 175 layers of the base learn then.
        batch_size: photos a step.
        augmentation: ranges of the random views.
        cosine: whether the rate of fine-tuning warms up over half an epoch and then falls to 0 along half a cosine
            (Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983), or stays as it is.
        label_smoothing: the share of each target that goes to all species alike in fine-tuning (Szegedy et al. 2015,
            https://arxiv.org/abs/1512.00567).
        keep_best: whether the stage with the best figures is kept, or the last one.
        patience: epochs of fine-tuning without a better figure on the validation photos after which it ends; None goes
            on to the last.
        budget: seconds of training after which it comes to its end; None has no limit.
    """

    name: str
    head: Literal["custom", "linear"]
    epochs_frozen: int = 0
    rate_frozen: float = 0.0
    probe_views: bool = False
    epochs_fine: int = 0
    rate_fine: float = 0.0
    unfreeze: int = 0
    batch_size: int = 32
    augmentation: Augmentation = AUGMENTATION
    cosine: bool = False
    label_smoothing: float = 0.0
    keep_best: bool = False
    patience: int | None = None
    budget: float | None = None


CLASSIC = Recipe(
    name="classic",
    head="custom",
    epochs_frozen=10,
    rate_frozen=1e-3,
    epochs_fine=20,
    rate_fine=1e-5,
    unfreeze=50,
)
"""The schedule, rates, depth and augmentation of the assignment."""

QUICK = Recipe(name="quick", head="linear")
"""A probe of the centre crops: one pass over the photos, then seconds."""

BEST = Recipe(
    name="best",
    head="linear",
    probe_views=True,
    epochs_fine=8,
    rate_fine=1e-4,
    unfreeze=10,
    cosine=True,
    label_smoothing=0.1,
    keep_best=True,
    patience=3,
)
"""A probe, the same on random views, then fine-tuning of the last residual block from there; ``docs/performance.md``
says what each step brought."""

AUTO = dataclasses.replace(BEST, name="auto", budget=600.0)
"""`BEST` for as long as it improves, or for ten minutes."""

RECIPES = {recipe.name: recipe for recipe in (AUTO, QUICK, BEST, CLASSIC)}


def fine_tuning_pays(photos: int, species: int) -> bool:
    """Whether to fine-tune from a probe where no validation photos can tell.

    It brought 1.0 point with 60 photos a species, and lost 0.3 to 1.5 points with 10, 30 and about 35 (three other data
    sets; ``docs/performance.md``). The line lies between.

    Args:
        photos: how many there are to train on.
        species: how many they show.
    """
    return photos >= 45 * species


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
