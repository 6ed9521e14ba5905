"""Whether the border of the photos alone betrays the label: then a classifier may learn the place, not the plant.

Eight pixels of the background name the disease in PlantVillage with an accuracy of 49 %, where chance gives 2.6 %
(Noyan 2022, https://arxiv.org/abs/2206.04374).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5

TREES = 100

PHOTOS = 3000
"""Photos that are looked at, at most."""

TELLING = 0.3
"""From this share of the way between chance and certainty on, the border is said to betray the label."""


@dataclass(frozen=True)
class BorderProbe:
    """How well the border alone names the species.

    Attributes:
        accuracy: on photos that were not learned from, 0-1.
        chance: what always naming the commonest species would reach, 0-1.
    """

    accuracy: float
    chance: float

    @property
    def tells(self) -> bool:
        """Whether it does so far better than chance."""
        return self.accuracy - self.chance > TELLING * (1 - self.chance)


def border_probe(
    border: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> BorderProbe | None:
    """Learn to name the species from the colours of 16 blocks along the border, by randomized trees.

    Args:
        border: float32 (n, 16, 3), as in `leafgraft.audit.looks.Looks`.
        labels: int64 (n,).
        groups: int64 (n,); a group stays on one side.

    Returns:
        The figures, on species with at least 5 groups; None if there are not two such species.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    chosen = np.random.default_rng(0).permutation(len(labels))[:PHOTOS]
    apart = Counter(label for label, _ in set(zip(labels[chosen].tolist(), groups[chosen].tolist(), strict=True)))
    enough = [label for label, count in apart.items() if count >= FOLDS]
    if len(enough) < 2:
        return None
    chosen = chosen[np.isin(labels[chosen], enough)]
    rows, truth, belongs = border[chosen].reshape(len(chosen), -1), labels[chosen], groups[chosen]
    right = 0
    for inside, outside in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(rows, truth, belongs):
        trees = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=0).fit(rows[inside], truth[inside])
        right += int((trees.predict(rows[outside]) == truth[outside]).sum())
    return BorderProbe(right / len(truth), float(np.bincount(truth).max() / len(truth)))
