"""Everything that the report of a run can show: real figures of invented answers, and drawn photos."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.photos.garden import SPECIES, draw
from leafgraft.report.page import (
    CompareFacts,
    Group,
    Mistake,
    Neighbour,
    Rejection,
    Reliability,
    RunFacts,
    Section,
    SpeciesRow,
    Thumb,
    thumbnail,
)
from leafgraft.verdict.metrics import accuracy_interval, confusion, most_confused, score, sentence


def photo(species: str, seed: int) -> bytes:
    return thumbnail(np.asarray(draw(species, seed, (96, 96))), side=96)


def rows(labels: NDArray[np.int64], named: NDArray[np.int64], classes: list[str]) -> list[SpeciesRow]:
    matrix = confusion(labels, named, len(classes))
    found = []
    for index, name in enumerate(classes):
        right, of_it, so_named = (
            int(count) for count in (matrix[index, index], matrix[index].sum(), matrix[:, index].sum())
        )
        recall, precision = right / of_it, right / so_named
        low, high = accuracy_interval(named[labels == index] == index)
        found.append(SpeciesRow(name, 30, of_it, precision, recall, (low, high), 2 * right / (of_it + so_named)))
    return found


def history() -> list[dict[str, Any]]:
    stages = ["probe", "probe", *["fine"] * 6]
    return [
        {
            "stage": stage,
            "epoch": epoch,
            "seconds": 7.5,
            "loss": 1.4 / epoch,
            "accuracy": 1 - 0.5 / epoch,
            "val_loss": 1.6 / epoch,
            "val_accuracy": 0.97 - 0.5 / epoch,
            "learning_rate": None if stage == "probe" else 1e-4,
        }
        for epoch, stage in enumerate(stages, 1)
    ]


def found_by_audit(pictures: list[bytes]) -> list[Section]:
    copies = Group("the same photo twice", [Thumb(pictures[0], "rose/1.jpg", "rose"), Thumb(None, "oak/2.jpg", "oak")])
    return [
        Section("copies", "Copies", "Keep one of each.", "mend", "37 photos are there more than once.", [copies], 36),
        Section("light", "Light", "", "look", "One photo is almost black.", [Group("", [Thumb(pictures[1], "a.jpg")])]),
        Section("sizes", "Sizes", "", "fine", "Every photo is large enough."),
    ]


def facts(classes: list[str], mistakes: int = 14) -> RunFacts:
    k = len(classes)
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(k), 8)
    logits = rng.normal(size=(len(labels), k))
    logits[np.arange(len(labels)), labels] += 3.2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    named = shares.argmax(axis=1)
    figures = score(labels, shares)
    matrix = confusion(labels, named, k)
    pictures = [photo(species, 1) for species in SPECIES[:4]]
    neighbours = [Neighbour(picture, classes[at % k], f"photos/{at}.jpg") for at, picture in enumerate(pictures[:3])]
    return RunFacts(
        title="Hedgerow",
        sentence=sentence(figures),
        notes=["Two photos were left out."],
        history=history(),
        figures=figures,
        folds={"accuracy": [0.94, 0.96, 0.95], "mean": 0.95, "spread": 0.008},
        reliability=[
            Reliability("before", 0.06, 1.0, [0.4, 0.7, 0.95], [0.5, 0.8, 1.0], [4, 20, 96]),
            Reliability("after", 0.02, 0.71, [0.5, 0.8, 0.97], [0.5, 0.8, 1.0], [4, 20, 96]),
        ],
        matrix=matrix,
        classes=classes,
        species=rows(labels, named, classes),
        confused=most_confused(matrix, classes),
        mistakes=[
            Mistake(
                pictures[at % 4], pictures[(at + 1) % 4] if at else None, f"photos/wrong {at}.jpg",
                classes[at % k], classes[(at + 1) % k], 0.99 - 0.02 * at, neighbours if at != 1 else (),
            )
            for at in range(mistakes)
        ],
        rejection=Rejection("energy", 0.95, 0.942, "Photos that look like none of the species get no name."),
        comparison=CompareFacts(
            "Transfer is better.",
            [("scratch", [400.0, 900.0], [0.2, 0.31]), ("transfer", [20.0, 40.0], [0.9, 0.95])],
        ),
        audit=found_by_audit(pictures),
        record={
            "command": "leafgraft train photos -o hedgerow",
            "recipe": {"name": "best", "unfreeze": 50, "augmentation": {"flip": True, "shift": 0.2}},
            "seed": 7,
            "views": None,
            "garden": False,
            "classes": classes,
            "counts": {"train": 300, "val": 40, "test": 80},
            "versions": {"leafgraft": "0.1.0", "keras": "3.15.1"},
            "status": "running",
        },
        seconds={"scan": 1.5, "fine": 190.0, "newer": 0.0, "total": 201.25},
        peak_mb=2816.0,
    )  # fmt: skip
