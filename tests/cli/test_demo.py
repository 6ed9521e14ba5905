from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import Said
from leafgraft.cli import demo


@pytest.mark.slow
def test_all_of_it_and_again(
    leafgraft: Callable[..., Said], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(demo.SETTINGS.recipe, epochs_fine=1, budget=None)  # a slow machine is no failure
    monkeypatch.setattr(demo, "SETTINGS", dataclasses.replace(demo.SETTINGS, recipe=short))
    monkeypatch.setattr(demo, "PER_SPECIES", 3)  # one to train on, one to validate, one for the test
    command = ("demo", "-o", tmp_path / "demo", "--weights", weights, "--json")
    said = leafgraft(*command)
    assert said.status == 0, said.err
    assert "epoch 1, probe of the features" in said.err
    assert "fine-tuning" in said.err
    assert "from scratch: loss" in said.err
    assert said.out.count("\n") == 1
    content = json.loads(said.out)
    folder = tmp_path / "demo" / "run"
    assert content["run"] == str(folder)
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert content["comparison"] == comparison
    assert comparison["n"] == content["test"]["n"] == 10
    assert comparison["equal"].startswith("equal wall-clock time")
    assert comparison["scratch"]["seconds"][-1] >= comparison["transfer"]["seconds"][-1]
    assert content["sample"]["truth"] == "bamboo"
    assert 0 < content["sample"]["probability"] <= 1
    for picture in (folder / "comparison.png", folder / "curves.png", tmp_path / "demo" / "sample.png"):
        with Image.open(picture) as image:
            image.load()
    before = (folder / "run.json").read_bytes()
    again = leafgraft(*command)
    assert again.status == 0
    assert "holds this very training already" in again.err
    assert json.loads(again.out) == content
    assert (folder / "run.json").read_bytes() == before
    text = leafgraft(*command[:-1]).out.splitlines()
    assert text[0].startswith("A bamboo it has not seen: ")
    assert text[-2] == comparison["sentence"]
    assert text[-1].startswith("Accuracy ")


def test_a_folder_of_ones_own_is_left_alone(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "demo" / "garden").mkdir(parents=True)
    (tmp_path / "demo" / "garden" / "letter.txt").write_text("dear", encoding="utf-8")
    assert "something other than a garden" in refused("demo", "-o", tmp_path / "demo")
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} may not be read or written (File exists)" in refused("demo", "-o", tmp_path / "file")


def test_a_run_of_ones_own_is_left_alone(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"photos": "photos", "garden": false}', encoding="utf-8")
    assert "run is not from an earlier demo; choose another folder" in refused("demo", "-o", tmp_path)
    assert (tmp_path / "run" / "run.json").exists()
