"""The linear probe: a logistic regression on the features of the frozen base, which finds its own strength.

The features are square-rooted and brought to length 1, as in `leafgraft.network.linear_head`, whose weights the probe
gives. The regression is multinomial and fitted by L-BFGS (Liu & Nocedal 1989; SciPy). Its loss is added up over blocks
of rows, so that there may be more of them than the memory holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""What is tried as the inverse of the regularisation (C of scikit-learn), for rows of length 1."""

ROOT_SHIFT = 1e-3
"""Added to pooled features before the root is taken, whose slope at 0, where many of them are, would be infinite."""

FOLDS = 3

CHOOSE_ON = 3000
"""Photos that the strength is chosen on, at most."""

ITERATIONS, FLAT = 300, 1e-4
"""Of L-BFGS, at most; and the slope at which it ends before. The last digits of the optimum change no answer."""

_BLOCK = 4096
"""Rows whose loss is computed at once: 34 MB in float32."""


Features = NDArray[np.floating[Any]]
"""Rows in float32, or in float16 in a file."""


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

    def figures(self, features: Features, labels: NDArray[np.int64]) -> tuple[float, float]:
        """Mean log loss and accuracy on some rows, as from `rooted`."""
        scores = np.concatenate([rows @ self.kernel + self.bias for rows, _ in _blocks(features)]).astype(np.float64)
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
    features: Features,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: int,
    *,
    weights: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> Probe:
    """Fit a probe; its strength is the one with the least log loss in a cross-validation within these photos.

    Args:
        features: (n, f), as from `rooted`. One photo may give several rows.
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
    features: Features,
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
    features: Features, labels: NDArray[np.int64], weights: NDArray[np.float32] | None, strength: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a multinomial logistic regression, as scikit-learn's ``LogisticRegression`` does.

    Args:
        features: (n, f), as from `rooted`.
        labels: int64 (n,).
        weights: float32 (n,), what each row's loss is multiplied by; None for 1.
        strength: the inverse of the regularisation.

    Returns:
        Kernel (f, k) and bias (k,), float32, for the k labels that occur, in their order.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    # Of fewer rows than features, the best kernel is a combination of the rows: the regularisation pulls all else to 0.
    # Turned into their span, which changes no length, the problem is as small as there are rows.
    span, turned = None, features
    if len(features) < features.shape[1]:
        span, coordinates = np.linalg.qr(features.T.astype(np.float32))
        turned = np.ascontiguousarray(coordinates.T)
    found, places = np.unique(labels, return_inverse=True)
    own = np.ones(len(labels), np.float32) if weights is None else weights
    width, classes = turned.shape[1], len(found)
    # Of two classes the second alone has a score there, which here is the difference of both: half of the length.
    pull = (2.0 if classes == 2 else 1.0) / (strength * float(own.sum(dtype=np.float64)))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Mean loss, and its slope."""
        kernel, bias = flat[:-classes].reshape(width, classes), flat[-classes:]
        total, slope = 0.0, np.zeros((width + 1, classes))
        for rows, some in _blocks(turned):
            scores = rows @ kernel.astype(np.float32) + bias.astype(np.float32)
            scores -= scores.max(axis=1, keepdims=True)
            shares = np.exp(scores)
            sums = shares.sum(axis=1, keepdims=True)
            each = np.arange(len(rows)), places[some]
            total += float(own[some] @ (np.log(sums[:, 0]) - scores[each]))
            shares /= sums
            shares[each] -= 1
            shares *= own[some, None]
            slope[:-1] += rows.T @ shares
            slope[-1] += shares.sum(axis=0)
        slope /= own.sum(dtype=np.float64)
        slope[:-1] += pull * kernel
        return total / float(own.sum(dtype=np.float64)) + pull / 2 * float((kernel**2).sum()), slope.ravel()

    # Of one block the products are small, and one thread is three times as fast as two.
    with threadpool_limits(1 if len(turned) <= _BLOCK else None):
        options = {"maxiter": ITERATIONS, "maxls": 50, "gtol": FLAT, "ftol": 64 * np.finfo(np.float64).eps}
        best = minimize(loss, np.zeros((width + 1) * classes), method="L-BFGS-B", jac=True, options=options).x
    kernel, bias = (one.astype(np.float32) for one in (best[:-classes].reshape(width, classes), best[-classes:]))
    return kernel if span is None else span @ kernel, bias


def _blocks(features: Features) -> Iterator[tuple[NDArray[np.float32], slice]]:
    """Rows in float32, block by block, and where they stand."""
    for start in range(0, len(features), _BLOCK):
        some = slice(start, start + _BLOCK)
        yield np.asarray(features[some], np.float32), some
