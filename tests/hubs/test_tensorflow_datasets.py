"""Data sets of TensorFlow Datasets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import content
from leafgraft.errors import UserError
from leafgraft.hubs.bring import brought
from leafgraft.hubs.request import Request
from leafgraft.hubs.tensorflow_datasets import opened, silence


@pytest.fixture(scope="module")
def prepared(plants: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the library, with one configuration of a data set in it; the other has to be made."""
    import leafgraft._tensorflow  # noqa: F401 - else TensorFlow would be loaded in another way
    from planted import PlantedPlants

    with silence():
        PlantedPlants.source = plants
        folder = tmp_path_factory.mktemp("tfds")
        PlantedPlants(data_dir=folder, config="plain").download_and_prepare()
    return folder


@pytest.fixture(autouse=True)
def _at_hand(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))


def test_pictures_come_undecoded_with_their_names(plants: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = opened(Request("tfds", "planted_plants/plain"))
    assert table.revision == "1.2.0"
    assert table.splits == {"train": 12, "test": 6}
    assert table.columns == {
        "image": "pictures", "label": "classes", "name": "text", "number": "numbers", "height": "other",
        "mask": "other",
    }  # fmt: skip
    files = sorted((plants / "train").rglob("*.jpg"))
    bytes_of = sorted(path.read_bytes() for path in files)
    for column, names in (
        ("label", ["cactus", "fern", "Rosa/alba"]),
        ("name", ["cactus", "fern", "sunflower"]),
        ("number", ["0", "1", "2"]),
    ):
        found = sorted(table.rows("train", "image", column))
        assert [one for one, _ in found] == bytes_of
        names_of = {path.read_bytes(): names[number // 4] for number, path in enumerate(files)}
        assert dict(found) == names_of
    assert capfd.readouterr() == ("", "")


def test_offline_only_what_is_there_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "1")
    assert opened(Request("tfds", "planted_plants")).splits == {"train": 12, "test": 6}
    with pytest.raises(UserError, match="tfds:planted_plants/blind is not on this disk, and LEAFGRAFT_OFFLINE"):
        opened(Request("tfds", "planted_plants/blind"))


@pytest.mark.parametrize("name", ["kubric:movi_a", "huggingface:mnist", "planted_plants/a=1", "../planted_plants"])
def test_programs_from_elsewhere_are_not_run(name: str) -> None:
    with pytest.raises(UserError, match="is not NAME, NAME/CONFIG or NAME:VERSION"):
        opened(Request("tfds", name))


def test_what_the_catalogue_lacks_is_named(cache: Path) -> None:
    with pytest.raises(
        UserError, match="TensorFlow Datasets has no data set tfds:no_such_plants: look its name up there"
    ):
        brought("tfds:no_such_plants")
    with pytest.raises(UserError, match=r"cannot be loaded at version 9\.9\.9, only: 1\.2\.0"):
        brought("tfds:planted_plants:9.9.9")


def test_a_split_without_labels_is_left_out_by_name(cache: Path) -> None:
    said: list[str] = []
    lines = brought(Path("tfds:planted_plants/blind"), say=said.append).read_text().splitlines()
    assert said[0] == "tfds:planted_plants/blind: left out: the split test, which has no labels."
    assert sum(line.endswith(",Rosa/alba,train") and "/Rosa_alba/" in line for line in lines) == 4
    assert len(lines) == 1 + 12


def test_what_a_killed_process_left_is_not_taken(cache: Path) -> None:
    list_ = brought(Path("tfds:planted_plants"))
    half = list_.parent.parent / f".leafgraft-{'0' * 32}"
    list_.parent.rename(half)
    assert brought(Path("tfds:planted_plants")) == list_
    assert list_.is_file()
    assert not half.exists()


@pytest.mark.slow
def test_a_run_on_a_data_set_can_be_repeated(
    leafgraft: Callable[..., Any], weights: Path, cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    said = leafgraft("train", "tfds:planted_plants", "-o", run, "--recipe", "quick", "--no-check", "--weights", weights)
    assert said.status == 0, said
    record = content(run / "run.json")
    assert record["hub"].pop("brought") > "2026"
    assert record["hub"].pop("bytes") > 18_000
    assert record["hub"] == {
        "data_set": "tfds:planted_plants",
        "revision": "1.2.0",
        "columns": {"image": "image", "label": "label"},
        "photos": 18,
    }
    assert record["classes"] == ["Rosa/alba", "cactus", "fern"]
    assert record["counts"]["test"] == 6
    assert record["command"].startswith("leafgraft train tfds:planted_plants -o")
    judged = leafgraft("evaluate", run, "tfds:planted_plants", "--json")
    assert json.loads(judged.out)["n"] == 6
    assert "left out: 12 photos that it was trained on" in judged.err
    features = tmp_path / "features.npz"
    assert leafgraft("features", "tfds:planted_plants", "-o", features, "--weights", weights).status == 0
    with np.load(features) as file:
        assert file["label"].tolist().count("Rosa/alba") == 6
    assert leafgraft("predict", run, "tfds:planted_plants", "--top", 1).out.count(".jpg: ") == 18
