from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from leafgraft import machine
from leafgraft.machine import Clock

pytestmark = pytest.mark.quick


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the limits of a container are read from."""

    def of_container(name: str) -> str:
        return (tmp_path / name).read_text().strip() if (tmp_path / name).exists() else ""

    monkeypatch.setattr(machine, "_of_container", of_container)
    return tmp_path


@pytest.mark.parametrize(("quota", "found"), [("100000 100000", 1), ("50000 100000", 1), ("99900000 100000", 0)])
def test_a_container_may_have_fewer_processors(container: Path, quota: str, found: int) -> None:
    (container / "cpu.max").write_text("max 100000\n")
    every = machine.cores()
    assert 1 <= every <= (os.cpu_count() or 1)
    (container / "cpu.max").write_text(quota)
    assert machine.cores() == (found or every)


def test_a_container_may_have_less_memory(container: Path) -> None:
    (container / "memory.max").write_text("max\n")
    (container / "memory.current").write_text("1000000\n")
    assert 0 < machine.free_bytes() <= psutil.virtual_memory().total
    (container / "memory.max").write_text("3000000\n")
    assert machine.free_bytes() == 2_000_000
    (container / "memory.max").write_text("500000\n")
    assert machine.free_bytes() == 0


def test_a_clock_counts_what_an_earlier_process_has_spent() -> None:
    clock = Clock()
    with clock("scan"):
        pass
    clock.add({"scan": 5.0, "audit": 2.0}, 60.0)
    assert 5.0 <= clock.seconds["scan"] < 5.5
    assert clock.seconds["audit"] == 2.0
    assert 60.0 <= clock.total() < 61.0


@pytest.mark.parametrize(("said", "share"), [("1", 1), ("1,2", 1), ("9999", None), ("", None), ("many", None)])
def test_a_share_of_the_processors_is_kept_to(monkeypatch: pytest.MonkeyPatch, said: str, share: int | None) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    every = machine.cores()
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert machine.cores() == (share or every)


def test_what_the_memory_does_not_hold_is_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine.room_for((3, 4), tmp_path / "rows")
    assert here.dtype == np.float32
    assert not isinstance(here, np.memmap)
    monkeypatch.setattr(machine, "free_bytes", lambda: 100)
    there = machine.room_for((3, 4), tmp_path / "rows")
    there[1] = 0.5
    assert there.dtype == np.float16
    assert isinstance(there, np.memmap)
    assert there.sum() == 2.0
    assert not list((tmp_path / "rows").iterdir())
