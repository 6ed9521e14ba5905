"""The tutorial, command by command, as a reader types it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Said
from leafgraft import imagenet

PAGE = (Path(__file__).parent.parent / "docs" / "tutorial.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("leafgraft ")
]


@pytest.mark.slow
def test_every_command_of_the_tutorial_does_what_the_page_says(
    leafgraft: Callable[..., Said], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in imagenet.cache_dir().glob("resnet50*"):
        (cache / path.name).symlink_to(path)
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    said: dict[str, str] = {}
    for line in LINES:
        if line.startswith("leafgraft serve"):
            assert _page(shlex.split(line)) == "Leafgraft"
            continue
        answer = leafgraft(*shlex.split(line)[1:])
        assert answer.status == 0, f"{line}: {answer.err}"
        said[line] = answer.out
    named = said["leafgraft predict run new/fern/fern_0001.jpg --top 3"]
    assert named.startswith("new/fern/fern_0001.jpg: fern ")
    assert "unknown, nearest to" in said["leafgraft predict run run/curves.png --top 3"]
    assert len(said) == len(LINES) - 1 == 9
    for name in ("check.html", "run/report.html", "why.png", "better/report.html"):
        assert (tmp_path / name).is_file()


def _page(words: list[str]) -> str:
    """What the page of the service is called, asked at a free port."""
    command = [sys.executable, "-m", *words, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        with urllib.request.urlopen(address, timeout=60) as answer:
            found = re.search(r"<title>(.*?)</title>", answer.read().decode())
        assert found is not None
        return found[1]
    finally:
        process.terminate()
        process.wait()
