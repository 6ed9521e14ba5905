from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leafgraft.errors import UserError
from leafgraft.photos.photo import Photo
from leafgraft.photos.split import split


def photos(counts: dict[str, int], side: str = "") -> list[Photo]:
    return [
        Photo(Path(label, f"{i}.jpg"), label, side, sha256=f"{label}-{i}", group=f"{label}-{i}")
        for label, count in counts.items()
        for i in range(count)
    ]


def sides(result: list[Photo], label: str) -> Counter[str]:
    return Counter(photo.split for photo in result if photo.label == label)


counts = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(3, 60), min_size=1)
fractions = st.floats(0.0, 0.45)
seeds = st.integers(0, 1000)


@settings(deadline=None)
@given(counts=counts, val=fractions, test=fractions, seed=seeds)
def test_each_species_is_divided_in_proportion(counts: dict[str, int], val: float, test: float, seed: int) -> None:
    before = photos(counts)
    after = split(before, val=val, test=test, seed=seed)
    assert [replace(photo, split="") for photo in after] == before
    for label, count in counts.items():
        got = sides(after, label)
        assert got["train"] >= 1
        assert got["train"] + got["val"] + got["test"] == count
        for side, share in (("val", val), ("test", test)):
            assert (got[side] > 0) == (share > 0)
            assert abs(got[side] - max(share * count, share > 0)) <= 1


@settings(deadline=None)
@given(counts=counts, seed=seeds, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(counts: dict[str, int], seed: int, shuffle: random.Random) -> None:
    before = photos(counts)
    mixed = before.copy()
    shuffle.shuffle(mixed)
    assert set(split(before, seed=seed)) == set(split(mixed, seed=seed))


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=120),
    across=st.booleans(),
    seed=seeds,
)
def test_groups_are_never_torn_apart(rows: list[tuple[str, int]], across: bool, seed: int) -> None:
    """Within one species, and also when a group (a visit, a plot) holds several."""
    before = [
        Photo(Path(f"{i}.jpg"), label, sha256=str(i), group=f"visit {group}" if across else f"{label} {group}")
        for i, (label, group) in enumerate(rows)
    ]
    try:
        after = split(before, val=0.2, test=0.2, seed=seed)
    except UserError as error:
        groups = {label: {group for other, group in rows if other == label} for label, _ in rows}
        too_few = any(len(names) < 3 for names in groups.values())
        assert too_few or across, error  # noqa: PT017 - across species there may be no draw though each has enough
        return
    assert len({(photo.group, photo.split) for photo in after}) == len({photo.group for photo in after})
    for label in {photo.label for photo in after}:
        got = sides(after, label)
        assert set(got) == {"train", "val", "test"}
        if not across:
            largest = max(Counter(photo.group for photo in before if photo.label == label).values())
            for side in ("val", "test"):
                assert abs(got[side] - max(1, 0.2 * got.total())) <= largest


def test_seeds_differ_and_one_seed_does_not() -> None:
    before = photos({"rose": 40, "tulip": 40})
    assert split(before, seed=1) == split(before, seed=1)
    assert len({tuple(split(before, seed=seed)) for seed in range(10)}) == 10


def test_photos_added_later_leave_most_of_the_others_where_they_are() -> None:
    few, more = photos({"rose": 100}), photos({"rose": 110})
    before, after = split(few), split(more)[:100]
    assert sum(one.split != other.split for one, other in zip(before, after, strict=True)) < 15


def test_photos_with_a_problem_are_on_no_side() -> None:
    spoilt = [replace(photo, problem="empty file", split="train") for photo in photos({"tulip": 5})]
    after = split([*photos({"rose": 10}), *spoilt])
    assert sides(after, "tulip") == {"": 5}
    assert sides(after, "rose") == {"train": 6, "val": 2, "test": 2}


def test_a_given_split_is_kept() -> None:
    given = [
        replace(photo, split=side, sha256=f"{side}{i}", group=f"{side}{i}")
        for side, count in (("train", 6), ("val", 2), ("test", 3))
        for i, photo in enumerate(photos({"rose": count}))
    ]
    assert split(given, val=0.4, test=0.1) == given


def test_validation_is_taken_from_train_when_only_test_is_given() -> None:
    train = photos({"rose": 20, "tulip": 10}, side="train")
    test = [
        replace(photo, split="test", sha256="t" + photo.sha256, group="t" + photo.group)
        for photo in photos({"rose": 4, "tulip": 4})
    ]
    after = split([*train, *test], val=0.2)
    assert sides(after, "rose") == {"train": 16, "val": 4, "test": 4}
    assert sides(after, "tulip") == {"train": 8, "val": 2, "test": 4}
    assert after[-8:] == test


def test_both_are_taken_from_train_when_only_that_is_given() -> None:
    assert sides(split(photos({"rose": 20}, side="train")), "rose") == {"train": 14, "val": 3, "test": 3}


def test_photos_without_a_side_are_drawn_before_those_given_to_train() -> None:
    given = photos({"rose": 10}, side="train")
    free = [
        replace(photo, split="", sha256="free" + photo.sha256, group="free" + photo.group)
        for photo in photos({"rose": 10})
    ]
    after = split([*given, *free])
    assert all(photo.split == "train" for photo in after[:10])
    assert sides(after, "rose") == {"train": 14, "val": 3, "test": 3}


def test_a_copy_of_a_given_test_photo_goes_to_test_as_well() -> None:
    before = photos({"rose": 10})
    before[0] = replace(before[0], split="test")
    copy = replace(before[0], path=Path("rose/copy.jpg"), split="")
    assert split([*before, copy])[-1].split == "test"


def test_no_fraction_no_side() -> None:
    assert sides(split(photos({"rose": 2}), val=0, test=0), "rose") == {"train": 2}
    assert sides(split(photos({"rose": 2}), val=0), "rose") == {"train": 1, "test": 1}


def test_too_few_photos_are_counted_species_by_species() -> None:
    with pytest.raises(UserError, match=r"train, val, test: rose \(1 photo\), tulip \(2 photos\); .*--val-fraction 0"):
        split(photos({"rose": 1, "tulip": 2, "lily": 3}))
    copies = [replace(photo, group="the same") for photo in photos({"rose": 9})]
    with pytest.raises(UserError, match=r"rose \(9 photos in 1 group\); .*--test-fraction 0"):
        split(copies, val=0)
    halves = [replace(photo, group=f"half {i % 2}") for i, photo in enumerate(photos({"rose": 9}))]
    with pytest.raises(UserError, match=r": rose \(9 photos in 2 groups\); "):
        split(halves)


@pytest.mark.parametrize(("species", "more"), [(10, ""), (11, " and 1 more species"), (40, " and 30 more species")])
def test_only_ten_of_many_species_with_too_few_photos_are_named(species: int, more: str) -> None:
    names = [f"kind {i:02}" for i in range(species)]
    with pytest.raises(UserError) as refused:
        split(photos(dict.fromkeys(names, 1)))
    assert f"kind 08 (1 photo), kind 09 (1 photo){more}; add photos" in str(refused.value)
    assert "kind 10" not in str(refused.value)


def test_a_side_of_a_small_species_is_one_photo() -> None:
    assert sides(split(photos({"rose": 12}), val=0.05, test=0.01), "rose") == {"train": 10, "val": 1, "test": 1}


def test_without_fractions_a_seventh_or_so_is_held_out_on_each_side() -> None:
    assert sides(split(photos({"rose": 100})), "rose") == {"train": 70, "val": 15, "test": 15}
    assert split(photos({"rose": 100})) == split(photos({"rose": 100}), seed=0)


def test_groups_that_reach_over_too_many_species_are_named() -> None:
    """Each of three groups holds two of three species: the one that is tested on leaves no second for the third."""
    groups = {"1": "ab", "2": "ac", "3": "bc"}
    before = [Photo(Path(f"{n}{x}.jpg"), x, sha256=f"{n}{x}", group=n) for n, pair in groups.items() for x in pair]
    with pytest.raises(
        UserError, match=r"The groups of [abc] reach over .* none is left for test: .*--test-fraction 0"
    ):
        split(before, val=0, test=0.5)


def test_photos_of_unknown_content_and_group_are_each_their_own() -> None:
    before = [Photo(Path(f"{i}.jpg"), "rose") for i in range(10)]
    assert sides(split(before), "rose") == {"train": 6, "val": 2, "test": 2}


def test_a_species_that_is_only_tested_cannot_be_learned() -> None:
    with pytest.raises(UserError, match=r"tulip has photos .* none to train on"):
        split([*photos({"rose": 5}), *photos({"tulip": 3}, side="test")], val=0)


@pytest.mark.parametrize(
    ("val", "test"), [(-0.1, 0.2), (0.2, -0.1), (0.5, 0.5), (0.8, 0.8), (1.0, 0.0), (float("nan"), 0.1)]
)
def test_impossible_fractions_are_refused(val: float, test: float) -> None:
    with pytest.raises(UserError, match="fractions"):
        split(photos({"rose": 10}), val=val, test=test)


def test_copies_of_what_is_tested_on_are_not_trained_on() -> None:
    photos = [Photo(Path(f"{name}.jpg"), "rose", "train", sha256=name, group=name) for name in "abc"]
    photos += [Photo(Path(f"{name}.jpg"), "iris", "train", sha256=name, group=name) for name in "def"]
    photos += [
        Photo(Path("copy.jpg"), "rose", "test", sha256="a", group="a"),
        Photo(Path("x.jpg"), "iris", "test", "x"),
    ]
    result = {photo.path.name: photo for photo in split(photos, val=0, test=0.2)}
    assert result["a.jpg"].split == ""
    assert result["a.jpg"].problem == "same bytes as copy.jpg, in test"
    assert result["copy.jpg"].split == "test"
    assert result["b.jpg"].split == "train"
