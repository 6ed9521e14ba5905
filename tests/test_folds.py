"""Cross-validation: who judges whom, and what comes of it."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import SPECIES
from leafgraft import PlantClassifierTransferLearning
from leafgraft.engine.checkpoint import Checkpoint
from leafgraft.errors import UserError
from leafgraft.folds import Folds, _folds, cross_validated
from leafgraft.gathering import Gathered, Settings, gather
from leafgraft.photos.dataset import Dataset
from leafgraft.progress import NOBODY, Watch
from leafgraft.recipes import QUICK
from leafgraft.verdict.metrics import score


@pytest.fixture(scope="module")
def asked(settings: Settings) -> Settings:
    """Two folds of a probe, without validation."""
    return dataclasses.replace(settings, recipe=QUICK, folds=2, val_fraction=0.0)


@pytest.fixture(scope="module")
def found(garden: Path, settings: Settings) -> Gathered:
    """The photos of three species, split as for a training, each two of one plant."""
    whole = gather(garden, settings)
    seen: Counter[str] = Counter()
    photos = []
    for photo in whole.photos:
        if photo.split != "test":
            photos.append(dataclasses.replace(photo, group=f"{photo.label} {seen[photo.label] // 2}"))
            seen[photo.label] += 1
        else:
            photos.append(photo)
    return dataclasses.replace(whole, photos=photos)


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the cross-validation says on the way."""
    return []


@pytest.fixture(scope="module")
def folds(found: Gathered, asked: Settings, weights: Path, said: list[str]) -> Folds:
    return cross_validated(found, asked, weights, Watch(say=said.append))


def test_an_interrupted_one_goes_on_with_the_next_fold(
    folds: Folds, found: Gathered, asked: Settings, weights: Path, tmp_path: Path
) -> None:
    said: list[str] = []

    def judged(most: int) -> Folds:
        checkpoint = Checkpoint(tmp_path, "mine", ending=lambda: len(said) >= most)
        return cross_validated(found, asked, weights, Watch(say=said.append), checkpoint)

    with pytest.raises(KeyboardInterrupt):
        judged(1)
    again = judged(3)
    assert [line.partition(":")[0] for line in said] == ["fold 1 of 2", "fold 2 of 2"]
    assert again.photos == folds.photos
    np.testing.assert_allclose(again.probabilities, folds.probabilities, atol=1e-6)
    assert [row["accuracy"] for row in again.rows] == [row["accuracy"] for row in folds.rows]


def test_every_photo_is_judged_by_one_fold_and_those_of_the_test_by_none(folds: Folds, found: Gathered) -> None:
    expected = [photo for photo in found.photos if photo.split in ("train", "val")]
    assert [photo.path for photo in folds.photos] == [photo.path for photo in expected] == list(folds.data.source)
    assert Counter(photo.split for photo in folds.photos) == {
        f"fold {row['fold']}": row["photos"] for row in folds.rows
    }
    assert sum(row["photos"] for row in folds.rows) == len(expected) == 18
    assert folds.probabilities.shape == (18, 3)
    np.testing.assert_allclose(folds.probabilities.sum(axis=1), 1, atol=1e-5)


def test_photos_of_one_plant_are_judged_together_and_every_species_in_every_fold(folds: Folds) -> None:
    sides = defaultdict(set)
    for photo in folds.photos:
        sides[photo.group].add(photo.split)
    assert len(sides) == 9
    assert {len(splits) for splits in sides.values()} == {1}
    assert len({(photo.label, photo.split) for photo in folds.photos}) == 6


def test_each_fold_is_judged_by_a_classifier_of_the_others(
    folds: Folds, asked: Settings, weights: Path, bank: Path
) -> None:
    outside = np.array([photo.split == "fold 2" for photo in folds.photos])
    classifier = PlantClassifierTransferLearning(3, weights=weights, class_names=SPECIES, bank=bank)
    classifier.fit(folds.data.subset(np.flatnonzero(~outside)), recipe=QUICK, verbose=0)
    shares = classifier.judge(folds.data.subset(np.flatnonzero(outside)))
    np.testing.assert_allclose(folds.probabilities[outside], shares, atol=1e-4)
    itself = classifier.judge(folds.data.subset(np.flatnonzero(~outside)))
    assert np.abs(folds.probabilities[~outside] - itself).max() > 0.01  # which it would be more certain of


def test_the_figures_are_those_of_the_answers(folds: Folds, said: list[str]) -> None:
    for row in folds.rows:
        inside = np.array([photo.split == f"fold {row['fold']}" for photo in folds.photos])
        right = folds.probabilities.argmax(axis=1)[inside] == folds.data.labels[inside]
        assert row["accuracy"] == pytest.approx(right.mean())
        assert row["n"] == row["photos"] == inside.sum()
    figures = folds.as_dict()
    assert figures["accuracy"] == [row["accuracy"] for row in folds.rows]
    assert figures["mean"] == mean(figures["accuracy"])
    assert figures["spread"] == stdev(figures["accuracy"])
    assert figures["pooled"] == score(folds.data.labels, folds.probabilities, groups=folds.data.groups)
    assert said == [
        f"fold {row['fold']} of 2: {100 * row['accuracy']:.1f} % of {row['photos']} photos" for row in folds.rows
    ]


@pytest.mark.parametrize(
    ("count", "val_fraction", "sentence"),
    [
        (4, 0.0, "has 3 groups of photos, too few for 4 folds; take fewer folds, or leave the species out."),
        (
            2,
            0.15,
            "has 3 groups of photos, too few to train and validate on outside of each of 2 folds; add photos, "
            "or leave the validation out with --val-fraction 0.",
        ),
    ],
)
def test_too_few_groups_are_said_before_anything_is_trained(
    found: Gathered, asked: Settings, weights: Path, count: int, val_fraction: float, sentence: str
) -> None:
    changed = dataclasses.replace(asked, folds=count, val_fraction=val_fraction)
    with pytest.raises(UserError) as refusal:
        cross_validated(found, changed, weights, NOBODY)
    name, _, rest = str(refusal.value).partition(" ")
    assert name in SPECIES
    assert rest == sentence


def plants(groups: list[tuple[int, str]]) -> Dataset:
    """Photos that are never looked at, by label and group."""
    labels = np.array([label for label, _ in groups], np.int64)
    classes = tuple(f"species {label}" for label in range(labels.max() + 1))
    keys = tuple(f"{i:064d}" for i in range(len(groups)))
    return Dataset(classes, labels, keys, tuple(group for _, group in groups), [Path(key) for key in keys])


def test_species_that_share_all_their_groups_are_said_not_to_be_trained_on() -> None:
    shared = plants([(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "c"), (2, "c"), (2, "a")])
    for count in (2, 3):
        with pytest.raises(UserError, match=r"too few (for 3 folds|to train and validate on outside)"):
            _folds(shared, count, 0, validated=True)


sizes = st.lists(st.lists(st.integers(1, 6), min_size=4, max_size=8), min_size=2, max_size=4)


@settings(deadline=None)
@given(sizes, st.integers(2, 4), st.integers(0, 9))
def test_folds_part_the_photos_and_leave_each_species_something_to_learn_from(
    counts: list[list[int]], count: int, seed: int
) -> None:
    data = plants(
        [
            (label, f"{label} {i}")
            for label, parts in enumerate(counts)
            for i, size in enumerate(parts)
            for _ in range(size)
        ]
    )
    found = _folds(data, count, seed, validated=False)
    assert len(found) == count
    np.testing.assert_array_equal(np.sort(np.concatenate([outside for _, outside in found])), np.arange(len(data)))
    groups = np.array(data.groups)
    for inside, outside in found:
        assert not set(groups[inside]) & set(groups[outside])
        assert set(data.labels[inside]) == set(data.labels[outside]) == set(range(len(counts)))
