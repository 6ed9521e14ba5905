from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import SHORT, SPECIES
from leafgraft import run
from leafgraft.errors import UserError
from leafgraft.photos import read_manifest, scan
from leafgraft.photos.garden import draw


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def content(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(result, dict)
    return result


def test_a_run_leaves_these_files_and_no_others(trained_run: Path) -> None:
    assert {path.name for path in trained_run.iterdir()} == {
        "run.json",
        "manifest.csv",
        "history.csv",
        "metrics.json",
        "predictions.csv",
        "curves.png",
        "confusion.png",
        "model",
    }
    for name in ("curves.png", "confusion.png"):
        with Image.open(trained_run / name) as picture:
            picture.load()
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 10


def test_the_record_is_enough_to_repeat_the_run(trained_run: Path, garden: Path, settings: run.Settings) -> None:
    record = content(trained_run / "run.json")
    assert record["status"] == "finished"
    assert record["recipe"] == json.loads(json.dumps(dataclasses.asdict(SHORT)))
    assert record["photos"] == str(garden)
    assert record["garden"] is True
    assert record["classes"] == list(SPECIES)
    assert record["counts"] == {"train": 12, "val": 6, "test": 6}
    assert (record["seed"], record["val_fraction"], record["test_fraction"]) == (0, 0.25, 0.25)
    assert {"leafgraft", "python", "keras", "tensorflow", "openvino", "numpy", "pillow"} == set(record["versions"])
    again = run.record_of(garden, settings, run.gather(garden, settings))
    assert again["data_sha256"] == record["data_sha256"]
    other = dataclasses.replace(settings, seed=1)
    assert run.record_of(garden, other, run.gather(garden, other))["data_sha256"] != record["data_sha256"]


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
    assert [line["stage"] for line in lines] == ["frozen"] * 4 + ["fine"]
    assert [line["epoch"] for line in lines] == ["1", "2", "3", "4", "5"]
    assert [float(line["learning_rate"]) for line in lines] == pytest.approx([1e-3] * 4 + [1e-5])
    for line in lines:
        assert float(line["seconds"]) > 0
        assert float(line["loss"]) > 0
        assert float(line["val_loss"]) > 0
        assert 0 <= float(line["accuracy"]) <= 1
        assert 0 <= float(line["val_accuracy"]) <= 1


def test_the_metrics_hold_both_sides_and_the_cost(trained_run: Path, trained: run.Trained) -> None:
    metrics = content(trained_run / "metrics.json")
    assert metrics == trained.metrics
    assert set(metrics) == {"test", "val", "seconds", "peak_rss_mb"}
    for side in ("test", "val"):
        figures = metrics[side]
        assert {"accuracy", "accuracy_ci95", "macro_f1", "top3", "ece", "n"} <= set(figures)
        assert figures["n"] == 6
        low, high = figures["accuracy_ci95"]
        assert 0 <= low <= figures["accuracy"] <= high <= 1
    assert {"scan", "frozen", "fine", "evaluate", "save", "total"} <= set(metrics["seconds"])
    assert sum(metrics["seconds"].values()) - metrics["seconds"]["total"] <= metrics["seconds"]["total"]
    assert metrics["peak_rss_mb"] > 100


def test_the_predictions_are_those_that_the_metrics_count(trained_run: Path, trained: run.Trained) -> None:
    lines = rows(trained_run / "predictions.csv")
    assert list(lines[0]) == ["path", "label", "predicted", "probability", "split"]
    held_out = {photo.path.as_posix(): photo for photo in trained.found.photos if photo.split in ("val", "test")}
    assert {line["path"]: (line["label"], line["split"]) for line in lines} == {
        path: (photo.label, photo.split) for path, photo in held_out.items()
    }
    for side in ("test", "val"):
        right = [line["predicted"] == line["label"] for line in lines if line["split"] == side]
        assert sum(right) / len(right) == pytest.approx(trained.metrics[side]["accuracy"])
    assert all(1 / len(SPECIES) <= float(line["probability"]) <= 1 for line in lines)


def test_what_is_said_on_the_way(trained: run.Trained) -> None:
    assert run.described(trained.found) == (
        "24 photos of 3 species: 12 to train on, 6 to validate, 6 held out for the test."
    )


def test_an_interrupted_run_can_be_read_and_says_so(garden: Path, settings: run.Settings, tmp_path: Path) -> None:
    def interrupt(row: dict[str, Any]) -> None:
        assert content(tmp_path / "run" / "run.json")["status"] == "running"
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    asked = dataclasses.replace(settings, val_fraction=0.0)
    with pytest.raises(KeyboardInterrupt):
        run.train(garden, tmp_path / "run", asked, run.Watch(epoch=interrupt))
    record = content(tmp_path / "run" / "run.json")
    assert (record["status"], record["reason"]) == ("failed", "interrupted")
    lines = rows(tmp_path / "run" / "history.csv")
    assert [line["epoch"] for line in lines] == ["1", "2"]
    assert [line["val_accuracy"] for line in lines] == ["", ""]  # there were no photos for it
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "manifest.csv", "history.csv"}


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two species of three small photos each."""
    for species in ("fern", "oak"):
        (tmp_path / "few" / species).mkdir(parents=True)
        for seed in range(3):
            draw(species, seed, (64, 64)).save(tmp_path / "few" / species / f"{seed}.jpg")
    return tmp_path / "few"


def test_each_side_gets_what_the_fractions_say(few: Path, garden: Path) -> None:
    found = run.gather(few, run.Settings(SHORT))
    assert found.classes == ("fern", "oak")
    assert found.val is not None
    assert found.test is not None
    assert [len(found.train), len(found.val), len(found.test)] == [2, 2, 2]
    assert [photo.sha256 for photo in found.side("val")] == list(found.val.keys)
    alone = run.gather(few, run.Settings(SHORT, val_fraction=0.0, test_fraction=0.0))
    assert (len(alone.train), alone.val, alone.test) == (6, None, None)


def test_progress_and_what_was_left_out_are_told(few: Path) -> None:
    (few / "oak" / "bad.jpg").write_bytes(b"")
    told: list[tuple[str, int, int]] = []
    found = run.gather(few, run.Settings(SHORT), lambda *step: told.append(step))
    assert told[-1] == ("Reading the photos", 7, 7)
    assert run.described(found).endswith(
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
        run.gather(few, run.Settings(SHORT, val_fraction=val, test_fraction=test))


def test_one_photo_a_species_is_too_few(few: Path) -> None:
    for path in few.rglob("[12].jpg"):
        path.unlink()
    with pytest.raises(UserError, match=r"Too few photos .* fern \(1 photo\), oak \(1 photo\); add photos"):
        run.gather(few, run.Settings(SHORT))


def test_a_data_set_without_a_training_side_is_refused(few: Path, tmp_path: Path) -> None:
    shutil.move(few, tmp_path / "split" / "test")
    with pytest.raises(UserError, match="none to train on"):
        run.gather(tmp_path / "split", run.Settings(SHORT))


def test_a_folder_that_is_taken_is_refused(few: Path, tmp_path: Path) -> None:
    run.require_new(tmp_path / "new", few)
    (tmp_path / "taken").mkdir()
    run.require_new(tmp_path / "taken", few)
    (tmp_path / "taken" / "a.txt").touch()
    with pytest.raises(UserError, match=r"taken exists and is not empty; choose another folder"):
        run.require_new(tmp_path / "taken", few)
    with pytest.raises(UserError, match=r"a\.txt is a file"):
        run.require_new(tmp_path / "taken" / "a.txt", few)


def test_a_run_among_the_photos_is_refused(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(few)
    with pytest.raises(UserError, match=r"run lies within \., where it would pass for a species"):
        run.train(Path(), Path("run"), run.Settings(SHORT))
    assert not Path("run").exists()


def test_a_comparison_without_held_out_photos_is_refused(few: Path, tmp_path: Path) -> None:
    asked = run.Settings(SHORT, test_fraction=0.0)
    with pytest.raises(UserError, match="needs photos held out for the test"):
        run.compare(few, tmp_path / "run", asked, "seconds")
    assert not (tmp_path / "run").exists()
