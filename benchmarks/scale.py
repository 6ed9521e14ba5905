"""Memory and time a photo on 1,000 and 10,000 photos, of a training and of a check, and what a second run saves."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.common import cold_cache, leafgraft, machine

SIZES = (1_000, 10_000)
PLACE = Path("build/benchmarks")
# One view and one epoch of everything that the default recipe does.
OPTIONS = ("--recipe", "best", "--views", 1, "--epochs-fine", 1)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train on drawn photos of ten species, each size in a process of its own with an empty bank."""
    found = []
    for size in SIZES:
        photos = _drawn(size)
        with tempfile.TemporaryDirectory(dir=PLACE) as name:
            seconds, peak = leafgraft("train", photos, "-o", Path(name) / "run", *OPTIONS, cache=cold_cache(name))
            metrics = json.loads((Path(name) / "run" / "metrics.json").read_text())
        found.append({"photos": size, "seconds": seconds, "peak_mb": peak, "parts": metrics["seconds"]})
        print(found[-1], flush=True)
    return {"machine": machine(), "options": " ".join(map(str, OPTIONS)), "runs": found}


def measure_check(arguments: argparse.Namespace) -> dict[str, Any]:
    """``leafgraft check`` on drawn photos, first with an empty bank and then with the features in it.

    The difference is the time that the features take.
    """
    found = []
    for size in SIZES:
        photos = _drawn(size)
        with tempfile.TemporaryDirectory(dir=PLACE) as name:
            cache = cold_cache(name)
            seconds, peak = leafgraft("check", photos, "--json", cache=cache)
            rest, _ = leafgraft("check", photos, "--json", cache=cache)
        found.append({"photos": size, "seconds": seconds, "rest": rest, "peak_mb": peak})
        print(found[-1], flush=True)
    return {"machine": machine(), "runs": found}


def _drawn(size: int) -> Path:
    """The garden with so many photos, which stays for the next measurement."""
    from leafgraft.photos.garden import SPECIES, grow

    return grow(PLACE / f"garden-{size}", per_species=size // len(SPECIES), seed=0)


def measure_again(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds that the frozen layers take in a first run, in one with another seed, and in one with another split."""
    from leafgraft import run
    from leafgraft.classifier import PlantClassifierTransferLearning
    from leafgraft.recipes import AUTO

    found = {}
    with tempfile.TemporaryDirectory() as name:
        for what, seed, split in (("first", 0, 0), ("another seed", 1, 0), ("another split", 2, 1)):
            side = run.gather(arguments.photos, run.Settings(AUTO, None, 0.15, 0.15, split))
            watch = _Frozen()
            start = time.perf_counter()
            PlantClassifierTransferLearning(
                len(side.classes), class_names=side.classes, seed=seed, bank=Path(name)
            ).fit(
                side.train,
                recipe=replace(AUTO, epochs_fine=1, budget=None),
                validation_data=side.val,
                verbose=0,
                progress=watch,
            )
            found[what] = {"seconds": time.perf_counter() - start, "frozen": watch.seconds}
            print(what, found[what], flush=True)
    return {"machine": machine(), "runs": found}


class _Frozen:
    """Adds up the seconds in which frozen layers are compiled and computed."""

    def __init__(self) -> None:
        self.seconds, self._begun = 0.0, 0.0

    def __call__(self, text: str, done: int, total: int) -> None:
        if "frozen" not in text:
            return
        now = time.perf_counter()
        if not self._begun:
            self._begun = now
        if total and done >= total:
            self.seconds, self._begun = self.seconds + now - self._begun, 0.0
