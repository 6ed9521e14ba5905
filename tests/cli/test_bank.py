from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import Said
from leafgraft.engine.bank import Bank, row_key

pytestmark = pytest.mark.quick


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Three rows in a cache of their own."""
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path))
    bank = Bank(tmp_path / "bank", "settings", [(2, 3), (4,)])
    bank.append([row_key("photo", view) for view in range(3)], [np.zeros((3, 2, 3)), np.zeros((3, 4))])
    bank.commit()
    return bank


def test_status_and_clear(leafgraft: Callable[..., Said], bank: Bank) -> None:
    assert "3 views of 2 x 3 and 4: " in leafgraft("bank", "status").out
    content = json.loads(leafgraft("bank", "status", "--json").out)
    assert content["bytes"] >= 3 * (10 * 2 + 32)
    assert [one["rows"] for one in content["banks"]] == [3]
    assert json.loads(leafgraft("bank", "clear", "--json").out) == {"bytes": content["bytes"], "busy": []}
    assert not bank.folder.exists()
    assert json.loads(leafgraft("bank", "status", "--json").out)["banks"] == []


def test_what_is_being_filled_is_left_alone(leafgraft: Callable[..., Said], bank: Bank) -> None:
    with bank.lock():
        said = leafgraft("bank", "clear")
    assert f"left alone, since a training is filling it: {bank.folder}" in said.out
    assert bank.missing([row_key("photo", 0)]) == []


def test_nothing_there(leafgraft: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path / "new"))
    assert leafgraft("bank", "status").status == 0
    assert leafgraft("bank", "clear").out == "0.00 GB freed\n"
