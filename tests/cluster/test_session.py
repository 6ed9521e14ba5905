"""The connection to a cluster."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import leafgraft
from leafgraft.cluster.session import Capacity, prepared
from leafgraft.errors import UserError


def test_nothing_else_imports_ray() -> None:
    root = Path(leafgraft.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "ray" for name in names):
                found.add(path.parent.name)
    assert found == {"cluster"}


def test_the_command_line_and_the_jobs_load_without_ray() -> None:
    modules = "leafgraft.cli, leafgraft.cluster.jobs"
    code = f"import sys, {modules}; sys.exit('ray' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_ray_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'leafgraft\[cluster\]'"):
        prepared()


def test_workers_are_as_many_as_find_a_place() -> None:
    cluster = Capacity(processors=20, machines=2, smallest=8, gpus=3)
    assert [cluster.workers_with(gpus) for gpus in (0, 1, 0.5)] == [20, 3, 6]
    with pytest.raises(UserError, match="--gpus-per-worker 1 finds no place: the cluster has 0 GPUs"):
        Capacity(processors=20, machines=2, smallest=8, gpus=0).workers_with(1)
