"""Figures of merit on held-out photos, with intervals that claim no more than the photos support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

ECE_BINS = 15
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
SUM_TOLERANCE = 0.02  # a softmax in bfloat16 or int8 sums to one only this well
BLOCK = 4_000_000  # resampled weights held in memory at once


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float

    def hull(self, other: Interval) -> Interval:
        """The narrowest interval that covers both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))


def bootstrap_interval(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).

    Photos are drawn with replacement; with ``groups``, whole groups are (the cluster bootstrap), because photos of one
    plant are right or wrong together. The result depends on the data and the seed, not on the order of the photos, and
    lies within the range of ``values``. It collapses to a point when all values are equal and is too narrow for fewer
    than about twenty photos or groups: see `accuracy_interval`.

    Args:
        values: shape (n,), one number per photo.
        groups: shape (n,), any hashable key per photo; None if each photo stands for itself.
        level: the confidence, in (0, 1).
        resamples: how many times the photos are drawn anew.
        seed: of the random numbers.

    Raises:
        ValueError: for no values, for shapes that do not match, or for a level outside (0, 1).
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"values must have the shape (n,) with n > 0, not {numbers.shape}.")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}.")
    units = _units(numbers, groups)
    # Equal units are interchangeable, so drawing how often each *kind* of unit occurs is the same bootstrap with far
    # fewer random numbers: two kinds for right and wrong photos, however many photos there are.
    kinds, occurrences = np.unique(units, axis=0, return_counts=True)
    shares = occurrences / len(units)
    rng = np.random.default_rng(seed)
    means = []
    block = max(1, BLOCK // len(kinds))
    for start in range(0, resamples, block):
        weights = rng.multinomial(len(units), shares, size=min(block, resamples - start))
        totals = weights @ kinds
        means.append(totals[:, 0] / totals[:, 1])
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Interval(float(low), float(high))


def wilson_interval(share: float, n: int, *, level: float = 0.95) -> Interval:
    """Score interval of a binomial proportion (Wilson, J. Am. Stat. Assoc. 22:209, 1927); never a point.

    Args:
        share: the observed proportion, in [0, 1].
        n: the number of independent trials, at least 1.
        level: the confidence, in (0, 1).
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    # Exact at the ends, where rounding would otherwise leave the observed share just outside.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return Interval(low, high)


def accuracy_interval(
    correct: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of an accuracy: the bootstrap, never narrower than Wilson's interval.

    The bootstrap alone knows only the mistakes it has seen: twenty photos all right would give 100 % to 100 %, where
    Wilson says 83.9 % to 100 %. So the result is the hull of the two. Wilson counts photos; where the bootstrap over
    groups has collapsed to a point (one group, or every group equally right), it counts groups, since nothing then
    shows how far the photos of a group are independent.

    Args:
        correct: shape (n,), true where the photo was named rightly.
        groups: shape (n,), as in `bootstrap_interval`.
        level: the confidence, in (0, 1).
        resamples: how many times the photos are drawn anew.
        seed: of the random numbers.

    Raises:
        ValueError: as `bootstrap_interval`.
    """
    right = np.asarray(correct, dtype=bool)
    interval = bootstrap_interval(right, groups=groups, level=level, resamples=resamples, seed=seed)
    trials = independent_units(groups, len(right)) if interval.low == interval.high else len(right)
    return interval.hull(wilson_interval(float(right.mean()), trials, level=level))


def independent_units(groups: ArrayLike | None, n: int) -> int:
    """The number of groups, or of photos when there are no groups."""
    return n if groups is None else len(np.unique(np.asarray(groups)))


def score(
    labels: ArrayLike, probabilities: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 0
) -> dict[str, Any]:
    """Every figure that ``metrics.json`` holds, as plain Python numbers.

    Args:
        labels: shape (n,), the true class of each photo, in 0..k-1. A class may have no photo.
        probabilities: shape (n, k), each row in [0, 1] with the sum 1.
        groups: shape (n,), as in `bootstrap_interval`.
        seed: of the bootstrap.

    Returns:
        ``accuracy``, ``accuracy_ci95`` [low, high] (see `accuracy_interval`), ``balanced_accuracy`` (mean recall of the
        classes with photos), ``macro_f1`` (mean over the classes with photos or predictions), ``top3`` (share of photos
        whose class is among the three most probable), ``log_loss`` in nats (probabilities clipped at the resolution of
        float32, so one photo costs at most 15.9), ``ece`` (15 bins of equal width; Guo et al., On Calibration of Modern
        Neural Networks, ICML 2017), ``brier`` (the sum over classes, in [0, 2]; Brier, Mon. Weather Rev. 78:1, 1950)
        and ``n``.

    Raises:
        ValueError: for shapes that do not match, labels outside 0..k-1, or rows that are no probabilities.
    """
    from sklearn.metrics import f1_score, recall_score

    truth, shares = _checked(labels, probabilities)
    n = len(truth)
    predicted = shares.argmax(axis=1)
    correct = predicted == truth
    interval = accuracy_interval(correct, groups=groups, seed=seed)
    # balanced_accuracy_score would warn about predicted classes without a photo; the macro recall is the same number.
    recall = recall_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0)
    best_three = np.argsort(-shares, axis=1, kind="stable")[:, :3]
    of_truth = shares[np.arange(n), truth]
    errors = shares.copy()
    errors[np.arange(n), truth] -= 1
    return {
        "accuracy": float(correct.mean()),
        "accuracy_ci95": [interval.low, interval.high],
        "balanced_accuracy": float(recall),
        "macro_f1": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "top3": float((best_three == truth[:, None]).any(axis=1).mean()),
        "log_loss": float(-np.log(np.clip(of_truth, LEAST_PROBABILITY, 1)).mean()),
        "ece": expected_calibration_error(shares.max(axis=1), correct),
        "brier": float((errors**2).sum(axis=1).mean()),
        "n": n,
    }


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, *, bins: int = ECE_BINS) -> float:
    """Mean distance between confidence and accuracy over bins of equal width, in [0, 1] (Guo et al., 2017, eq. 3).

    Args:
        confidence: shape (n,), the probability of the predicted class, in [0, 1].
        correct: shape (n,), true where the prediction was right.
        bins: how many; each is open below and closed above.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)
    place = bin_of(sure, bins)
    gaps = np.bincount(place, weights=right - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))


def bin_of(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """The bin of each confidence, int64 (n,): of equal width, each open below and closed above."""
    place: NDArray[np.int64] = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return place


def confusion(labels: ArrayLike, predicted: ArrayLike, k: int) -> NDArray[np.int64]:
    """Counts of photos, shape (k, k): row = true class, column = predicted class.

    Raises:
        ValueError: for shapes that do not match, or classes outside 0..k-1.
    """
    truth, named = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if truth.shape != named.shape or truth.ndim != 1:
        raise ValueError(f"labels {truth.shape} and predicted {named.shape} must have the same shape (n,).")
    both = np.concatenate([truth, named])
    if both.size and not (both.min() >= 0 and both.max() < k):
        raise ValueError(f"classes must lie in 0..{k - 1}, not {both.min()}..{both.max()}.")
    return np.bincount(truth * k + named, minlength=k * k).reshape(k, k).astype(np.int64)


def most_confused(matrix: ArrayLike, classes: Sequence[str], most: int = 5) -> list[tuple[str, str, int]]:
    """The commonest mistakes, worst first: (true species, named species, photos); ties in the order of ``classes``."""
    counts = np.array(matrix, dtype=np.int64)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, counts.shape)
    return [
        (classes[row], classes[column], int(counts[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if counts[row, column] > 0
    ]


def sentence(figures: Mapping[str, object], kind: str = "held-out ") -> str:
    """The sentence that matters, from what `score` returned.

    For instance "Accuracy 96.5 % (95 % interval 93.0-98.5 %) on 200 held-out photos."

    Args:
        figures: from `score`.
        kind: what photos they are of, with a space behind it, or nothing.
    """
    # The mapping may come back from JSON, whose values have no static types.
    known = cast("Mapping[str, Any]", figures)
    low, high = known["accuracy_ci95"]
    return (
        f"Accuracy {percent(known['accuracy'], Interval(low, high), '95 % interval ')} on {photos(known['n'], kind)}."
    )


def percent(share: float, interval: Interval, prefix: str = "") -> str:
    """A share with its interval in per cent, for instance "96.5 % (93.0-98.5 %)"."""
    return f"{100 * share:.1f} % ({prefix}{100 * interval.low:.1f}-{100 * interval.high:.1f} %)"


def photos(n: int, kind: str = "held-out ") -> str:
    """For instance "200 held-out photos"."""
    return f"{n:,} {kind}photo{'' if n == 1 else 's'}"


def _units(values: NDArray[np.float64], groups: ArrayLike | None) -> NDArray[np.float64]:
    """What is drawn: shape (units, 2), the sum of the values and the number of photos of each."""
    if groups is None:
        return np.stack([values, np.ones_like(values)], axis=1)
    keys = np.asarray(groups)
    if keys.shape != values.shape:
        raise ValueError(f"groups must have the shape {values.shape} of the values, not {keys.shape}.")
    _, member = np.unique(keys, return_inverse=True)
    return np.stack([np.bincount(member, weights=values), np.bincount(member)], axis=1)


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth, shares = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if shares.ndim != 2 or truth.shape != shares.shape[:1] or shares.size == 0:
        raise ValueError(
            f"labels {truth.shape} and probabilities {shares.shape} must be (n,) and (n, k) with n, k > 0."
        )
    if not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(f"labels must be integers, not {truth.dtype}.")
    if truth.min() < 0 or truth.max() >= shares.shape[1]:
        raise ValueError(f"labels must lie in 0..{shares.shape[1] - 1}, not {truth.min()}..{truth.max()}.")
    sums = shares.sum(axis=1, keepdims=True)
    # Written so that NaN fails too.
    if not (shares.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE):
        raise ValueError(
            f"each row of probabilities must be >= 0 with the sum 1, not {sums.min():.3g}..{sums.max():.3g}."
        )
    return truth.astype(np.int64), shares / sums
