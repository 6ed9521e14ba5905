"""A small training that can be killed, the same to the last bit each time, and what it ends with."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from leafgraft.files import TEMPORARY

LEFT = {
    "run.json", "manifest.csv", "history.csv", "metrics.json", "predictions.csv", "curves.png", "confusion.png",
    "report.html", "model",
}  # fmt: skip

# Both stages, two steps an epoch for a kill to fall between, and a checkpoint after each of them.
OPTIONS = (
    "--recipe", "classic", "--epochs-frozen", "1", "--epochs-fine", "1", "--unfreeze", "5", "--views", "2",
    "--classes", "bamboo,cactus,fern,oak,rose,sunflower", "--val-fraction", "0.15", "--test-fraction", "0.15",
    "--deterministic", "--checkpoint-every", "0.001s",
)  # fmt: skip


class SmallRun:
    """One run, by default with a cache of its own.

    Attributes:
        place: the folder of run and cache.
        folder: of the run.
        command: what comes after ``leafgraft``.
    """

    def __init__(self, place: Path, photos: Path, weights: Path, cache: Path | None = None) -> None:
        self.place, self.folder, self._cache = place, place / "run", cache or place / "cache"
        place.mkdir(parents=True)
        self.command = ["train", str(photos), "-o", str(self.folder), "--weights", str(weights), *OPTIONS]

    def start(self, *extra: str) -> subprocess.Popen[str]:
        """Begin it, or go on with it, in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "leafgraft", *self.command, *extra],
            env=os.environ | {"LEAFGRAFT_CACHE": str(self._cache), "LEAFGRAFT_OFFLINE": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def finish(self) -> str:
        """Run it to its end; returns what it said."""
        process = self.start("--resume")
        _, said = process.communicate()
        assert process.returncode == 0, said
        return said

    def result(self) -> dict[str, Any]:
        """All that another run must end with as well; names that Keras and OpenVINO count up are left out."""
        model = self.folder / "model"
        found: dict[str, Any] = {name: _digest((model / name).read_bytes()) for name in ("model.bin", "labels.json")}
        found["calibration"] = json.loads((model / "calibration.json").read_text(encoding="utf-8"))
        for name in ("model.keras", "known.npz", "head.npz"):
            with zipfile.ZipFile(model / name) as archive:
                members = set(archive.namelist()) - {"metadata.json", "config.json"}
                found |= {f"{name} {member}": _digest(archive.read(member)) for member in members}
        found["predictions"] = (self.folder / "predictions.csv").read_text(encoding="utf-8")
        with (self.folder / "history.csv").open(encoding="utf-8", newline="") as file:
            found["history"] = [row | {"seconds": ""} for row in csv.DictReader(file)]
        return found

    def assert_tidy(self) -> None:
        """Nothing has been left that a person would have to remove, and nothing that should be there is missing."""
        assert {path.name for path in self.folder.iterdir()} == LEFT
        assert [path for path in self.place.rglob("*") if TEMPORARY.fullmatch(path.name)] == []


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
