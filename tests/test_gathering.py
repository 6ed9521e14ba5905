from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path

import pytest

from conftest import SHORT
from leafgraft import run
from leafgraft.errors import UserError
from leafgraft.gathering import Settings, described, divided, gather, scanned
from leafgraft.photos.garden import draw
from leafgraft.records import record_of


def test_what_is_said_on_the_way(trained: run.Trained) -> None:
    assert described(trained.found) == (
        "24 photos of 3 species: 12 to train on, 6 to validate, 6 held out for the test."
    )


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two species of three small photos each."""
    for species in ("fern", "oak"):
        (tmp_path / "few" / species).mkdir(parents=True)
        for seed in range(3):
            draw(species, seed, (64, 64)).save(tmp_path / "few" / species / f"{seed}.jpg")
    return tmp_path / "few"


def test_each_side_gets_what_the_fractions_say(few: Path) -> None:
    found = gather(few, Settings(SHORT))
    assert found.classes == ("fern", "oak")
    assert found.val is not None
    assert found.test is not None
    assert [len(found.train), len(found.val), len(found.test)] == [2, 2, 2]
    assert [photo.sha256 for photo in found.side("val")] == list(found.val.keys)
    alone = gather(few, Settings(SHORT, val_fraction=0.0, test_fraction=0.0))
    assert (len(alone.train), alone.val, alone.test) == (6, None, None)


def test_progress_and_what_was_left_out_are_told(few: Path) -> None:
    (few / "oak" / "bad.jpg").write_bytes(b"")
    told: list[tuple[str, int, int]] = []
    found = gather(few, Settings(SHORT), lambda *step: told.append(step))
    assert told[-1] == ("Reading the photos", 7, 7)
    assert described(found).endswith(
        " 1 left out, each with its reason in manifest.csv; the first is bad.jpg: empty file."
    )


@pytest.mark.parametrize(
    ("val", "test", "message"),
    [
        (1.5, 0.1, "val=1.5 and test=0.1"),
        (-0.1, 0.1, "val=-0.1"),
        (0.5, 0.5, "below 1 together"),
        (float("nan"), 0.1, "val=nan"),
    ],
)
def test_fractions_out_of_range_are_refused(few: Path, val: float, test: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        gather(few, Settings(SHORT, val_fraction=val, test_fraction=test))


def test_one_photo_a_species_is_too_few(few: Path) -> None:
    for path in few.rglob("[12].jpg"):
        path.unlink()
    with pytest.raises(UserError, match=r"Too few photos .* fern \(1 photo\), oak \(1 photo\); add photos"):
        gather(few, Settings(SHORT))


def test_a_data_set_without_a_training_side_is_refused(few: Path, tmp_path: Path) -> None:
    shutil.move(few, tmp_path / "split" / "test")
    with pytest.raises(UserError, match="none to train on"):
        gather(tmp_path / "split", Settings(SHORT))


def test_a_cross_validation_holds_nothing_out(few: Path) -> None:
    found = gather(few, Settings(SHORT, folds=2))
    assert found.test is None
    assert found.side("test") == []
    assert {photo.split for photo in found.photos} == {"train", "val"}


def test_a_test_side_that_the_data_set_brings_stays_out_of_the_folds(few: Path, tmp_path: Path) -> None:
    shutil.copytree(few, tmp_path / "split" / "train")
    for path in (tmp_path / "split" / "train").rglob("0.jpg"):
        (tmp_path / "split" / "test" / path.parent.name).mkdir(parents=True)
        path.rename(tmp_path / "split" / "test" / path.parent.name / "0.jpg")
    found = gather(tmp_path / "split", Settings(SHORT, folds=2))
    assert found.test is not None
    assert len(found.test) == 2


def test_what_belongs_together_lies_on_one_side(few: Path) -> None:
    for path in few.rglob("[12].jpg"):
        path.rename(path.with_name(f"plant7_{path.name}"))
    settings = Settings(SHORT, group_by=r"\w+/plant\d+", test_fraction=0.0)
    found = gather(few, settings)
    for species in ("fern", "oak"):
        together = [photo for photo in found.photos if photo.group == f"{species}/plant7"]
        assert len(together) == 2
        assert len({photo.split for photo in together}) == 1
    with pytest.raises(UserError, match=r"fern \(3 photos in 2 groups\)"):
        gather(few, dataclasses.replace(settings, test_fraction=0.15))


def test_photos_are_divided_anew_where_more_is_known_of_them(few: Path) -> None:
    settings = Settings(SHORT, test_fraction=0.0)
    photos = scanned(few, settings)
    names = {photo.path.name: f"together {photo.label}" for photo in photos if photo.path.name != "0.jpg"}
    grouped = [dataclasses.replace(photo, group=names.get(photo.path.name, photo.group)) for photo in photos]
    grouped = [dataclasses.replace(photo, group=f"{photo.label} {photo.group}") for photo in grouped]
    found = divided(grouped, few, settings)
    assert {len({photo.split for photo in found.photos if photo.group == group}) for group in
            {photo.group for photo in grouped}} == {1}  # fmt: skip


def test_only_the_wanted_species_are_gathered_in_the_order_of_their_names(garden: Path) -> None:
    found = gather(garden, Settings(SHORT, ["oak", "fern"]))
    assert found.classes == found.train.classes == ("fern", "oak")
    assert len(found.photos) == 16


def test_a_species_may_lack_photos_on_a_side(few: Path, tmp_path: Path) -> None:
    with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as file:
        lines = [(path, path.parent.name, "") for path in sorted(few.rglob("*.jpg"))]
        csv.writer(file).writerows([("path", "label", "split"), (*lines[0][:2], "test"), *lines[1:]])
    found = gather(tmp_path / "list.csv", Settings(SHORT, val_fraction=0.0))
    assert found.val is None
    assert found.test is not None
    assert found.test.labels.tolist() == [0]
    assert found.test.classes == ("fern", "oak")


def test_links_out_of_the_folder_are_followed_and_recorded_on_request(few: Path, tmp_path: Path) -> None:
    far = tmp_path / "far" / "maple"
    far.mkdir(parents=True)
    for seed in range(3):
        draw("maple", seed, (64, 64)).save(far / f"{seed}.jpg")
    (few / "maple").symlink_to(far)
    for follow, classes in ((False, ("fern", "oak")), (True, ("fern", "maple", "oak"))):
        settings = Settings(SHORT, follow_links=follow)
        found = gather(few, settings)
        assert found.classes == classes
        assert record_of(few, settings, found)["follow_links"] is follow
