from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import SPECIES, Said
from leafgraft import run
from leafgraft.photos import read_manifest, write_manifest


@pytest.fixture
def test_photos(trained_run: Path, tmp_path: Path) -> Path:
    """The photos that the run held out for its test, and one that is broken."""
    with (trained_run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        lines = [(row["path"], row["label"]) for row in csv.DictReader(file) if row["split"] == "test"]
    (tmp_path / "broken.jpg").touch()
    with (tmp_path / "test.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *lines, ("broken.jpg", "fern")])
    return tmp_path / "test.csv"


def test_it_finds_the_figures_of_the_run(
    leafgraft: Callable[..., Said], trained_run: Path, trained: run.Trained, test_photos: Path
) -> None:
    said = leafgraft("evaluate", trained_run, test_photos, "--json")
    assert said.status == 0
    assert said.err.splitlines() == [f"left out: {test_photos.parent / 'broken.jpg'}: empty file"]
    assert said.out.count("\n") == 1
    figures = json.loads(said.out)
    for name, value in trained.metrics["test"].items():
        assert figures[name] == pytest.approx(value, abs=1e-5), name
    assert figures["left_out"] == {"unreadable": 1, "trained_on": 0}
    assert sum(count for *_, count in figures["most_confused"]) == round((1 - figures["accuracy"]) * 6)


def test_it_is_told_in_a_sentence(
    leafgraft: Callable[..., Said], trained_run: Path, trained: run.Trained, test_photos: Path
) -> None:
    first, second, *_ = leafgraft("evaluate", trained_run / "model", test_photos).out.splitlines()
    assert first.startswith(f"Accuracy {100 * trained.metrics['test']['accuracy']:.1f} % (95 % interval ")
    assert first.endswith(" on 6 photos.")
    assert second == "Macro F1 {macro_f1:.3f}, right among the first three 100.0 %.".format(**trained.metrics["test"])


def test_species_that_it_has_not_learned(
    refused: Callable[..., str], trained_run: Path, garden: Path, tmp_path: Path
) -> None:
    sentence = refused("evaluate", trained_run, garden)
    assert "shows bamboo, dahlia, lavender, maple, oak and more, which" in sentence
    assert f"it knows {', '.join(SPECIES)}." in sentence
    assert "There is no folder or CSV" in refused("evaluate", trained_run, tmp_path / "none")


def test_what_it_was_trained_on_does_not_count(
    leafgraft: Callable[..., Said], refused: Callable[..., str], trained_run: Path, garden: Path, tmp_path: Path
) -> None:
    split = json.loads(leafgraft("evaluate", trained_run, trained_run / "manifest.csv", "--json").out)
    assert (split["n"], split["left_out"]["trained_on"]) == (6, 18)
    for species in ("cactus", "fern"):
        shutil.copytree(garden / species, tmp_path / "photos" / species)
    whole = json.loads(leafgraft("evaluate", trained_run, tmp_path / "photos", "--json").out)
    assert (whole["n"], whole["left_out"]["trained_on"]) == (8, 8)
    rows = read_manifest(trained_run / "manifest.csv")
    write_manifest(tmp_path / "again.csv", [replace(row, split="") for row in rows if row.split == "train"])
    assert "was trained on all photos in" in refused("evaluate", trained_run, tmp_path / "again.csv")
