"""The linear probe: a logistic regression on the features of the frozen base, which finds its own strength.

The features are square-rooted and brought to length 1, as in `leafgraft.network.linear_head`, whose weights the probe
gives. The regression is multinomial and fitted by L-BFGS (scikit-learn, ``LogisticRegression``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""What is tried as the inverse of the regularisation (C of scikit-learn), for rows of length 1."""

ROOT_SHIFT = 1e-3
"""Added to pooled features before the root is taken, whose slope at 0, where many of them are, would be infinite."""

FOLDS = 3

CHOOSE_ON = 3000
"""Photos that the strength is chosen on, at most."""

ITERATIONS = 300


@dataclass(frozen=True)
class Probe:
    """A fitted probe.

    Attributes:
        kernel: float32 (features, classes).
        bias: float32 (classes,).
        strength: the inverse of its regularisation.
        log_loss: of each strength that was tried, on photos that were not fitted; empty if there were too few photos.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    log_loss: dict[float, float]

    def figures(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
        """Mean log loss and accuracy on some rows, as from `rooted`."""
        scores = (features @ self.kernel + self.bias).astype(np.float64)
        return _log_loss(scores, labels), float((scores.argmax(axis=1) == labels).mean())


def _log_loss(
    scores: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float32] | None = None
) -> float:
    from scipy.special import log_softmax

    losses = -log_softmax(scores, axis=1)[np.arange(len(labels)), labels]
    return float(np.average(losses, weights=weights))


def rooted(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the root of features and bring each row to length 1, as `leafgraft.network.linear_head` does.

    Args:
        features: float32 (n, f), at least 0.
    """
    roots: NDArray[np.float32] = features + np.float32(ROOT_SHIFT)
    np.sqrt(roots, out=roots)  # in place: of many photos, each copy would be large
    roots /= np.sqrt(np.einsum("ij,ij->i", roots, roots))[:, None]
    return roots


def fit(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: int,
    *,
    weights: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> Probe:
    """Fit a probe; its strength is the one with the least log loss in a cross-validation within these photos.

    Args:
        features: float32 (n, f), as from `rooted`. One photo may give several rows.
        labels: int64 (n,).
        groups: int64 (n,), the photo that a row is of, or more that belongs together; a group stays on one side.
        classes: how many there are; each has at least one row.
        weights: float32 (n,), what each row's loss is multiplied by.
        seed: of the folds.
    """
    losses = _losses(features, labels, groups, classes, weights, seed)
    strength = min(losses, key=lambda one: losses[one]) if losses else STRENGTHS[len(STRENGTHS) // 2]
    kernel, bias = regression(features, labels, weights, strength)
    return Probe(kernel, bias, strength, losses)


def _losses(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: int,
    weights: NDArray[np.float32] | None,
    seed: int,
) -> dict[float, float]:
    """Mean log loss of each strength on the folds that it was not fitted on."""
    from sklearn.model_selection import StratifiedGroupKFold

    if min(len(np.unique(groups[labels == label])) for label in range(classes)) < FOLDS:
        return {}
    chosen = np.random.default_rng(seed).permutation(np.unique(groups))[:CHOOSE_ON]
    some = np.flatnonzero(np.isin(groups, chosen))
    splits = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(some, labels[some], groups[some])
    folds = [(some[inside], some[outside]) for inside, outside in splits]
    if any(len(np.unique(labels[inside])) < classes for inside, _ in folds):
        return {}
    losses = {}
    for strength in STRENGTHS:
        found = []
        for inside, outside in folds:
            kernel, bias = regression(
                features[inside], labels[inside], None if weights is None else weights[inside], strength
            )
            scores = (features[outside] @ kernel + bias).astype(np.float64)
            found.append(_log_loss(scores, labels[outside], None if weights is None else weights[outside]))
        losses[strength] = float(np.mean(found))
        if losses[strength] > 1.05 * min(losses.values()):
            break  # past the valley; the weaker ones take the longest to fit
    return losses


def regression(
    features: NDArray[np.float32], labels: NDArray[np.int64], weights: NDArray[np.float32] | None, strength: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a multinomial logistic regression.

    Args:
        features: float32 (n, f), as from `rooted`.
        labels: int64 (n,).
        weights: float32 (n,), what each row's loss is multiplied by; None for 1.
        strength: the inverse of the regularisation.

    Returns:
        Kernel (f, k) and bias (k,), float32, for the k labels that occur, in their order.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # Of fewer rows than features, the best kernel is a combination of the rows: the regularisation pulls all else to 0.
    # Turned into their span, which changes no length, the problem is as small as there are rows.
    span, turned = None, features
    if len(features) < features.shape[1]:
        span, coordinates = np.linalg.qr(features.T)
        turned = np.ascontiguousarray(coordinates.T)
    regression = LogisticRegression(C=strength, max_iter=ITERATIONS)
    # One thread is three times as fast as two: the products are small.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits of the optimum change no answer
        regression.fit(turned, labels, sample_weight=weights)
    kernel, bias = regression.coef_.T.astype(np.float32), regression.intercept_.astype(np.float32)
    if span is not None:
        kernel = span @ kernel
    if kernel.shape[1] == 1:  # two classes have one row of scores, that of the second
        kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.hstack([-bias / 2, bias / 2])
    return kernel, bias
