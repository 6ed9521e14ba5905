"""Which photos a file is checked and calibrated on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from leafgraft import run
from leafgraft.bundle import Bundle
from leafgraft.errors import UserError
from leafgraft.export.pictures import drawn_crop, held_out, readable, to_calibrate, to_verify
from leafgraft.photos import centre, load_canvas
from leafgraft.verdict.unknown import Known
from photos_broken import write_broken


@pytest.fixture
def alone(trained_run: Path, tmp_path: Path) -> Path:
    """A bundle without its run; its large files are links to those of the run."""
    shutil.copytree(trained_run / "model", tmp_path / "alone", copy_function=os.link)
    return tmp_path / "alone"


def test_held_out_photos_come_first_and_drawn_ones_last(trained: run.Trained, trained_run: Path) -> None:
    found = to_verify(Bundle(trained_run), None)
    test, val, train = trained.found.test, trained.found.val, trained.found.train
    assert test is not None
    assert val is not None
    assert found.crops.shape == (64, 224, 224, 3)
    assert found.crops.dtype == np.uint8
    assert found.kinds == {
        "held out": len(test),
        "validation": len(val),
        "learned from": len(train),
        "drawn": 64 - len(test) - len(val) - len(train),
    }
    assert sorted(found.labels[found.labels >= 0]) == sorted(test.labels)
    assert (found.labels[len(test) :] == -1).all()
    expected = {centre(test.canvas(i)).tobytes(): int(test.labels[i]) for i in range(len(test))}
    for crop, label in zip(found.crops[: len(test)], found.labels, strict=False):
        assert expected[crop.tobytes()] == label


def test_a_bundle_alone_is_checked_on_what_it_has_learned_from(alone: Path, garden: Path) -> None:
    opened = Bundle(alone)
    assert held_out(opened) == ([], [])
    assert list(to_verify(opened, None).kinds) == ["learned from", "drawn"]
    assert to_verify(opened, garden).kinds == {"named": 64}


def test_int8_is_calibrated_on_what_was_learned_from_unless_others_are_named(
    trained_run: Path, garden: Path, alone: Path, tmp_path: Path
) -> None:
    opened = Bundle(trained_run)
    known = {centre(load_canvas(Path(path))).tobytes() for path in opened.known.paths}
    assert {crop.tobytes() for crop in to_calibrate(opened, None)} == known
    assert len(to_calibrate(opened, garden)) == 80
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"No photo in .*empty can be read; name a folder"):
        to_calibrate(opened, tmp_path / "empty")
    with pytest.raises(UserError, match=r"none is no folder; name"):
        to_verify(opened, tmp_path / "none")


def test_photos_that_are_gone_are_said(alone: Path) -> None:
    opened = Bundle(alone)
    opened.known = Known(opened.known.features, opened.known.labels, ("/gone.jpg",) * len(opened.known.labels))
    assert to_verify(opened, None).kinds == {"drawn": 64}
    with pytest.raises(UserError, match=r"none that .*alone has learned from is there any more; name others with --p"):
        to_calibrate(opened, None)


def test_broken_files_are_passed_over(garden: Path, tmp_path: Path) -> None:
    photo = sorted((garden / "fern").iterdir())[0]
    broken = write_broken(tmp_path / "photos", photo)
    assert broken
    found = [(tmp_path / "none.jpg", 0), (broken["empty.jpg"], 1), (photo, 2)]
    [(crop, label)] = readable(found, 5)
    assert label == 2
    np.testing.assert_array_equal(crop, centre(load_canvas(photo)))
    assert list(readable(found, 0)) == []


def test_drawn_photos_differ_and_stay_the_same() -> None:
    assert len({drawn_crop(number).tobytes() for number in range(12)}) == 12
    np.testing.assert_array_equal(drawn_crop(11), drawn_crop(11))
