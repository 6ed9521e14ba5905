from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Said, rows
from leafgraft.photos import scan
from leafgraft.serve.corrections import Corrections

pytestmark = pytest.mark.quick


@pytest.fixture
def file(garden: Path, tmp_path: Path) -> Path:
    kept = Corrections(tmp_path / "c.db", create=True)
    for species in ("rose", "oak"):
        kept.add(species, "fern", next((garden / species).iterdir()).read_bytes())
    return tmp_path / "c.db"


def test_listing(leafgraft: Callable[..., Said], file: Path, tmp_path: Path) -> None:
    first, second = leafgraft("corrections", "list", file).out.splitlines()
    assert first.endswith("rose (the answer was fern)")
    assert second.endswith("oak (the answer was fern)")
    listed = json.loads(leafgraft("corrections", "list", file, "--json").out)["corrections"]
    assert [one["id"] for one in listed] == [1, 2]
    assert set(listed[0]) == {"id", "time", "species", "answer", "sha256"}
    Corrections(tmp_path / "empty.db", create=True)
    said = leafgraft("corrections", "list", tmp_path / "empty.db")
    assert (said.status, said.out) == (0, f"{tmp_path / 'empty.db'} has no corrections yet.\n")


def test_export_is_what_train_takes(leafgraft: Callable[..., Said], file: Path, tmp_path: Path) -> None:
    said = leafgraft("corrections", "export", file, "-o", tmp_path / "out")
    manifest = tmp_path / "out" / "manifest.csv"
    assert said.out == f"2 photos in {tmp_path / 'out'}; train on them with: leafgraft train {manifest} -o RUN\n"
    assert [row["label"] for row in rows(manifest)] == ["rose", "oak"]
    assert {photo.label for photo in scan(manifest) if not photo.problem} == {"rose", "oak"}


def test_what_is_refused(refused: Callable[..., str], file: Path, tmp_path: Path) -> None:
    assert "is not there" in refused("corrections", "list", tmp_path / "none.db")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    assert "exists already" in refused("corrections", "export", file, "-o", tmp_path / "out")
