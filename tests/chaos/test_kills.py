"""A run that is killed at any moment goes on where it was, and ends with the same classifier to the last bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaos.small_run import SmallRun
from leafgraft.runfolder import record_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")


def kill(process: subprocess.Popen[str]) -> None:
    """End a process and its children at once, without a chance to tidy up."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def whole(garden: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """The run that nobody disturbs."""
    run = SmallRun(tmp_path_factory.mktemp("whole") / "place", garden, weights)
    run.finish()
    return run


@pytest.mark.slow
def test_killed_at_random_moments(
    whole: SmallRun,
    garden: Path,
    weights: Path,
    tmp_path: Path,
    amount: Callable[[int, int], int],
    figures: Callable[[dict[str, Any]], None],
) -> None:
    chance, begun = np.random.default_rng(), time.perf_counter()
    runs, kills, lasts, seen = 0, 0, 10.0, Counter[str]()
    while kills < amount(1, 200):
        run = SmallRun(tmp_path / str(runs), garden, weights)
        while True:
            start = time.perf_counter()
            process = run.start("--resume")
            try:
                process.wait(chance.uniform(0, 1.1 * lasts))
            except subprocess.TimeoutExpired:
                kill(process)
                kills += 1
                where = record_in(run.folder).get("status", "not begun")
                state = (run.folder / "checkpoints" / "state.json").exists()
                seen[f"{where}, {'with' if state else 'without'} a checkpoint"] += 1
                if chance.random() < 0.75:  # the others are killed once more
                    break
            else:
                assert process.returncode == 0, process.communicate()
                lasts = time.perf_counter() - start
                break
        start = time.perf_counter()
        run.finish()
        lasts = max(lasts, time.perf_counter() - start)
        assert run.result() == whole.result(), f"run {runs}"
        run.assert_tidy()
        shutil.rmtree(run.place)
        runs += 1
        figures({"kills": kills, "equal": runs, "where": dict(seen), "seconds": time.perf_counter() - begun})


@pytest.mark.slow
def test_a_polite_end(
    whole: SmallRun, garden: Path, weights: Path, tmp_path: Path, amount: Callable[[int, int], int]
) -> None:
    for which in (signal.SIGINT, signal.SIGTERM)[: amount(1, 2)]:
        run = SmallRun(tmp_path / which.name, garden, weights)
        process = run.start()
        while not (run.folder / "checkpoints" / "state.json").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(which)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130, said
        assert "Ending after this step, and nothing is lost." in said
        assert "the same command goes on from here." in said
        assert "Traceback" not in said
        assert record_in(run.folder)["status"] == "interrupted"
        assert "Going on with the interrupted run" in run.finish()
        assert "is finished already" in run.finish()
        assert run.result() == whole.result()
        run.assert_tidy()
