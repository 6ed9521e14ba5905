"""``leafgraft verify``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import Said
from leafgraft import bundle, imagenet
from leafgraft.engine.bank import Bank, row_key
from leafgraft.engine.checkpoint import Checkpoint, Part
from leafgraft.weights_format import NOTOP, TOP


@pytest.fixture
def copy(trained_run: Path, tmp_path: Path) -> Path:
    """A run that may be spoiled; its files are links to those of the real one."""
    shutil.copytree(trained_run, tmp_path / "run", copy_function=os.link)
    return tmp_path / "run"


def spoil(path: Path) -> None:
    """Flip a bit in the middle of a file, which is first parted from the real one."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_a_run_is_whole(leafgraft: Callable[..., Said], trained_run: Path) -> None:
    said = leafgraft("verify", trained_run)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"{trained_run}: whole, a run\n")
    assert "  model/labels.json: 3 species\n" in said.out
    found = json.loads(leafgraft("verify", trained_run / "model", "--json").out)
    assert (found["kind"], found["whole"], found["path"]) == ("classifier", True, str(trained_run / "model"))
    assert found["checked"].keys() == set(bundle.FILES)


@pytest.mark.parametrize("name", bundle.FILES)
def test_the_first_fault_is_named(refused: Callable[..., str], copy: Path, name: str) -> None:
    spoil(copy / "model" / name)
    assert f"model/{name} is missing or damaged; use another copy" in refused("verify", copy)


def test_what_a_run_has_written_down_is_looked_at(refused: Callable[..., str], copy: Path) -> None:
    (copy / "metrics.json").unlink()
    (copy / "metrics.json").write_text('{"accuracy": NaN}', encoding="utf-8")
    assert "metrics.json is refused: it holds NaN, which is no number; use another copy" in refused("verify", copy)


def test_weights_and_their_cache_are_whole(leafgraft: Callable[..., Said], weights: Path, official: Path) -> None:
    said = leafgraft("verify")
    assert said.out.splitlines()[:3] == [
        f"{imagenet.cache_dir()}: whole, a cache of weights",
        f"  {NOTOP}: 318 tensors, as its digest says",
        f"  {TOP}: 320 tensors, as its digest says",
    ]
    assert leafgraft("verify", imagenet.cache_dir()) == said
    assert (
        leafgraft("verify", official).out == f"{official}: whole, a weights file\n  notop.h5: 318 tensors of ResNet50\n"
    )


def test_damaged_weights_are_named(refused: Callable[..., str], weights: Path, cache: Path) -> None:
    assert "There are no weights in" in refused("verify")
    shutil.copytree(weights.parent, cache, copy_function=os.link, ignore=shutil.ignore_patterns("bank", "*.lock"))
    spoil(cache / TOP)
    assert f"{TOP} is damaged; remove it" in refused("verify")
    spoil(cache / NOTOP)
    assert f"{NOTOP} is damaged; remove it" in refused("verify")


def test_a_bank_and_a_checkpoint(leafgraft: Callable[..., Said], refused: Callable[..., str], tmp_path: Path) -> None:
    bank = Bank(tmp_path / "bank", "settings", [(3,)])
    bank.append([row_key("photo", view) for view in range(5)], [np.ones((5, 3), np.float32)])
    bank.commit()
    assert leafgraft("verify", bank.folder).out == f"{bank.folder}: whole, a bank\n  {bank.folder.name}: 5 rows\n"
    assert leafgraft("verify", tmp_path / "bank").out.endswith(f"  {bank.folder.name}: 5 rows\n")
    spoil(bank.folder / "tensor_0")
    assert f"{bank.folder} is damaged (a row differs from its checksum)" in refused("verify", tmp_path / "bank")

    checkpoint = Checkpoint(tmp_path / "run" / "checkpoints", "mine")
    checkpoint.keep("part", lambda: Part({}, [np.ones(3), np.ones(4)]))
    checkpoint.write()
    assert leafgraft("verify", tmp_path / "run").out.endswith("whole, a checkpoint\n  part: 2 arrays\n")
    assert leafgraft("verify", checkpoint.folder).out.endswith("whole, a checkpoint\n  part: 2 arrays\n")
    spoil(next(checkpoint.folder.glob("*.npz")))
    assert "is damaged; without it the training begins again" in refused("verify", tmp_path / "run")


def test_anything_else_is_not_ours(refused: Callable[..., str], tmp_path: Path) -> None:
    assert f"{tmp_path} is nothing of ours; name one of: classifier, run" in refused("verify", tmp_path)
    assert f"{tmp_path / 'none'} is not there; name one of" in refused("verify", tmp_path / "none")
    (tmp_path / "notes.txt").write_text("rose", encoding="utf-8")
    assert "notes.txt is neither .npz nor HDF5" in refused("verify", tmp_path / "notes.txt")


def test_it_loads_neither_keras_nor_tensorflow(trained_run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from leafgraft.verifying import verify;"
        f"verify(Path({str(trained_run)!r})); print({{'keras', 'tensorflow'}}.isdisjoint(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "True"
