from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Said
from leafgraft.weights_format import NOTOP


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> Path:
    """An empty cache of the test's own, and no network."""
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "1")
    return tmp_path / "cache"


def test_nothing_is_here_yet(leafgraft: Callable[..., Said], refused: Callable[..., str], cache: Path) -> None:
    said = leafgraft("weights", "status")
    assert (said.status, said.err) == (0, "")
    assert said.out == f"There are no weights in {cache} yet; `leafgraft weights fetch` gets them.\n"
    assert "no weights in" in refused("weights", "path")
    sentence = refused("weights", "fetch")
    for way_out in ("LEAFGRAFT_OFFLINE is set", "--weights FILE", "leafgraft[mirror]", str(cache)):
        assert way_out in sentence


def test_a_file_of_ones_own(leafgraft: Callable[..., Said], refused: Callable[..., str], weights: Path) -> None:
    said = leafgraft("weights", "fetch", "--weights", weights, "--json")
    assert said.status == 0
    assert json.loads(said.out) == {"file": str(weights)}
    assert str(weights.parent / "none.h5") in refused("weights", "fetch", "--weights", weights.parent / "none.h5")


def test_a_copied_file_is_recognised_and_damage_noticed(
    leafgraft: Callable[..., Said], refused: Callable[..., str], weights: Path, cache: Path
) -> None:
    cache.mkdir()
    for name in (NOTOP, "resnet50_imagenet.json"):
        (cache / name).symlink_to(weights.parent / name)
    assert json.loads(leafgraft("weights", "path", "--json").out) == {"file": str(cache / NOTOP)}
    assert leafgraft("weights", "path").out == f"{cache / NOTOP}\n"
    known = json.loads(leafgraft("weights", "status", "--json").out)
    assert (known["present"], known["sha256_ok"], known["file"]) == (True, True, str(cache / NOTOP))
    assert leafgraft("weights", "status").out.startswith(f"{cache / NOTOP}: whole, from ")
    assert leafgraft("weights", "fetch").out == f"{cache / NOTOP}: ready\n"
    (cache / NOTOP).unlink()
    shutil.copy(weights, cache / NOTOP)
    with (cache / NOTOP).open("rb+") as file:
        file.truncate(1_000_000)
    assert (
        leafgraft("weights", "status").out
        == f"{cache / NOTOP} is damaged; `leafgraft weights fetch` gets a good one.\n"
    )
    assert "could not be fetched" in refused("weights", "fetch")
