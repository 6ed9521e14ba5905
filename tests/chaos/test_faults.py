"""Whatever the disk does to a run: it ends well or with one clear sentence, and the same command then succeeds."""

from __future__ import annotations

import contextlib
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
from leafgraft.engine.bank import Bank, row_key
from leafgraft.engine.checkpoint import Checkpoint, Part, read
from leafgraft.files import TEMPORARY, write_csv

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layer asks /proc for the names of files")


def bank_and_checkpoint(place: Path) -> tuple[list[bytes], list[Any]]:
    """Write a bank and a checkpoint over what is there, as a training does, and read both anew."""
    keys = [row_key("photo", view) for view in range(6)]
    bank = Bank(place / "bank", "settings", [(3,), (2, 2)])
    with bank.lock():
        for start in (0, 3):
            wanted = [keys[start + i] for i in bank.missing(keys[start : start + 3])]
            values = np.array([keys.index(key) for key in wanted], np.float32)
            bank.append(wanted, [np.tile(values[:, None], 3), np.tile(values[:, None, None], (2, 2))])
            bank.commit()
    checkpoint = Checkpoint(place / "checkpoint", "mine")
    found = checkpoint.take("part")
    state = Part({"epoch": 1 if found is None else found.facts["epoch"] + 1}, [np.arange(4)])
    checkpoint.keep("part", lambda: state)
    checkpoint.write()
    write_csv(place / "history.csv", ("epoch",), [state.facts])
    rows = bank.rows()
    assert rows.intact(np.arange(len(rows))).all()
    return keys, [tensor[:, 0] for tensor in rows.take(bank.places(keys))]


def test_every_operation_on_a_bank_and_a_checkpoint_may_go_wrong(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "whole")
    with disk.mounted():
        bank_and_checkpoint(tmp_path / "whole")
    faults = [(at, kind) for at, done in enumerate(disk.done, start=1) for kind in KINDS[done]]
    assert len(faults) > 30
    for number, (at, kind) in enumerate(faults):
        place = tmp_path / str(number)
        struck = Disk(place, at, kind)
        with struck.mounted(), contextlib.suppress(OSError):
            bank_and_checkpoint(place)
        assert struck.struck
        keys, tensors = bank_and_checkpoint(place)  # the next process finds nothing wrong, and nothing in its way
        for tensor in tensors:
            np.testing.assert_array_equal(tensor.reshape(len(keys), -1)[:, 0], np.arange(len(keys)))
        _, parts = read(place / "checkpoint")
        assert parts["part"].facts["epoch"] in (1, 2)
        assert [path for path in (place / "checkpoint").iterdir() if TEMPORARY.fullmatch(path.name)] == []
        assert len(list((place / "checkpoint").iterdir())) == 2


@pytest.mark.slow
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
    np.random.default_rng().shuffle(faults)  # so that a part of them is a fair sample,
    met, turns = Counter[tuple[str, str]](), {}
    for at, kind in faults:
        met[disk.places[at - 1], kind] += 1
        turns[at, kind] = met[disk.places[at - 1], kind]
    faults.sort(key=lambda fault: turns[fault])  # which begins with one fault of each kind at each place in the code
    ends, begun, places = Counter[str](), time.perf_counter(), set()
    for number, (at, kind) in enumerate(faults[: amount(2, len(faults))]):
        places.add((disk.places[at - 1], kind))
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
        found |= {"kinds at places": len(met), "of them tried": len(places)}
        figures(found | {"ends": dict(ends), "seconds": time.perf_counter() - begun})
