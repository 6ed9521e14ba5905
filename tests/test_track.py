from __future__ import annotations

import io
import os
import shutil
import socket
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from leafgraft.errors import UserError
from leafgraft.track import TRACKERS, tracker

pytestmark = pytest.mark.quick

RECORD: dict[str, Any] = {
    "command": "leafgraft train photos -o run",
    "recipe": {"name": "quick", "epochs_fine": 0, "budget": None, "augmentation": {"rotation": 20.0, "flip": True}},
    "seed": 7,
    "classes": ["rose", "tulip"],
    "counts": {"train": 12, "test": 4},
    "data_sha256": "0" * 64,
    "versions": {"python": "3.11.7", "keras": "3.15.0"},
    "note": "left|right\nbelow",
}
PARAMETERS = {
    "recipe.name": "quick",
    "recipe.epochs_fine": "0",
    "recipe.budget": "None",
    "recipe.augmentation.rotation": "20.0",
    "recipe.augmentation.flip": "True",
    "seed": "7",
    "classes": "rose, tulip",
    "counts.train": "12",
    "counts.test": "4",
    "data_sha256": "0" * 64,
    "note": "left|right\nbelow",
}
ROWS: list[dict[str, Any]] = [
    {"stage": "probe", "epoch": 1, "seconds": 2.5, "loss": 0.75, "accuracy": 0.5, "val_loss": None},
    {"stage": "fine", "epoch": 2, "seconds": 4.0, "loss": 0.5, "accuracy": 0.75, "val_loss": 1.0, "val_accuracy": 0.25,
     "learning_rate": 0.125},
]  # fmt: skip
METRICS: dict[str, Any] = {
    "test": {"accuracy": 0.875, "accuracy_ci95": [0.5, 1.0], "n": 4, "worst": ["rose", "tulip"], "by": {"a b/c": 0.5}},
    "seconds": {"total": 8.5},
    "note": "not a number",
}
TOLD = {
    "train/loss": {1: 0.75, 2: 0.5},
    "train/accuracy": {1: 0.5, 2: 0.75},
    "train/seconds": {1: 2.5, 2: 4.0},
    "train/learning_rate": {2: 0.125},
    "val/loss": {2: 1.0},
    "val/accuracy": {2: 0.25},
    "test/accuracy": {2: 0.875},
    "test/accuracy_ci95_low": {2: 0.5},
    "test/accuracy_ci95_high": {2: 1.0},
    "test/n": {2: 4.0},
    "test/by/a_b_c": {2: 0.5},
    "seconds/total": {2: 8.5},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with some of what runs leave."""
    run = tmp_path / "roses and tulips"
    (run / "model").mkdir(parents=True)
    (run / "model" / "labels.txt").write_text("rose\ntulip\n")
    (run / "metrics.json").write_text("{}")
    Image.new("RGB", (40, 30), "green").save(run / "curves.png")
    return run


def follow(name: str, folder: Path) -> None:
    """Tell a tracker of a whole run."""
    told = tracker(name, folder)
    told.start(RECORD)
    for row in ROWS:
        told.epoch(row, row["epoch"])
    told.finish(METRICS, [folder / "curves.png", folder / "metrics.json", folder / "model"])


def events(folder: Path) -> Iterator[tuple[str, str, int, Any]]:
    """What TensorFlow reads back from event files: view, name, step and content."""
    import tensorflow as tf  # when the tracker has set it up

    for path in sorted((folder / "tensorboard").iterdir()):
        for event in tf.compat.v1.train.summary_iterator(os.fsencode(path)):
            for value in event.summary.value:
                content = tf.make_ndarray(value.tensor).tolist()
                yield value.metadata.plugin_data.plugin_name, value.tag, event.step, content


def test_tensorboard_has_every_figure_at_its_step(folder: Path) -> None:
    follow("tensorboard", folder)
    scalars: dict[str, dict[int, float]] = defaultdict(dict)
    for view, name, step, content in events(folder):
        if view == "scalars":
            scalars[name][step] = content
    assert scalars == TOLD


def test_tensorboard_has_the_settings_as_a_table_and_the_pictures(folder: Path) -> None:
    follow("tensorboard", folder)
    others = {view: content for view, _, _, content in events(folder) if view != "scalars"}
    lines = others["text"].decode().splitlines()
    assert lines[:2] == ["| setting | value |", "|---|---|"]
    assert {"| recipe.name | quick |", "| counts.train | 12 |", "| versions.keras | 3.15.0 |"} < set(lines)
    assert "| note | left\\|right below |" in lines
    width, height, picture = others["images"]
    assert (width, height) == (b"40", b"30")
    with Image.open(io.BytesIO(picture)) as image:
        assert image.getpixel((0, 0)) == (0, 128, 0)


def test_tensorboard_can_be_watched_while_the_run_lasts(folder: Path) -> None:
    told = tracker("tensorboard", folder)
    told.start(RECORD)
    told.epoch(ROWS[0], 1)
    assert "train/loss" in {name for _, name, _, _ in events(folder)}
    told.failed()


def test_a_run_that_fails_before_it_starts_leaves_nothing(folder: Path) -> None:
    for name in TRACKERS:
        tracker(name, folder).failed()
    assert not (folder / "tensorboard").exists()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of MLflow's that is named in the environment."""
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    uri = (tmp_path / "the store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def only_run(store: str, experiment: str = "leafgraft") -> tuple[Any, Any]:
    """MLflow's own client, and the only run of an experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    return client, run


def test_mlflow_has_all_of_a_run(folder: Path, store: str) -> None:
    follow("mlflow", folder)
    client, run = only_run(store)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "roses and tulips"
    assert run.data.params == PARAMETERS
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
    assert tags == {"command": RECORD["command"], "versions.python": "3.11.7", "versions.keras": "3.15.0"}
    assert set(run.data.metrics) == set(TOLD)
    for name, values in TOLD.items():
        assert {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, name)} == values
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"curves.png", "metrics.json", "model"}
    (inner,) = client.list_artifacts(run.info.run_id, "model")
    assert Path(client.download_artifacts(run.info.run_id, inner.path)).read_text() == "rose\ntulip\n"


def test_mlflow_counts_a_failed_run_as_failed(folder: Path, store: str) -> None:
    told = tracker("mlflow", folder)
    told.start(RECORD)
    told.epoch(ROWS[0], 1)
    told.failed()
    _, run = only_run(store)
    assert run.info.status == "FAILED"
    assert run.data.metrics["train/loss"] == 0.75


def test_runs_share_the_experiment_that_is_named(folder: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "garden")
    follow("mlflow", folder)
    follow("mlflow", folder)
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("garden")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_without_a_name_the_store_is_where_the_command_was_given(
    folder: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    follow("mlflow", folder)
    (picture,) = (tmp_path / "mlruns").rglob("curves.png")
    assert picture.read_bytes() == (folder / "curves.png").read_bytes()
    assert not (tmp_path / "the store").exists()


def test_a_parameter_too_long_for_a_store_is_cut(folder: Path, store: str) -> None:
    told = tracker("mlflow", folder)
    told.start(RECORD | {"classes": [f"species {i}" for i in range(1000)]})
    told.finish({}, [])
    text = only_run(store)[1].data.params["classes"]
    assert len(text) == 500
    assert text.startswith("species 0, species 1, ")
    assert text.endswith("…")


@pytest.mark.parametrize("name", TRACKERS)
def test_names_that_are_no_unicode_can_be_told(name: str, tmp_path: Path, store: str) -> None:
    run = tmp_path / "r\udcf6ses"
    run.mkdir()
    told = tracker(name, run)
    told.start(RECORD | {"classes": ["r\udcf6se", "tulip"]})
    told.finish({}, [])
    if name == "mlflow":
        _, kept = only_run(store)
        assert kept.data.params["classes"] == "r?se, tulip"
        assert kept.info.run_name == "r?ses"
    else:
        assert "| classes | r?se, tulip |" in next(text for view, _, _, text in events(run) if view == "text").decode()


def test_a_store_that_is_lost_does_not_end_the_run(folder: Path, store: str, tmp_path: Path) -> None:
    said: list[str] = []
    told = tracker("mlflow", folder, said.append)
    told.start(RECORD)
    shutil.rmtree(tmp_path / "the store")
    for row in ROWS:
        told.epoch(row, row["epoch"])
    told.finish(METRICS, [folder / "curves.png"])
    (line,) = said
    assert line.startswith("MLflow is lost (")
    assert line.endswith(f"; {folder} has everything.")


def test_a_server_that_is_not_there_is_said_before_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{place}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told = tracker("mlflow", folder)
    with pytest.raises(UserError, match=f"cannot begin a run in http://{place} .*MLFLOW_TRACKING_URI") as refusal:
        told.start(RECORD)
    assert "secret" not in str(refusal.value)
    told.failed()


def test_a_missing_package_and_an_unknown_name_are_said_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no tracker 'wandb'; choose tensorboard or mlflow"):
        tracker("wandb", folder)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"pip install 'leafgraft\[track\]'"):
        tracker("mlflow", folder)
