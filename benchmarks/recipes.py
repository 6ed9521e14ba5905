"""The literal recipe, the classic one and the default, on the same split of the ten species, each a cold process."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import cold_cache, first_ten, leafgraft, machine


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and accuracy of each recipe for each seed, in turns; banks begin empty."""
    from leafgraft import imagenet, run
    from leafgraft.files import write_csv
    from leafgraft.recipes import CLASSIC

    weights = imagenet.fetch()
    found: dict[str, list[dict[str, Any]]] = {"literal": [], "classic": [], "quick": [], "auto": []}
    for seed in arguments.seeds[:3]:
        split = run.gather(arguments.photos, run.Settings(CLASSIC, first_ten(arguments.photos), 0.0, 0.25, seed))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            listing = folder / "photos.csv"
            rows = [
                {"path": photo.path.absolute(), "label": photo.label, "split": photo.split}
                for photo in split.photos
                if photo.split
            ]
            write_csv(listing, ("path", "label", "split"), rows)
            for recipe in ("quick", "auto", "classic"):
                epochs = ("--epochs-frozen", arguments.epochs[0], "--epochs-fine", arguments.epochs[1])
                output = folder / recipe
                start = time.time()
                seconds, peak = leafgraft(
                    "train", listing, "-o", output, "--recipe", recipe, "--seed", seed,
                    *(epochs if recipe == "classic" else ()), cache=cold_cache(folder),
                )  # fmt: skip
                metrics = json.loads((output / "metrics.json").read_text())
                first = output / "first.json"
                found[recipe].append({
                    "seed": seed,
                    "seconds": seconds,
                    "peak_mb": peak,
                    "accuracy": metrics["test"]["accuracy"],
                    "first_saved": first.stat().st_mtime - start if first.exists() else seconds,
                    "parts": metrics["seconds"],
                })  # fmt: skip
                print(recipe, found[recipe][-1], flush=True)
            found["literal"].append({"seed": seed} | _literal(split, folder, weights, seed, arguments))
            print("literal", found["literal"][-1], flush=True)
    return {"machine": machine(), "epochs": list(arguments.epochs), "runs": found}


def _literal(split: Any, folder: Path, weights: Path, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Where fewer epochs are run than the recipe has, each of the others is counted like the last of its stage."""
    for name in ("train", "test"):
        lines = [f"{photo.path.absolute()},{split.classes.index(photo.label)}" for photo in split.side(name)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    ran = [min(pair) for pair in zip(arguments.literal, arguments.epochs, strict=True)]
    command = [
        sys.executable, "-m", "benchmarks.literal", folder / "train.csv", folder / "test.csv", weights,
        "--seed", seed, "--epochs", *ran,
    ]  # fmt: skip
    # TensorFlow as it comes: a measurement before this one has set it up our way, and its environment is inherited.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    said = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True, env=environment
    ).stdout
    curve = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    ends = [0.0, *(row["seconds"] for row in curve)]
    rest = sum(
        (whole - part) * (ends[end] - ends[end - 1])
        for whole, part, end in zip(arguments.epochs, ran, (ran[0], sum(ran)), strict=True)
    )
    ended = ran == list(arguments.epochs)
    return {
        "seconds": ends[-1] + rest,
        "accuracy": curve[-1]["accuracy"] if ended else None,
        "epochs_run": ran,
        "curve": curve,
    }
