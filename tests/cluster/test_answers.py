"""Answers of a classifier on two Ray nodes are those of one machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_answers_are_those_of_one_machine(
    leafgraft: Callable[..., Any], address: str, trained_run: Path, photos: Path, tmp_path: Path
) -> None:
    for name in ("answers.csv", "answers.jsonl"):
        one, many = tmp_path / f"one-{name}", tmp_path / f"many-{name}"
        assert leafgraft("predict", trained_run, photos, "-o", one).status == 0
        said = leafgraft("predict", trained_run, photos, "-o", many, "--cluster", address)
        assert said.status == 0, said
        assert "17 photos, 1 of them unreadable" in said.out
        assert many.read_text() == one.read_text()
    assert leafgraft("predict", trained_run, photos, "-o", tmp_path / "f", "--cluster", address).status == 0
    assert [path.suffix for path in (tmp_path / "f").iterdir()] == [".parquet"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["f"]
