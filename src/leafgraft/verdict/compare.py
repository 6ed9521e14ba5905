"""One classifier against another on the same held-out photos: the difference, its interval, and what may be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from leafgraft.verdict.metrics import Interval, bootstrap_interval, independent_units, percent, photos


@dataclass(frozen=True, slots=True)
class Curve:
    """How the accuracy of one classifier grew while it was trained; one entry per epoch.

    Attributes:
        name: what the curve is called in pictures.
        seconds: training time since the start (cumulative).
        epochs: number of the epoch, from 1.
        accuracy: on photos that are not trained on, in [0, 1].

    Raises:
        ValueError: if the three sequences differ in length.
    """

    name: str
    seconds: Sequence[float]
    epochs: Sequence[int]
    accuracy: Sequence[float]

    def __post_init__(self) -> None:
        lengths = len(self.seconds), len(self.epochs), len(self.accuracy)
        if len(set(lengths)) != 1:
            raise ValueError(f"seconds, epochs and accuracy of {self.name!r} must be equally long, not {lengths}.")


def difference(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Accuracy of B minus accuracy of A, as a fraction in [-1, 1], with a paired interval.

    Each photo is judged by both, so the bootstrap draws the differences of the photos (or of whole groups). Where the
    two disagree on a handful of photos only, the bootstrap is too sure: four photos out of 200 that all favour B would
    already exclude 0. So the result is never narrower than the adjusted Wald interval for matched pairs, which adds
    half a photo to each of the four outcomes (Agresti and Min, Stat. Med. 24:729, 2005). As in
    `leafgraft.verdict.metrics.accuracy_interval`, that one counts groups where the bootstrap has collapsed to a point.

    Args:
        correct_a: shape (n,), true where A named the photo rightly.
        correct_b: shape (n,), the same for B and the same photos.
        groups: shape (n,), photos of one plant or place have the same key.
        level: the confidence, in (0, 1).
        resamples: how many times the photos are drawn anew.
        seed: of the random numbers.

    Raises:
        ValueError: for no photos, or for shapes that do not match.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"A judged {a.shape} photos and B {b.shape}; a paired comparison needs the same ones.")
    gain = b.astype(np.int64) - a.astype(np.int64)
    interval = bootstrap_interval(gain, groups=groups, level=level, resamples=resamples, seed=seed)
    n = independent_units(groups, len(gain)) if interval.low == interval.high else len(gain)
    wald = _adjusted_wald(float((gain == 1).mean()) * n, float((gain == -1).mean()) * n, n, level)
    return float(gain.mean()), interval.hull(wald)


def verdict_sentence(
    name_a: str,
    name_b: str,
    acc_a: float,
    ci_a: Interval,
    acc_b: float,
    ci_b: Interval,
    diff: float,
    diff_ci: Interval,
    basis: str,
    n: int,
) -> str:
    """What the comparison shows, and no more than its interval does.

    Args:
        name_a: the first classifier.
        name_b: the second.
        acc_a: accuracy of A, in [0, 1].
        ci_a: its 95 % interval.
        acc_b: accuracy of B.
        ci_b: its 95 % interval.
        diff: accuracy of B minus accuracy of A, as `difference` gives it.
        diff_ci: its 95 % interval.
        basis: what was held equal, for instance "equal seconds: 123 s each".
        n: the number of photos that both were judged on.
    """
    on = f"on the same {photos(n)} at {basis}"
    if diff_ci.low <= 0 <= diff_ci.high:
        claim = (
            f"No difference is shown between {name_a} and {name_b} {on}: {name_b} minus {name_a} is "
            f"{100 * diff:+.1f} points (95 % interval {100 * diff_ci.low:+.1f} to {100 * diff_ci.high:+.1f})."
        )
    else:
        better, worse = (name_b, name_a) if diff > 0 else (name_a, name_b)
        low, high = sorted((abs(diff_ci.low), abs(diff_ci.high)))
        claim = (
            f"{better} is better than {worse} by {100 * abs(diff):.1f} points "
            f"(95 % interval {100 * low:.1f} to {100 * high:.1f}) {on}."
        )
    return f"{claim} {name_a}: {percent(acc_a, ci_a)}; {name_b}: {percent(acc_b, ci_b)}."


def _adjusted_wald(gained: float, lost: float, n: int, level: float) -> Interval:
    """Interval of (gained - lost) / n after half a photo joins each of both right, both wrong, gained, lost."""
    total = n + 2
    centre = (gained - lost) / total
    variance = (gained + lost + 1) / total**2 - centre**2 / total
    half = NormalDist().inv_cdf((1 + level) / 2) * variance**0.5
    return Interval(max(-1.0, centre - half), min(1.0, centre + half))
