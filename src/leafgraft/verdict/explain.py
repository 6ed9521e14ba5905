"""Where in a photo the evidence for a species lies (Grad-CAM), and whether it really lies there (the deletion test)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leafgraft.verdict.metrics import Interval, bootstrap_interval

BATCH = 16
"""Photos at work at once; it bounds the memory."""

COLOURS = "inferno"
"""A map of even steps in lightness, so that it orders the cells for any kind of colour vision, and in grey as well."""

STRENGTH = 0.5
"""The share of the colours in an overlay, 0-1; the rest is the photo."""

SHARE = 0.2
"""The part of a photo that the deletion test blanks, 0-1."""


def heat_maps(activations: NDArray[np.float32], slopes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where in each photo the evidence for a species lies, by Grad-CAM on the last activations of the base.

    Every channel is weighted with the mean slope of the species' score along it, and what the weighted channels add up
    to is kept where it is positive (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391). As the score sees the
    activations through their mean alone, that slope is the same in every cell.

    Args:
        activations: float32 (n, a, b, f).
        slopes: float32 (n, f), of the score along their means, as from `leafgraft.engine.head.Head.slopes`.

    Returns:
        float32 (n, a, b), 0-1: shares of each photo's own strongest cell. A photo in which nothing speaks for the
        species is 0 throughout.

    Raises:
        ValueError: the shapes do not match.
    """
    if activations.ndim != 4 or slopes.shape != (len(activations), activations.shape[-1]):
        raise ValueError(f"activations {activations.shape} and slopes {slopes.shape} must be (n, a, b, f) and (n, f).")
    heat: NDArray[np.float32] = np.maximum(np.einsum("nabf,nf->nab", activations, slopes), 0)
    strongest = heat.max(axis=(1, 2), keepdims=True, initial=0)
    heat /= np.where(strongest > 0, strongest, 1)
    return heat


def overlay(photo: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a heat map over a photo: dark where nothing speaks for the species, bright where most does.

    The photo beneath is grey, so that every colour is the heat's and a yellow flower is not taken for a hot place.

    Args:
        photo: RGB, uint8 (h, w, 3).
        heat: (a, b), 0-1, of any size; it is enlarged smoothly.

    Returns:
        RGB, uint8 (h, w, 3).
    """
    from matplotlib import colormaps
    from PIL import Image

    height, width = photo.shape[:2]
    coarse = Image.fromarray(np.asarray(heat, np.float32))
    fine = np.clip(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)), 0, 1)
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float64)[..., None]
    colours = 255 * colormaps[COLOURS](fine)[..., :3]
    mixed: NDArray[np.uint8] = np.rint(STRENGTH * colours + (1 - STRENGTH) * grey).astype(np.uint8)
    return mixed


class Deletion(NamedTuple):
    """What the deletion test found; falls are of the target's probability, in [-1, 1].

    Attributes:
        photos: how many were tested.
        hottest: the mean fall when the hottest cells are blanked.
        random: the mean fall when as many cells at random are.
        difference: 95 % interval of ``hottest - random``, paired by photo.
    """

    photos: int
    hottest: float
    random: float
    difference: Interval


def deletion(
    photos: NDArray[np.uint8],
    heat: NDArray[np.float32],
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    targets: NDArray[np.int64] | None = None,
    *,
    share: float = SHARE,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> Deletion:
    """Blank the hottest part of each photo, then as many of its cells at random, and see what it does to the answer.

    If a heat map shows what the answer rests on, the first costs more. This is the deletion test (Petsiuk et al. 2018,
    RISE, https://arxiv.org/abs/1806.07421) in one step, with random cells as the control: losing any part of a photo
    costs something. Blanked cells take the photo's mean colour.

    Args:
        photos: RGB, uint8 (n, 224, 224, 3).
        heat: (n, a, b), 0-1, as from `heat_maps`; cells are as large as its are.
        predict: gives probabilities (m, k) for photos, uint8 (m, 224, 224, 3); m is 48 at most.
        targets: int64 (n,), the labels that the maps explain; None for the likeliest.
        share: the part of a photo's cells that is blanked, in (0, 1), rounded to whole cells: 10 of 49 for a fifth.
        groups: shape (n,), photos of one plant have the same key; see `leafgraft.verdict.metrics.bootstrap_interval`.
        seed: of the random cells, and of the bootstrap.

    Raises:
        ValueError: there are no photos, the shapes do not match, or the share leaves nothing to compare.
    """
    if heat.ndim != 3 or len(heat) != len(photos) or not len(photos):
        raise ValueError(f"photos {photos.shape} and heat {heat.shape} must be (n, h, w, 3) and (n, a, b) with n > 0.")
    cells = heat[0].size
    blanked = round(share * cells)
    if not 0 < blanked < cells:
        raise ValueError(f"share must blank some of the {cells} cells and not all; it is {share}.")
    chance = np.random.default_rng(seed)
    falls = []
    for start in range(0, len(photos), BATCH):
        some, maps = photos[start : start + BATCH], heat[start : start + BATCH]
        tested = []
        for photo, one in zip(some, maps, strict=True):
            # Maps end in many equal zeros: chance decides between them, or it would always be the topmost.
            hottest = np.lexsort((chance.permutation(cells), -one.ravel()))
            orders = hottest, chance.permutation(cells)
            tested.append([photo, *(_without(photo, order[:blanked], one.shape) for order in orders)])
        # All photos whole, then all without their hottest cells, then all without random ones.
        answers = predict(np.concatenate(np.stack(tested, axis=1)))
        shares = np.asarray(answers, np.float64).reshape(3, len(some), -1)
        if targets is None:
            explained = shares[0].argmax(axis=1)
        else:
            _require_targets(targets, len(photos), shares.shape[-1])
            explained = targets[start : start + BATCH]
        kept = shares[:, np.arange(len(some)), explained]
        falls.append(kept[0] - kept[1:])
    of_hottest, of_random = np.concatenate(falls, axis=1)
    interval = bootstrap_interval(of_hottest - of_random, groups=groups, seed=seed)
    return Deletion(len(photos), float(of_hottest.mean()), float(of_random.mean()), interval)


def _without(photo: NDArray[np.uint8], cells: NDArray[np.int64], grid: tuple[int, ...]) -> NDArray[np.uint8]:
    """A photo with some cells of a grid, counted row by row, in its mean colour."""
    chosen = np.zeros(grid, bool)
    chosen.flat[cells] = True
    rows, columns = (np.arange(side) * count // side for side, count in zip(photo.shape[:2], grid, strict=True))
    mean = np.rint(photo.mean(axis=(0, 1))).astype(np.uint8)
    return np.where(chosen[np.ix_(rows, columns)][..., None], mean, photo)


def _require_targets(targets: NDArray[np.int64], photos: int, labels: int) -> None:
    if targets.shape != (photos,):
        raise ValueError(f"targets must have the shape ({photos},), one for each photo, not {targets.shape}.")
    if photos and not (targets.min() >= 0 and targets.max() < labels):
        raise ValueError(f"targets must lie in 0..{labels - 1}, not {targets.min()}..{targets.max()}.")
