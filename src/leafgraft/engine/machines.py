"""What a training asks of other machines, if it has any; nothing here knows who they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.store import Means, Prefix
from leafgraft.photos.augment import Augmentation
from leafgraft.photos.dataset import Dataset

if TYPE_CHECKING:
    from leafgraft.engine.stages import Place, Schedule

Variables = list[NDArray[Any]]
"""The values of a suffix's variables, then of its optimizer's."""


@dataclass(frozen=True)
class Course:
    """How a suffix is to learn.

    Attributes:
        suffix: a Keras model, compiled; its optimizer is built.
        order: the places of the optimizer's variables among those of the suffix that learn.
        epochs: how many.
        size: photos a step; see `Machines.size`.
        asked: how many photos a step were asked for, which the rate belongs to.
        seed: of the order of the photos and the choice of views.
        schedule: gives the rate of each step; None for that of the optimizer.
        weights: what each label's loss is multiplied by, if not 1.
        half: whether to compute in bfloat16.
    """

    suffix: Any
    order: Sequence[int]
    epochs: int
    size: int
    asked: int
    seed: int
    schedule: Schedule | None
    weights: Mapping[int, float]
    half: bool


class Machines(Protocol):
    """Other machines."""

    def rows(
        self, prefix: Prefix, means: Means, data: Dataset, numbers: Sequence[int], augmentation: Augmentation
    ) -> NDArray[np.floating[Any]]:
        """What a prefix makes of some views, (photos, views, *shape); see `Store.all_rows`, `machine.room_for`."""

    def shards(
        self, prefix: Prefix, means: Means, data: Dataset, numbers: Sequence[int], augmentation: Augmentation
    ) -> Any:
        """Have the tensors that a prefix skips computed and kept; returns what `fit` takes for them."""

    def size(self, size: int) -> int:
        """How many photos a step has where so many were asked for."""

    def fit(
        self,
        course: Course,
        shards: Any,
        watched: Any,
        place: Place,
        variables: Variables,
        told: Callable[[int, dict[str, float], Variables], bool],
        stepped: Callable[[int], None],
    ) -> None:
        """Let a suffix learn.

        Args:
            course: how.
            shards: of the photos to learn from.
            watched: shards of the photos for figures after each epoch; None without.
            place: how far it is.
            variables: as they are now.
            told: called after each epoch with its number, its figures by Keras' names, and the variables; returns
                whether that was the last.
            stepped: called now and then with how many steps of all epochs are done.
        """
