"""Whether what a classifier says can be believed: calibration, strangers, and explanations, over three seeds."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import first_ten, machine

Score = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[Any]]
"""From raw probabilities and pooled features of photos to how strange they are."""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train `best` as the command does, 15 % to validate and 15 % to test, and question the saved classifier."""
    found: dict[str, list[dict[str, Any]]] = {"calibration": [], "deletion": [], "strangers": []}
    with tempfile.TemporaryDirectory() as name:
        for seed in arguments.seeds[:3]:
            whole = _trained(arguments.photos, Path(name) / f"all-{seed}", None, seed)
            found["calibration"].append({"seed": seed} | whole.metrics["calibration"]["test"] | whole.metrics["test"])
            print(found["calibration"][-1], flush=True)
            found["deletion"].append({"seed": seed} | _deletion(whole, Path(name) / f"all-{seed}", seed))
            print(found["deletion"][-1], flush=True)
            ten = _trained(arguments.photos, Path(name) / f"ten-{seed}", first_ten(arguments.photos), seed)
            found["strangers"].append({"seed": seed} | _strangers(ten, Path(name) / f"ten-{seed}", arguments.photos))
            print(found["strangers"][-1], flush=True)
    return {"machine": machine(), "found": found, "garden": _garden()}


def _trained(photos: Path, folder: Path, classes: list[str] | None, seed: int, recipe: str = "best") -> Any:
    from leafgraft import run
    from leafgraft.recipes import RECIPES

    return run.train(photos, folder, run.Settings(RECIPES[recipe], classes, seed=seed))


def _deletion(trained: Any, run: Path, seed: int) -> dict[str, Any]:
    """How far an answer's probability falls without the hottest fifth of the photo, and without a random one."""
    from leafgraft.bundle import Bundle
    from leafgraft.photos import centre
    from leafgraft.verdict.explain import deletion

    test = trained.found.test
    photos = np.stack([centre(test.canvas(i)) for i in range(len(test))])
    heat = Bundle(run).heat(photos, trained.classifier.predict_proba(test).argmax(axis=1))
    found = deletion(photos, heat, trained.classifier.predict_proba, groups=test.groups, seed=seed)
    return {
        "photos": found.photos,
        "hottest": found.hottest,
        "random": found.random,
        "difference_ci95": list(found.difference),
    }


def _strangers(trained: Any, run: Path, photos: Path) -> dict[str, Any]:
    """AUROC and the share that is called unknown, for other species, for what is no plant, and for noise."""
    from leafgraft.bundle import Bundle, stacked
    from leafgraft.photos import load_canvas

    bundle = Bundle(run, batch=8)
    others = [path for folder in sorted(photos.iterdir()) if folder.name not in bundle.classes
              for path in sorted(folder.iterdir())]  # fmt: skip
    sides = {"known": trained.found.test, "val": trained.found.val}
    seen = {name: bundle.seen(data) for name, data in sides.items()}
    for name, pictures in (
        ("other species", map(load_canvas, others)), ("no plants", non_plants()), ("noise", noise())
    ):  # fmt: skip
        seen[name] = stacked(bundle.raw(pictures), len(bundle.classes))
    scores = _scores(bundle, trained)
    return {
        score: {
            name: _separation(judge(*seen["known"]), judge(*seen["val"]), judge(*seen[name]))
            for name in ("other species", "no plants", "noise")
        }
        for score, judge in scores.items()
    }


def _separation(known: NDArray[Any], val: NDArray[Any], strange: NDArray[Any]) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    truth = np.r_[np.zeros(len(known)), np.ones(len(strange))]
    limit = np.quantile(val, 0.95, method="higher")
    return {
        "auroc": float(roc_auc_score(truth, np.r_[known, strange])),
        "rejected": float((strange > limit).mean()),
        "accepted": float((known <= limit).mean()),
        "n": len(strange),
    }


def _scores(bundle: Any, trained: Any) -> dict[str, Score]:
    """The score that is used, and those that it was chosen from."""
    from scipy.special import logsumexp
    from sklearn.covariance import ledoit_wolf

    from leafgraft.engine.probe import rooted

    kernel, bias = trained.classifier.model.get_layer("probabilities").get_weights()
    table, labels = bundle.known.features.astype(np.float32), bundle.known.labels
    means = np.stack([table[labels == label].mean(axis=0) for label in range(len(bundle.classes))])
    precision = np.linalg.inv(ledoit_wolf(table - means[labels])[0])

    def mahalanobis(shares: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[Any]:
        gaps = [rooted(features) - mean for mean in means]
        nearest: NDArray[Any] = np.min([((gap @ precision) * gap).sum(axis=1) for gap in gaps], axis=0)
        return nearest

    return {
        "distance and entropy": lambda shares, features: bundle.judged(shares, features).strangeness,
        "entropy": lambda shares, features: -(shares * np.log(shares + 1e-12)).sum(axis=1),
        "maximum probability": lambda shares, features: -shares.max(axis=1),
        "energy": lambda shares, features: -logsumexp(rooted(features) @ kernel + bias, axis=1),
        "nearest neighbour": lambda shares, features: 1 - bundle.known.nearest(features, 1)[1][:, 0],
        "5 nearest neighbours": lambda shares, features: 1 - bundle.known.nearest(features, 5)[1].mean(axis=1),
        "Mahalanobis": mahalanobis,
    }


def non_plants() -> list[NDArray[np.uint8]]:
    """Pictures that scikit-image carries, as canvases."""
    import skimage.data
    from PIL import Image

    from leafgraft.photos import canvas

    names = (
        "astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "colorwheel", "gravel",
        "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon", "page", "retina", "rocket", "text",
    )  # fmt: skip
    found = []
    for name in names:
        try:
            pixels = np.asarray(getattr(skimage.data, name)())
        except Exception as error:  # some are not part of the package and would have to be downloaded
            print(f"left out: {name} ({type(error).__name__})", flush=True)
            continue
        found.append(canvas(Image.fromarray(pixels).convert("RGB")))
    return found


def noise() -> list[NDArray[np.uint8]]:
    """Random colours in squares of several sizes, sharp and soft."""
    from PIL import Image

    chance = np.random.default_rng(0)
    filters = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    return [
        np.array(Image.fromarray(chance.integers(0, 256, (size, size, 3), np.uint8)).resize((256, 256), how))
        for size in (1, 2, 4, 8, 16, 32, 64, 128, 256)
        for how in filters
    ]


def _garden() -> dict[str, Any]:
    """The two kinds of the garden that are never trained on."""
    from leafgraft.bundle import Bundle, stacked
    from leafgraft.photos import load_canvas
    from leafgraft.photos.garden import grow

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        garden = grow(folder / "garden", per_species=40, seed=0)
        strangers = grow(folder / "strangers", per_species=40, seed=0, strangers=True)
        trained = _trained(garden, folder / "run", None, 0)
        bundle = Bundle(folder / "run", batch=8)
        paths = sorted(path for path in strangers.rglob("*") if path.suffix in (".jpg", ".png"))
        seen = {name: bundle.seen(data) for name, data in (("known", trained.found.test), ("val", trained.found.val))}
        seen["strangers"] = stacked(bundle.raw(map(load_canvas, paths)), len(bundle.classes))
        strange = {side: bundle.judged(*raw).strangeness for side, raw in seen.items()}
        return _separation(strange["known"], strange["val"], strange["strangers"])
