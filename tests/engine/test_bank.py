"""The activation bank."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from leafgraft.engine.bank import ENTRY, Bank, room, row_key

pytestmark = pytest.mark.quick

SHAPES = [(2, 3), (4,)]


def rows(keys: list[bytes]) -> list[NDArray[np.float32]]:
    """Rows that can be told from their keys."""
    seeds = [int.from_bytes(key[:4], "big") for key in keys]
    return [
        np.stack([np.random.default_rng([seed, i]).random(shape, np.float32) for seed in seeds])
        for i, shape in enumerate(SHAPES)
    ]


def assert_holds(bank: Bank, keys: list[bytes]) -> None:
    assert bank.missing(keys) == []
    for tensor, expected in zip(bank.rows().take(bank.places(keys)), rows(keys), strict=True):
        np.testing.assert_array_equal(tensor, expected.astype(np.float16))


def test_rows_come_back_by_key(tmp_path: Path) -> None:
    bank = Bank(tmp_path, "settings", SHAPES)
    keys = [row_key("photo", view) for view in range(5)]
    assert bank.missing(keys) == [0, 1, 2, 3, 4]
    bank.append(keys[:3], rows(keys[:3]))
    bank.commit()
    assert bank.missing(keys) == [3, 4]
    bank.append(keys[3:], rows(keys[3:]))
    bank.commit()
    assert_holds(bank, keys)
    assert_holds(Bank(tmp_path, "settings", SHAPES), keys)


def test_other_settings_are_another_bank(tmp_path: Path) -> None:
    key = row_key("photo", 0)
    bank = Bank(tmp_path, "settings", SHAPES)
    bank.append([key], rows([key]))
    bank.commit()
    assert Bank(tmp_path, "other settings", SHAPES).missing([key]) == [0]
    assert Bank(tmp_path, "settings", [(4,)]).missing([key]) == [0]


def test_what_was_not_committed_does_not_count(tmp_path: Path) -> None:
    keys = [row_key("photo", view) for view in range(4)]
    killed = Bank(tmp_path, "settings", SHAPES)
    killed.append(keys[:1], rows(keys[:1]))
    killed.commit()
    killed.append(keys[1:3], [2 * part for part in rows(keys[1:3])])  # and here it dies
    bank = Bank(tmp_path, "settings", SHAPES)
    assert bank.missing(keys) == [1, 2, 3]
    bank.append(keys[1:], rows(keys[1:]))
    bank.commit()
    assert_holds(bank, keys)


def test_half_a_key_does_not_count(tmp_path: Path) -> None:
    keys = [row_key("photo", view) for view in range(3)]
    bank = Bank(tmp_path, "settings", SHAPES)
    bank.append(keys[:2], rows(keys[:2]))
    bank.commit()
    with (bank.folder / "rows").open("r+b") as file:
        file.truncate(2 * ENTRY.itemsize - 5)
    again = Bank(tmp_path, "settings", SHAPES)
    assert again.missing(keys) == [1, 2]
    again.append(keys[1:], rows(keys[1:]))
    again.commit()
    assert_holds(again, keys)


@settings(max_examples=30, deadline=None)
@given(tensor=st.integers(0, 1), row=st.integers(0, 4), flipped=st.integers(0, 255))
def test_a_row_that_the_disk_has_spoilt_shows(tensor: int, row: int, flipped: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bank = Bank(Path(folder), "settings", SHAPES)
        keys = [row_key("photo", view) for view in range(5)]
        bank.append(keys, rows(keys))
        bank.commit()
        path = bank.folder / f"tensor_{tensor}"
        content = bytearray(path.read_bytes())
        size = len(content) // 5
        content[row * size + flipped % size] ^= 1 + flipped // 2
        path.write_bytes(content)
        good = Bank(Path(folder), "settings", SHAPES).rows().intact(np.arange(5))
        assert good.tolist() == [place != row for place in range(5)]


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=6))
def test_any_order_of_filling_gives_the_same_rows(parts: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bank = Bank(Path(folder), "settings", SHAPES)
        for part in parts:
            keys = [row_key("photo", number) for number in part]
            wanted = [keys[i] for i in bank.missing(keys)]
            if wanted:
                bank.append(wanted, rows(wanted))
                bank.commit()
        everything = [row_key("photo", number) for part in parts for number in part]
        if everything:
            assert_holds(bank, everything)


def test_values_beyond_half_precision_stay_finite(tmp_path: Path) -> None:
    bank = Bank(tmp_path, "settings", [(2,)])
    bank.append([row_key("photo", 0)], [np.array([[1e9, -1e9]], np.float32)])
    bank.commit()
    np.testing.assert_array_equal(bank.rows().take(np.array([0]))[0], [[65504, -65504]])


def test_wrong_shape_is_refused(tmp_path: Path) -> None:
    bank = Bank(tmp_path, "settings", SHAPES)
    with pytest.raises(ValueError, match="1 rows of shape"):
        bank.append([row_key("photo", 0)], [np.zeros((1, 9, 9), np.float32), np.zeros((1, 4), np.float32)])


def test_processes_that_fill_at_once_leave_one_good_bank(tmp_path: Path) -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[2])
from test_bank import SHAPES, rows
from pathlib import Path
from leafgraft.engine.bank import Bank, row_key
bank = Bank(Path(sys.argv[1]), "settings", SHAPES)
keys = [row_key("photo", view) for view in range(60)]
for start in range(0, 60, 5):
    with bank.lock():
        part = keys[start : start + 5]
        part = [part[i] for i in bank.missing(part)]
        if part:
            bank.append(part, rows(part))
            bank.commit()
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    for process in [subprocess.Popen(command) for _ in range(3)]:
        assert process.wait(timeout=60) == 0
    bank = Bank(tmp_path, "settings", SHAPES)
    assert_holds(bank, [row_key("photo", view) for view in range(60)])
    assert (bank.folder / "rows").stat().st_size == 60 * ENTRY.itemsize


def test_what_has_been_read_does_not_stay_resident(tmp_path: Path) -> None:
    bank = Bank(tmp_path, "settings", [(2_000_000,)])
    keys = [row_key("photo", view) for view in range(40)]
    for key in keys:
        bank.append([key], [np.zeros((1, 2_000_000), np.float32)])
    bank.commit()
    script = """
import sys, numpy as np, psutil
from pathlib import Path
from leafgraft.engine.bank import Bank
rows = Bank(Path(sys.argv[1]), "settings", [(2_000_000,)]).rows()
before = psutil.Process().memory_info().rss
for place in range(40):
    assert rows.intact(np.array([place])).all()
    rows.take(np.array([place]))
print(psutil.Process().memory_info().rss - before)
"""
    answer = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 40e6  # of 160 MB


def test_room_is_what_the_budget_leaves(tmp_path: Path) -> None:
    assert room(tmp_path, 0.001) == 1_000_000
    bank = Bank(tmp_path, "settings", [(1000,)])
    bank.append([row_key("photo", 0)], [np.zeros((1, 1000), np.float32)])
    bank.commit()
    assert 996_000 < room(tmp_path, 0.001) < 998_000
    assert room(tmp_path, 0.0) == 0
    assert room(tmp_path) > 0
