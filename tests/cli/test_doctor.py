from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Said

pytestmark = pytest.mark.quick


def test_it_says_what_is_here(leafgraft: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path / "not" / "there"))
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "1")
    said = leafgraft("doctor", "--json")
    assert (said.status, said.err) == (0, "")
    facts = json.loads(said.out)
    assert facts["versions"]["keras"].startswith("3.")
    assert facts["processor"]
    assert facts["capabilities"]
    assert facts["cores"] >= 1
    assert facts["memory_gb"] >= facts["memory_available_gb"] > 0
    assert facts["disk_free_gb"] > 0
    assert facts["weights"]["present"] is False
    assert facts["weights_sources"] == {}
    text = leafgraft("doctor").out
    assert f"\n  keras: {facts['versions']['keras']}\n" in text
    assert f"\ncache: {tmp_path / 'not' / 'there'}\n" in text
    assert not (tmp_path / "not").exists()
