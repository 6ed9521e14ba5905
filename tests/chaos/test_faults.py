"""Whatever the disk does to a run: it ends well or with one clear sentence, and the same command then succeeds."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaos.faults import KINDS, Disk
from chaos.small_run import SmallRun
from conftest import Said

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layer asks /proc for the names of files")


def test_every_operation_may_go_wrong(
    leafgraft: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    garden: Path,
    weights: Path,
    tmp_path: Path,
    amount: Callable[[int, int], int],
    figures: Callable[[dict[str, Any]], None],
) -> None:
    def run(number: object) -> SmallRun:
        small = SmallRun(tmp_path / str(number), garden, weights)
        monkeypatch.setenv("LEAFGRAFT_CACHE", str(small.place / "cache"))
        return small

    whole = run("whole")
    disk = Disk(whole.place)
    with disk.mounted():
        said = leafgraft(*whole.command)
    assert said.status == 0, said.err
    expected = whole.result()
    faults = [(at, kind) for at, done in enumerate(disk.done, start=1) for kind in KINDS[done]]
    order = np.random.default_rng().permutation(len(faults)).tolist()  # so that a part of them is a fair sample
    ends, begun = Counter[str](), time.perf_counter()
    for number, (at, kind) in enumerate(faults[i] for i in order[: amount(2, len(faults))]):
        small = run(number)
        struck = Disk(small.place, at, kind)
        with struck.mounted():
            said = leafgraft(*small.command)
        ends[f"{kind}: {'went on' if said.status == 0 else 'refused'}"] += 1
        where = f"{kind} at {struck.struck}: {said.err}"
        assert said.status in (0, 2), where
        assert "Traceback" not in said.err, where
        if said.status == 2:
            assert said.err.splitlines()[-1].startswith("leafgraft: "), where
        said = leafgraft(*small.command, "--resume")
        assert said.status == 0, f"{where} {said.err}"
        assert small.result() == expected, where
        small.assert_tidy()
        shutil.rmtree(small.place)
        found = {"operations": dict(Counter(disk.done)), "faults": len(faults), "tried": number + 1}
        figures(found | {"ends": dict(ends), "seconds": time.perf_counter() - begun})
