"""``leafgraft features``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest


@pytest.fixture(scope="module")
def two_species(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for name in ("cactus", "fern"):
        shutil.copytree(garden / name, folder / name)
    return folder


def test_features_come_with_paths_and_labels(
    leafgraft: Callable[..., Any], two_species: Path, weights: Path, tmp_path: Path, cache: Path
) -> None:
    npz, parquet = tmp_path / "features.npz", tmp_path / "features.parquet"
    said = leafgraft("features", two_species, "-o", npz, "--weights", weights, "--json")
    assert said.status == 0, said
    assert json.loads(said.out)["photos"] == 16
    assert "The frozen layers run in" in said.err
    with np.load(npz) as file:
        path, label, features = file["path"], file["label"], file["features"]
    assert features.shape == (16, 2048)
    assert features.dtype == np.float32
    assert features.min() >= 0
    assert [Path(one).parent.name for one in path] == label.tolist()
    assert path.tolist() == sorted(path.tolist())

    assert leafgraft("features", two_species, "-o", parquet, "--weights", weights).status == 0
    table = pq.read_table(parquet)
    assert table.column_names == ["path", "label", "features"]
    assert table["path"].to_pylist() == path.tolist()
    np.testing.assert_array_equal(np.stack(table["features"].to_numpy()), features)


def test_what_cannot_be_done_is_one_sentence(refused: Callable[..., str], garden: Path, tmp_path: Path) -> None:
    assert ".npz or .parquet" in refused("features", garden, "-o", tmp_path / "features.csv")
    assert "no engine 'int4'" in refused("features", garden, "-o", tmp_path / "f.npz", "--precision", "int4")
    assert not list(tmp_path.iterdir())
