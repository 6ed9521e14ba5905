"""Probabilities that mean what they say: temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leafgraft.verdict.metrics import ECE_BINS, bin_of

RANGE = (0.05, 20.0)
"""Between these the temperature is searched."""

SPREAD = 0.5
"""Standard deviation of the logarithm of the temperature, about 0, that is expected before any photo has been seen."""


def temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Find the likeliest temperature: that with the least log loss, held near 1 where few photos speak (`SPREAD`).

    Without that, a dozen photos that are all named rightly would ask for the lowest temperature there is, and the next
    mistake would be made with a probability of 1. Where a hundred photos show mistakes, it changes next to nothing.

    Args:
        labels: int64 (n,), of photos that were not trained on.
        probabilities: float32 (n, k), rows with the sum 1.

    Returns:
        Above 1 for a classifier that is too sure of itself, below 1 for one that is too timid.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits = _logits(probabilities)

    def loss(logarithm: float) -> float:
        # Of logarithms: probabilities that round to 0 would look alike at many temperatures, and hide the way.
        of_truth = log_softmax(logits / np.exp(logarithm), axis=1)[np.arange(len(labels)), labels]
        return float(0.5 * (logarithm / SPREAD) ** 2 - of_truth.sum())

    found = minimize_scalar(loss, bounds=np.log(RANGE), method="bounded", options={"xatol": 1e-4})
    # Where all temperatures are as good, as with photos that are all named with certainty, nothing is to be changed.
    return float(np.exp(found.x)) if loss(float(found.x)) < loss(0.0) else 1.0


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide the logits behind probabilities by a temperature; the order within a row stays.

    The logits are known from the probabilities up to a constant for each row, which changes nothing.

    Args:
        probabilities: float32 (n, k), rows with the sum 1.
        temperature: above 0.

    Returns:
        float32 (n, k), rows with the sum 1.
    """
    if temperature == 1.0:
        return probabilities
    logits = _logits(probabilities) / temperature
    shares = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    result: NDArray[np.float32] = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny).astype(np.float64))
    return logits


@dataclass(frozen=True)
class Reliability:
    """How often a classifier is right, by how sure it is; bins without a photo are left out.

    Attributes:
        confidence: mean probability of the named species in each bin, 0-1.
        accuracy: share of the photos in each bin that were named rightly, 0-1.
        count: photos in each bin.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]


def reliability(labels: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = ECE_BINS) -> Reliability:
    """Sort photos by the probability of what they were taken for (bins as in `expected_calibration_error`).

    Args:
        labels: int64 (n,).
        probabilities: float32 (n, k).
        bins: how many, of equal width.
    """
    sure, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    place = bin_of(sure, bins)
    count = np.bincount(place, minlength=bins)
    used = np.flatnonzero(count)
    confidence = np.bincount(place, weights=sure, minlength=bins)[used] / count[used]
    accuracy = np.bincount(place, weights=right, minlength=bins)[used] / count[used]
    return Reliability(tuple(confidence.tolist()), tuple(accuracy.tolist()), tuple(count[used].tolist()))
