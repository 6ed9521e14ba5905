"""Labels that are likely wrong: photos that a classifier which has not seen them takes for another species.

Out-of-fold probabilities of a linear probe, ranked by self-confidence (Northcutt et al. 2021,
https://arxiv.org/abs/1911.00068), in cleanlab's words and by its code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.probe import regression

FOLDS = 5

STRENGTH = 30.0
"""Of the probe; see `leafgraft.engine.probe.STRENGTHS`."""

MUCH_LIKELIER = 5.0
"""How many times likelier than its label another species has to be for a photo to be doubted.

Of 20 labels of Flowers-17 that were swapped, 19 or 20 are doubted, over six seeds, among 24 to 30 photos. Without this
limit some 65 are doubted; confident learning's own filter, which counts how many there should be, finds 13 to 17.
"""


@dataclass(frozen=True)
class Suspect:
    """A photo whose label is doubted.

    Attributes:
        position: of the photo.
        suggested: the label that its looks suggest.
        score: the probability of the label that it has, 0-1, from a probe that was not fitted on it.
    """

    position: int
    suggested: int
    score: float


def out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], classes: int
) -> NDArray[np.float64] | None:
    """The probabilities that probes give to photos they were not fitted on, groups whole.

    Args:
        features: float32 (n, f), as from `leafgraft.engine.probe.rooted`.
        labels: int64 (n,).
        groups: int64 (n,).
        classes: how many there are.

    Returns:
        float64 (n, classes), or None if there are fewer than two classes, or fewer than two groups of one of them.
        A photo whose class only its own fold has is taken at its word.
    """
    from scipy.special import softmax
    from sklearn.model_selection import StratifiedGroupKFold

    if classes < 2:
        return None
    fewest = min(len(np.unique(groups[labels == label])) for label in range(classes))
    if fewest < 2:
        return None
    result = np.zeros((len(labels), classes))
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=0).split(features, labels, groups)
    for inside, outside in folds:
        present = np.unique(labels[inside])
        if len(present) > 1:
            kernel, bias = regression(features[inside], labels[inside], None, STRENGTH)
            scores = (features[outside] @ kernel + bias).astype(np.float64)
            result[np.ix_(outside, present)] = softmax(scores, axis=1)
        else:
            result[outside, present[0]] = 1.0
        unmet = outside[~np.isin(labels[outside], present)]  # only where a group has several labels
        result[unmet] = np.eye(classes)[labels[unmet]]
    return result


def suspects(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> list[Suspect]:
    """Photos whose label is likely wrong, the most suspicious first.

    Args:
        labels: int64 (n,).
        probabilities: float64 (n, classes), as from `out_of_fold`.
    """
    from cleanlab.filter import find_label_issues

    positions = find_label_issues(
        labels, probabilities, filter_by="predicted_neq_given", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    found = []
    for position in positions.tolist():
        row = probabilities[position]
        score, suggested = float(row[labels[position]]), int(row.argmax())
        if row[suggested] >= MUCH_LIKELIER * score:
            found.append(Suspect(position, suggested, score))
    return found
