"""The example runs as a reader would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.mark.slow
def test_six_blocks(weights: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "six_blocks.py"
    arguments = ["-o", str(tmp_path), "--per-species", "4", "--epochs-frozen", "3", "--epochs-fine", "1"]
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    places = [done.stdout.index(f"Block {number}.") for number in range(1, 7)]
    assert places == sorted(places)
    assert "175 layers, of which 0 learn" in done.stdout
    assert "by name" in done.stdout
    for name in ("curves.png", "sample.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 600
