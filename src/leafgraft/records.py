"""What a run writes down about itself: the request, the data and the software, and every answer."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft import imagenet
from leafgraft.files import sha256
from leafgraft.gathering import Gathered, Settings
from leafgraft.hubs.bring import origin
from leafgraft.machine import versions
from leafgraft.photos import Photo
from leafgraft.report.card import CardFacts, card

PREDICTIONS = ("path", "label", "predicted", "probability", "split")


def request_of(source: Path, settings: Settings, equal: str | None = None) -> dict[str, Any]:
    """What is asked for of a run; one that was interrupted goes on if it is asked for the same.

    Args:
        source: the photos.
        settings: of the run.
        equal: what a comparison holds equal; None without one.
    """
    return {
        "photos": str(source.absolute()),
        "only": None if settings.classes is None else list(settings.classes),
        "equal": equal,
        "recipe": asdict(settings.recipe),
        "val_fraction": settings.val_fraction,
        "test_fraction": settings.test_fraction,
        "seed": settings.seed,
        "engine": settings.engine,
        "views": settings.views,
        "deterministic": settings.deterministic,
        "check": settings.check,
        "group_by": settings.group_by,
        "follow_links": settings.follow_links,
        "folds": settings.folds,
    }


def record_of(source: Path, settings: Settings, found: Gathered, equal: str | None = None) -> dict[str, Any]:
    """What ``run.json`` says of the request, the data and the software."""
    content = sorted(f"{photo.sha256} {photo.label} {photo.split}" for photo in found.photos if not photo.problem)
    return {
        "command": shlex.join(["leafgraft", *sys.argv[1:]]),
        **request_of(source, settings, equal),
        "classes": list(found.classes),
        "counts": dict(Counter(photo.split for photo in found.photos if not photo.problem)),
        "data_sha256": hashlib.sha256("\n".join(content).encode("utf-8", "surrogateescape")).hexdigest(),
        "weights": imagenet.status()
        if settings.weights is None
        else {"file": str(settings.weights), "sha256": sha256(settings.weights)},
        "hub": origin(source),
        "garden": (source / "garden.json").is_file(),
        "versions": versions(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def predictions(
    photos: Sequence[Photo], probabilities: NDArray[np.float32], classes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The lines of ``predictions.csv``."""
    for photo, row in zip(photos, probabilities, strict=True):
        best = int(row.argmax())
        yield {
            "path": photo.path.absolute().as_posix(),
            "label": photo.label,
            "predicted": classes[best],
            "probability": round(float(row[best]), 6),
            "split": photo.split,
        }


def card_of(found: Gathered, record: Mapping[str, Any], metrics: Mapping[str, Any], name: str) -> str:
    """The model card of a run; see `leafgraft.report.card`."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in found.classes}
    for photo in found.photos:
        if photo.split:
            counts[photo.label][photo.split] += 1
    fetched = "source" in record["weights"]
    folds = metrics.get("folds")
    return card(
        CardFacts(
            name=name,
            classes=found.classes,
            counts=counts,
            score=metrics.get("test") or (folds and folds["pooled"]) or metrics.get("val") or {},
            basis="test" if "test" in metrics else "folds" if folds else "val",
            calibration=metrics.get("calibration", {}),
            unknown=metrics.get("unknown") or {},
            recipe=record["recipe"]["name"],
            preprocessing="shorter side to 256 pixels, centre crop of 224 x 224, RGB 0-255; the rest is in the model",
            weights_source="ResNet50 trained on ImageNet, as published with Keras"
            if fetched
            else "a file of the user's",
            weights_licence="MIT (Keras Applications)" if fetched else "that of the file",
            command=record["command"],
            seed=record["seed"],
            garden=record["garden"],
            versions=record["versions"],
        )
    )
