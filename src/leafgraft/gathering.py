"""What a run is asked for, and the photos that it gets: scanned, and split to train, validate and test on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leafgraft.engine.checkpoint import EVERY
from leafgraft.errors import UserError
from leafgraft.photos import Photo, scan
from leafgraft.photos.dataset import Dataset
from leafgraft.photos.split import split
from leafgraft.progress import Progress
from leafgraft.recipes import Recipe, Views

if TYPE_CHECKING:
    from leafgraft.classifier import PlantClassifierTransferLearning
    from leafgraft.engine.machines import Machines

SIDES = ("train", "val", "test")
"""The sides of a split."""


@dataclass(frozen=True)
class Settings:
    """What a run is asked for.

    Attributes:
        recipe: how to train.
        classes: the species to learn; None for all that there are.
        val_fraction: share of each species that is looked at after each epoch, 0-1.
        test_fraction: share of each species that is looked at only at the end, 0-1.
        seed: of the split and the training.
        weights: a file with ImageNet weights; None for the cache or a download.
        bank: the folder of all banks; None for the user's cache.
        bank_gb: what all banks may take of the disk, in GB; None for half of what is free.
        engine: what computes the frozen layers; see `leafgraft.engine.prefix.choose`.
        views: random views kept of each photo, or "fresh"; None for what suits the number of photos.
        deterministic: whether two runs on one machine must agree to the last digit.
        check: whether copies and bursts are looked for first, and kept on one side of the split.
        group_by: what photos belong together by; see `leafgraft.photos.scan`.
        folds: of a cross-validation that judges the recipe instead of photos held out; 0 for none.
        track: "tensorboard" or "mlflow" (see `leafgraft.track`), or None.
        checkpoint_every: seconds between two checkpoints of the training.
        follow_links: whether links that leave the folder of photos are followed; see `leafgraft.photos.scan`.
        cluster: the address of a Ray cluster to compute on; None for this machine.
        gpus_per_worker: how many GPUs, or what share of one, each worker of the cluster has.
    """

    recipe: Recipe
    classes: Sequence[str] | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
    weights: Path | None = None
    bank: Path | None = None
    bank_gb: float | None = None
    engine: str = "auto"
    views: Views | None = None
    deterministic: bool = False
    check: bool = True
    group_by: str | None = None
    folds: int = 0
    track: str | None = None
    checkpoint_every: float = EVERY
    follow_links: bool = False
    cluster: str | None = None
    gpus_per_worker: float = 0.0

    def classifier(
        self, classes: Sequence[str], weights: Path, machines: Machines | None = None
    ) -> PlantClassifierTransferLearning:
        """A new classifier for some species, from a file with ImageNet weights."""
        from leafgraft.classifier import PlantClassifierTransferLearning

        return PlantClassifierTransferLearning(
            len(classes), weights=weights, class_names=classes, seed=self.seed, bank=self.bank, bank_gb=self.bank_gb,
            engine=self.engine, machines=machines,
        )  # fmt: skip


@dataclass(frozen=True)
class Gathered:
    """Photos that are ready for training.

    Attributes:
        photos: every file that was seen.
        classes: the species, sorted.
        train: to train on.
        val: to look at after each epoch; None if there are none.
        test: to look at only at the end; None if there are none.
    """

    photos: list[Photo]
    classes: tuple[str, ...]
    train: Dataset
    val: Dataset | None
    test: Dataset | None

    def side(self, name: str) -> list[Photo]:
        """The photos of "train", "val" or "test"."""
        return [photo for photo in self.photos if photo.split == name]


def scanning(source: Path, settings: Settings) -> Callable[..., list[Photo]]:
    """`leafgraft.photos.scan` of a folder or CSV, with all that the settings say of it."""
    return partial(
        scan,
        source,
        classes=settings.classes,
        group_by=settings.group_by,
        follow_links=settings.follow_links,
    )


def scanned(source: Path, settings: Settings, progress: Progress | None = None) -> list[Photo]:
    """List the photos of a folder or CSV.

    Raises:
        UserError: it cannot be learned from; the sentence says why.
    """
    told = None if progress is None else partial(progress, "Reading the photos")
    return scanning(source, settings)(progress=told)


def divided(photos: Sequence[Photo], source: Path, settings: Settings) -> Gathered:
    """Split photos; with a cross-validation none is held out for the test.

    Raises:
        UserError: there is nothing to train on, or a species has too few photos; the sentence says which.
    """
    test = 0.0 if settings.folds else settings.test_fraction
    parts = split(photos, val=settings.val_fraction, test=test, seed=settings.seed)
    classes = tuple(sorted({photo.label for photo in parts if not photo.problem}))
    sides = [[photo for photo in parts if photo.split == name] for name in SIDES]
    train, val, held = (Dataset.of_photos(side, classes) if side else None for side in sides)
    if train is None:
        raise UserError(f"{source} leaves no photo to train on; mark some as train, or lower the fractions.")
    return Gathered(parts, classes, train, val, held)


def gather(source: Path, settings: Settings, progress: Progress | None = None) -> Gathered:
    """Scan and split a folder or CSV of photos, without a look at what they show.

    Raises:
        UserError: there is nothing to train on; the sentence says why.
    """
    return divided(scanned(source, settings, progress), source, settings)


def described(found: Gathered) -> str:
    """How many photos of how many species there are, and how many were left out."""
    counts = Counter(photo.split for photo in found.photos if not photo.problem)
    sides = ", ".join(
        f"{counts[name]} {purpose}"
        for name, purpose in (("train", "to train on"), ("val", "to validate"), ("test", "held out for the test"))
        if counts[name]
    )
    text = f"{counts.total()} photos of {len(found.classes)} species: {sides}."
    troubled = [photo for photo in found.photos if photo.problem]
    if troubled:
        first = troubled[0]
        text += (
            f" {len(troubled)} left out, each with its reason in manifest.csv; "
            f"the first is {first.path.name}: {first.problem}."
        )
    return text


def planned(found: Gathered) -> dict[str, Any]:
    """Which photos go where, as JSON: "photos" of each side, "species" with theirs, and what is "left_out" and why."""
    counts = Counter((photo.label, photo.split) for photo in found.photos if not photo.problem)
    species = {name: {side: counts[name, side] for side in SIDES} for name in found.classes}
    return {
        "photos": {side: sum(of_species[side] for of_species in species.values()) for side in SIDES},
        "species": species,
        "left_out": [{"path": str(photo.path), "problem": photo.problem} for photo in found.photos if photo.problem],
    }
