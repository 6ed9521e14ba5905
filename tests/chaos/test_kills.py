"""A run that is killed at any moment goes on where it was, and ends with the same classifier to the last bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
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


def test_killed_at_random_moments(
    garden: Path,
    weights: Path,
    tmp_path: Path,
    amount: Callable[[int, int], int],
    figures: Callable[[dict[str, Any]], None],
) -> None:
    whole = SmallRun(tmp_path / "whole", garden, weights)
    begun = time.perf_counter()
    whole.finish()
    lasts = time.perf_counter() - begun
    expected = whole.result()
    chance = np.random.default_rng()
    kills, seen = 0, dict[str, int]()
    for number in range(amount(1, 200)):
        run = SmallRun(tmp_path / str(number), garden, weights)
        times = 0
        while times < 1 or chance.random() < 0.25:  # some are killed several times
            process = run.start("--resume")
            try:
                process.wait(chance.uniform(0, 1.1 * lasts))
            except subprocess.TimeoutExpired:
                kill(process)
                times += 1
                status = record_in(run.folder).get("status", "not begun")
                at = f"{status}, with a checkpoint" if (run.folder / "checkpoints" / "state.json").exists() else status
                seen[at] = seen.get(at, 0) + 1
            else:
                assert process.returncode == 0, process.communicate()
                break
        kills += times
        run.finish()
        assert run.result() == expected, f"run {number}"
        run.assert_tidy()
        shutil.rmtree(run.place)
        found = {"runs": number + 1, "kills": kills, "where": seen, "seconds": time.perf_counter() - begun}
        figures({**found, "equal": number + 1, "a whole run": lasts})


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_end(garden: Path, weights: Path, tmp_path: Path, which: int) -> None:
    run = SmallRun(tmp_path / "run", garden, weights)
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
    run.assert_tidy()
