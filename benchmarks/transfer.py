"""What copies do to the figure of a test, what transfer buys, and whether exported files answer alike."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import exports
from benchmarks.common import cold_cache, first_ten, leafgraft, machine

HALVES = {"by species alone": ("--no-check",), "copies and bursts on one side": ()}
"""How a training splits photos, and what it is told for it."""


def measure_copies(arguments: argparse.Namespace) -> dict[str, Any]:
    """Accuracy of the probe over all species, a quarter held out, with and without copies on both sides."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        cache = cold_cache(name)
        for how, told in HALVES.items():
            for seed in arguments.seeds:
                run = Path(name) / f"{len(found)}-{seed}"
                leafgraft(
                    "train", arguments.photos, "-o", run, "--recipe", "quick", "--seed", seed, "--val-fraction", 0,
                    "--test-fraction", 0.25, *told, cache=cache,
                )  # fmt: skip
                metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
                found.setdefault(how, []).append(metrics["test"]["accuracy"])
            print(how, found[how], fmean(found[how]), flush=True)
    return {"machine": machine(), "found": found}


def measure_scratch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Ten species, 10 epochs of the head and 5 of fine-tuning against as many seconds from random weights."""
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        leafgraft(
            "compare", arguments.photos, "-o", run, "--val-fraction", 0, "--test-fraction", 0.25, "--seed", 0,
            "--epochs-fine", 5, "--classes", ",".join(first_ten(arguments.photos)), cache=cold_cache(name),
        )  # fmt: skip
        picture = Path("docs/images/scratch-against-transfer.png")
        picture.write_bytes((run / "comparison.png").read_bytes())
        return {"machine": machine(), "found": json.loads((run / "comparison.json").read_text(encoding="utf-8"))}


def measure_exports(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every format, for a run of `quick` on all species."""
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        leafgraft("train", arguments.photos, "-o", run, "--recipe", "quick", cache=cold_cache(name))
        return exports.measure(argparse.Namespace(run=run))
