"""What ``leafgraft check`` finds of planted faults, and what photos taken in a row do to the figure of a test."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.common import cold_cache, machine
from benchmarks.plant import found, plant, plant_bursts
from leafgraft.files import write_csv
from leafgraft.photos import read_manifest

HELD_OUT = 0.25
"""The share of each species that is tested on."""

PLANTS, SHOTS, SPLITS = 20, 4, 4
"""Of each species, of each plant, and of the same photos."""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Shares of planted faults that are found, false pairs, and test figures with bursts divided and kept whole.

    Paths are relative to the folder that ``python -m benchmarks.plant PHOTOS OUT --seed SEED`` makes again.
    """
    faults, bursts = [], []
    for seed in arguments.seeds[:3]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            cache = cold_cache(folder)
            faults.append({"seed": seed} | _faults(arguments.photos, folder / "faults", seed, cache))
            print("faults", faults[-1], flush=True)
            bursts.append({"seed": seed} | _bursts(arguments.photos, folder / "bursts", seed, cache))
            print("bursts", bursts[-1], flush=True)
    return {"machine": machine(), "faults": faults, "bursts": bursts}


def _faults(source: Path, folder: Path, seed: int, cache: Path) -> dict[str, Any]:
    photos = folder / "photos"
    truth = plant(source, photos, seed)
    report = _answer("check", photos, "--json", cache=cache)
    figures = found(truth, report)
    # Nothing else of the figures is a path, and the folder will be gone when a person looks at the pairs.
    within = f"{photos.absolute().as_posix()}/"
    relative: dict[str, Any] = json.loads(json.dumps(figures, ensure_ascii=False).replace(within, ""))
    return relative


def _bursts(source: Path, folder: Path, seed: int, cache: Path) -> dict[str, Any]:
    """Accuracy on the test photos of runs and on fresh ones, with bursts divided ("naive") and whole ("grouped").

    Several splits of the same photos, since those of one are of few plants: the means are what is compared.
    """
    bursts = plant_bursts(source, folder, seed, plants=PLANTS, shots=SHOTS)["bursts"]
    photos, fresh = folder / "photos", folder / "fresh"
    figures: dict[str, Any] = {}
    for name in ("naive", "grouped"):
        splits = []
        for split in range(SPLITS):
            run = folder / f"{name}-{split}"
            data = _naive(photos, folder / "naive.csv", split) if name == "naive" else photos
            held = _answer(
                "train", data, "-o", run, "--recipe", "quick", "--seed", split,
                "--val-fraction", 0, "--test-fraction", HELD_OUT, "--json", cache=cache,
            )["test"]  # fmt: skip
            real = _answer("evaluate", run, fresh, "--json", cache=cache)
            divided = _divided(bursts, run / "manifest.csv")
            splits.append({"test": held["accuracy"], "fresh": real["accuracy"], "divided_bursts": divided})
        means = {side: fmean(one[side] for one in splits) for side in ("test", "fresh")}
        figures[name] = means | {"too_high": means["test"] - means["fresh"], "splits": splits}
    return figures


def _naive(photos: Path, listing: Path, seed: int) -> Path:
    """Write a split by species alone, as is usual: which photos were taken in a row does not count."""
    chance = np.random.default_rng(seed)
    rows = []
    for folder in sorted(photos.iterdir()):
        paths = sorted(folder.iterdir())
        held = set(chance.permutation(len(paths))[: round(HELD_OUT * len(paths))].tolist())
        rows += [
            {"path": path.absolute().as_posix(), "label": folder.name, "split": "test" if i in held else "train"}
            for i, path in enumerate(paths)
        ]
    write_csv(listing, ("path", "label", "split"), rows)
    return listing


def _divided(bursts: list[list[str]], manifest: Path) -> int:
    """How many bursts have photos on more than one side of a run's split."""
    side = {photo.path.absolute().as_posix(): photo.split for photo in read_manifest(manifest) if photo.split}
    return sum(len({side[path] for path in burst if path in side}) > 1 for burst in bursts)


def _answer(*arguments: object, cache: Path) -> dict[str, Any]:
    """Run the command line as a user would, with ``--json``; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "leafgraft", *map(str, arguments)], env=os.environ | {"LEAFGRAFT_CACHE": str(cache)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"leafgraft {arguments[0]} failed: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
