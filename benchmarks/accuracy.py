"""What each step of the recipes reaches on photos that were not trained on, over several data sets and seeds."""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.common import machine, spread

FEW = 10
GARDEN = 40


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Accuracy and balanced accuracy after each step, a quarter of each species held out; nothing is chosen by it."""
    folder = Path("build/benchmarks")
    from leafgraft.photos.garden import grow

    garden = grow(folder / "garden", per_species=GARDEN, seed=0)
    field = degrade(arguments.photos, folder / "field")
    found: dict[str, Any] = {}
    for name, photos, few, seeds in (
        ("whole", arguments.photos, 0, arguments.seeds),
        ("few", arguments.photos, FEW, arguments.seeds),
        ("garden", garden, 0, arguments.seeds[:3]),
        ("field", field, 0, arguments.seeds[:3]),
    ):
        steps: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for seed in seeds:
            for step, figures in _steps(photos, few, seed).items():
                steps[step].append(figures)
            print(name, seed, {step: values[-1] for step, values in steps.items()}, flush=True)
        found[name] = {
            step: {
                "accuracy": spread([accuracy for accuracy, _ in values]) | {"mean": float(np.mean(values, axis=0)[0])},
                "balanced": spread([balanced for _, balanced in values]) | {"mean": float(np.mean(values, axis=0)[1])},
            }
            for step, values in steps.items()
        }
    return {"machine": machine(), "found": found}


def _steps(photos: Path, few: int, seed: int) -> dict[str, tuple[float, float]]:
    from leafgraft import run
    from leafgraft.classifier import PlantClassifierTransferLearning
    from leafgraft.recipes import AUTO

    split = run.gather(photos, run.Settings(AUTO, None, 0.0, 0.25, seed))
    train, test = split.train, split.test
    assert test is not None
    if few:
        chance = np.random.default_rng(seed)
        labels = range(len(split.classes))
        train = train.subset(
            np.sort(np.concatenate([chance.permutation(np.flatnonzero(train.labels == one))[:few] for one in labels]))
        )
    classifier = PlantClassifierTransferLearning(len(split.classes), class_names=split.classes, seed=seed)
    found: dict[str, tuple[float, float]] = {}

    def told(step: str) -> None:
        right = classifier.predict_proba(test).argmax(axis=1) == test.labels
        balanced = np.mean([right[test.labels == label].mean() for label in np.unique(test.labels)])
        found[step] = float(right.mean()), float(balanced)

    names = iter(("probe", "probe with views"))
    classifier.fit(train, recipe=replace(AUTO, budget=None), verbose=0, on_probe=lambda: told(next(names)))
    told("at the end")
    return found


def degrade(photos: Path, folder: Path) -> Path:
    """Make field photos of close-ups: far away, among other green, out of focus, and ever fewer of each species.

    Args:
        photos: a folder per species.
        folder: where they go; what is there already is kept.
    """
    from leafgraft.photos.garden import STRANGERS, draw

    done = folder.with_suffix(".done")
    if done.exists():
        return folder
    greens = [draw(STRANGERS[i % len(STRANGERS)], seed=i).convert("RGB").resize((320, 320)) for i in range(40)]
    species = sorted(path for path in photos.iterdir() if path.is_dir())
    for number, source in enumerate(species):
        target = folder / source.name
        target.mkdir(parents=True, exist_ok=True)
        files = sorted(source.iterdir())
        for position, path in enumerate(files[: max(16, round(len(files) * 0.88**number))]):
            chance = np.random.default_rng([number, position])
            back = greens[int(chance.integers(len(greens)))].rotate(90 * int(chance.integers(4)))
            scene = back.filter(ImageFilter.GaussianBlur(float(chance.uniform(0, 2))))
            with Image.open(path) as image:
                size = int(chance.uniform(0.3, 0.65) * 320)
                plant = image.convert("RGB").resize((size, size))
            mask = (
                Image.radial_gradient("L")
                .resize((size, size))
                .point(lambda v: 255 if v < 150 else max(0, 255 - 4 * (v - 150)))
            )
            scene.paste(plant, (int(chance.integers(20, 300 - size)), int(chance.integers(20, 300 - size))), mask)
            scene = scene.filter(ImageFilter.GaussianBlur(float(chance.uniform(0.3, 1.6))))
            scene.save(target / f"{path.stem}.jpg", quality=int(chance.integers(55, 90)))
    done.touch()
    return folder
