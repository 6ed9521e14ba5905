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
            found["literal"].append({"seed": seed} | _literal(split, folder, weights, seed, arguments.epochs))
            print("literal", found["literal"][-1], flush=True)
    return {"machine": machine(), "epochs": list(arguments.epochs), "runs": found}


def _literal(split: Any, folder: Path, weights: Path, seed: int, epochs: Any) -> dict[str, Any]:
    for name in ("train", "test"):
        lines = [f"{photo.path.absolute()},{split.classes.index(photo.label)}" for photo in split.side(name)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    command = [
        sys.executable, "-m", "benchmarks.literal", folder / "train.csv", folder / "test.csv", weights,
        "--seed", seed, "--epochs", *epochs,
    ]  # fmt: skip
    # TensorFlow as it comes: a measurement before this one has set it up our way, and its environment is inherited.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    said = subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True, env=environment
    ).stdout
    curve = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {"seconds": curve[-1]["seconds"], "accuracy": curve[-1]["accuracy"], "curve": curve}
