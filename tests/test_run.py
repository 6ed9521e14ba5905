from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import SHORT, content, rows
from leafgraft import run
from leafgraft.errors import UserError
from leafgraft.photos import read_manifest, scan
from leafgraft.recipes import BEST


def test_a_run_leaves_these_files_and_no_others(trained_run: Path) -> None:
    assert {path.name for path in trained_run.iterdir()} == {
        "run.json",
        "manifest.csv",
        "history.csv",
        "metrics.json",
        "predictions.csv",
        "curves.png",
        "confusion.png",
        "report.html",
        "model",
    }
    for name in ("curves.png", "confusion.png"):
        with Image.open(trained_run / name) as picture:
            picture.load()
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 10


def test_the_manifest_is_a_data_set_with_the_same_split(trained_run: Path, trained: run.Trained) -> None:
    manifest = trained_run / "manifest.csv"
    assert manifest.read_text(encoding="utf-8").splitlines()[0] == "path,label,split,sha256,group,width,height,problem"
    assert read_manifest(manifest) == trained.found.photos
    assert scan(manifest) == trained.found.photos


def test_the_history_has_a_line_an_epoch_over_both_stages(trained_run: Path) -> None:
    path = trained_run / "history.csv"
    header = "stage,epoch,seconds,loss,accuracy,val_loss,val_accuracy,learning_rate"
    assert path.read_text(encoding="utf-8").splitlines()[0] == header
    lines = rows(path)
    assert [line["stage"] for line in lines] == ["frozen"] * 20 + ["fine"]
    assert [line["epoch"] for line in lines] == [str(epoch) for epoch in range(1, 22)]
    assert [float(line["learning_rate"]) for line in lines] == pytest.approx([1e-3] * 20 + [1e-5])
    for line in lines:
        assert float(line["seconds"]) > 0
        assert float(line["loss"]) > 0
        assert float(line["val_loss"]) > 0
        assert 0 <= float(line["accuracy"]) <= 1
        assert 0 <= float(line["val_accuracy"]) <= 1


def test_an_interrupted_run_can_be_read_and_says_so(garden: Path, settings: run.Settings, tmp_path: Path) -> None:
    def interrupt(row: dict[str, Any]) -> None:
        assert content(tmp_path / "run" / "run.json")["status"] == "running"
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    asked = dataclasses.replace(settings, val_fraction=0.0)
    with pytest.raises(KeyboardInterrupt):
        run.train(garden, tmp_path / "run", asked, run.Watch(epoch=interrupt))
    record = content(tmp_path / "run" / "run.json")
    assert (record["status"], record["reason"]) == ("interrupted", "")
    lines = rows(tmp_path / "run" / "history.csv")
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert [line["val_accuracy"] for line in lines] == ["", ""]  # there were no photos for it
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"run.json", "manifest.csv", "history.csv", "checkpoints"}


def test_the_audit_costs_no_pass_through_the_frozen_layers_of_its_own(
    garden: Path, settings: run.Settings, tmp_path: Path
) -> None:
    passes: list[int] = []

    def count(text: str, done: int, total: int) -> None:
        if text == "Computing the frozen layers" and done == total:
            passes.append(total)

    def interrupt(row: dict[str, Any]) -> None:
        assert row["stage"] == "probe"
        raise KeyboardInterrupt

    asked = dataclasses.replace(settings, recipe=BEST, bank=tmp_path / "bank")
    with pytest.raises(KeyboardInterrupt):
        run.train(garden, tmp_path / "run", asked, run.Watch(epoch=interrupt, progress=count))
    assert passes == [24]  # each photo once, for the audit, the probe and the fine-tuning


def test_a_run_among_the_photos_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"run lies within \., where it would pass for a species"):
        run.train(Path(), Path("run"), run.Settings(SHORT))
    assert not Path("run").exists()


def test_a_comparison_without_held_out_photos_is_refused(garden: Path, settings: run.Settings, tmp_path: Path) -> None:
    asked = dataclasses.replace(settings, test_fraction=0.0)
    with pytest.raises(UserError, match="needs photos held out for the test"):
        run.compare(garden, tmp_path / "run", asked, "seconds")
    assert not (tmp_path / "run").exists()
