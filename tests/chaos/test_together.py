"""Several processes on one cache at once: each gets what it would get alone."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.small_run import SmallRun


@pytest.mark.slow
def test_two_trainings_and_a_prediction_on_one_cache(
    garden: Path, weights: Path, trained_run: Path, tmp_path: Path, amount: Callable[[int, int], int]
) -> None:
    cache = tmp_path / "cache"
    runs = [SmallRun(tmp_path / name, garden, weights, cache=cache) for name in ("one", "other")]
    started = [run.start() for run in runs]
    photos = sorted(garden.glob("fern/*.jpg"))
    answers = []
    for number in range(3):
        table = tmp_path / f"{number}.csv"
        command = [sys.executable, "-m", "leafgraft", "predict", *map(str, (trained_run, *photos, "-o", table))]
        subprocess.run(command, env=os.environ | {"LEAFGRAFT_CACHE": str(cache)}, check=True, stdout=subprocess.DEVNULL)
        with table.open(encoding="utf-8", newline="") as file:
            answers.append(list(csv.DictReader(file)))
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == len(photos)
    for run, process in zip(runs, started, strict=True):
        _, said = process.communicate()
        assert process.returncode == 0, said
        run.assert_tidy()
    for number in range(amount(0, 1)):
        alone = SmallRun(tmp_path / f"alone {number}", garden, weights)
        alone.finish()
        runs.append(alone)
    assert all(run.result() == runs[0].result() for run in runs[1:])
