"""Writes docs/results.md from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import exports
from benchmarks.performance_page import measured, signed

BEGINNING = """# Results

How often answers are right, and what else they are worth; written by `python -m benchmarks PHOTOS results` from what
it measured. The photos are Flowers-17 (Oxford Visual Geometry Group): 1,360 photographs of 17 British flower species,
80 each, as a folder with a folder per species. The *ten species* are the first ten in alphabetical order. Intervals
are at 95 %. What was learned from these and earlier measurements stands in [findings.md](findings.md), speed in
[performance.md](performance.md).
"""

SCORES = {
    "distance and entropy": "**distance to the nearest, and entropy**",
    "entropy": "entropy",
    "maximum probability": "maximum probability",
    "energy": "energy",
    "nearest neighbour": "distance to the nearest",
    "5 nearest neighbours": "mean of 5 nearest",
    "Mahalanobis": "Mahalanobis",
}
STRANGERS = ("other species", "no plants", "noise")
SPLITS = {"naive": "by single photos", "grouped": "bursts kept whole"}


def write(results: Path, page: Path) -> None:
    """Put everything that has been measured so far into one page."""
    found = measured(results)
    sections = [BEGINNING]
    for name, section in (
        ("accuracy", _accuracy), ("copies", _copies), ("verdict", _verdict), ("audit", _audit), ("exports", _exports),
        ("scratch", _scratch),
    ):  # fmt: skip
        if name in found:
            sections.append(signed(section(found[name]), found[name]))
    page.write_text("\n".join(sections), encoding="utf-8")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _accuracy(found: dict[str, Any]) -> Iterator[str]:
    titles = {
        "whole": "Flowers-17, three quarters to train on",
        "few": "Flowers-17, 10 photos a species to train on",
        "garden": "the garden, 40 a species",
        "field": "Flowers-17 far away, among other green, out of focus, 80 down to 16 a species",
    }
    yield "## Accuracy after each step of `auto`\n"
    yield "Mean over seeds, smallest and largest in brackets; a quarter of each species is held out, and nothing is"
    yield "chosen by it. The probe alone is the recipe `quick`. Without a time limit.\n"
    yield "| photos | step | accuracy | mean accuracy of the species | seeds |"
    yield "|---|---|---|---|---|"
    for name, steps in found["found"].items():
        for step, figures in steps.items():
            cells = [
                f"{100 * one['mean']:.1f} % ({100 * one['min']:.1f}-{100 * one['max']:.1f})"
                for one in (figures["accuracy"], figures["balanced"])
            ]
            yield f"| {titles[name]} | {step} | {cells[0]} | {cells[1]} | {figures['accuracy']['n']} |"


def _copies(found: dict[str, Any]) -> Iterator[str]:
    yield "## Copies in Flowers-17, and what they do to the figure\n"
    yield "203 of the 1,360 files show one of 101 pictures that are there twice or three times; `leafgraft check` lists"
    yield (
        "them. A split that ignores them puts some on both sides. The probe (`quick`) over all 17 species, a "
        "quarter held"
    )
    yield "out:\n"
    yield "| split | accuracy, mean | seeds |"
    yield "|---|---|---|"
    for how, figures in found["found"].items():
        yield f"| {how} | {_percent(fmean(figures))} | {', '.join(f'{100 * one:.1f}' for one in figures)} |"


def _verdict(found: dict[str, Any]) -> Iterator[str]:
    rows, falls, strangers = (found["found"][name] for name in ("calibration", "deletion", "strangers"))
    seeds = [f"seed {row['seed']}" for row in rows]
    yield "## Whether what it says can be believed\n"
    yield (
        "Recipe `best`, 15 % to validate and 15 % to test, copies and bursts on one side; every figure is of the saved"
    )
    yield "files.\n"
    yield f"| | {' | '.join(seeds)} | aim |"
    yield f"|---|{'---|' * len(seeds)}---|"
    lines = (
        (f"accuracy, all 17 species, {rows[0]['n']} test photos", [_percent(row["accuracy"]) for row in rows], ""),
        ("calibration error before the temperature", [_percent(row["ece_before"]) for row in rows], ""),
        ("after it", [_percent(row["ece_after"]) for row in rows],
         f"3 % at most: the mean is {_percent(fmean(row['ece_after'] for row in rows))}"),
        ("fall of the probability without the hottest fifth", [f"{row['hottest']:.2f}" for row in falls],
         "far more than"),
        ("without a random fifth", [f"{row['random']:.2f}" for row in falls], ""),
        ("difference, 95 % interval", ["-".join(f"{one:.2f}" for one in row["difference_ci95"]) for row in falls],
         "above 0"),
    )  # fmt: skip
    for title, cells, aim in lines:
        yield f"| {title} | {' | '.join(cells)} | {aim} |"
    counts = {name: strangers[0]["distance and entropy"][name]["n"] for name in STRANGERS}
    yield (
        "\nStrangers: trained on ten species; the photos of the seven others, pictures that scikit-image "
        "carries, and kinds of"
    )
    yield (
        f"noise ({', '.join(f'{count} {name}' for name, count in counts.items())}). AUROC for each seed, and "
        "in brackets the mean"
    )
    yield "share that is called unknown where 95 % of the known validation photos are accepted:\n"
    yield f"| score | {' | '.join(STRANGERS)} |"
    yield f"|---|{'---|' * len(STRANGERS)}"
    for score, title in SCORES.items():
        cells = []
        for name in STRANGERS:
            all_seeds = [row[score][name] for row in strangers]
            aurocs = ", ".join(f"{one['auroc']:.3f}" for one in all_seeds)
            cells.append(f"{aurocs} ({100 * fmean(one['rejected'] for one in all_seeds):.0f} %)")
        yield f"| {title} | {' | '.join(cells)} |"
    means = {name: fmean(row["distance and entropy"][name]["auroc"] for row in strangers) for name in STRANGERS}
    yield f"\nThe mean over seeds for other species is {means['other species']:.3f} (aim 0.95), for what is no plant"
    yield (
        f"{means['no plants']:.3f} (aim 0.99). The two kinds of the garden that are never trained on, drawn "
        "in the same manner as"
    )
    yield f"the others, are told with {found['garden']['auroc']:.3f}."


def _audit(found: dict[str, Any]) -> Iterator[str]:
    yield "## Planted faults\n"
    yield "In a copy of Flowers-17, found by `leafgraft check`:\n"
    yield "| planted | found with each seed | aim |"
    yield "|---|---|---|"
    for kind, first in found["faults"][0]["pairs"].items():
        cells = ", ".join(str(row["pairs"][kind]["found"]) for row in found["faults"])
        yield f"| {first['planted']} {kind} copies | {cells} | 98 % |"
    swapped = [row["swapped"] for row in found["faults"]]
    yield (
        f"| {swapped[0]['planted']} swapped labels, among the first {swapped[0]['among']} suspects | "
        f"{', '.join(str(one['found']) for one in swapped)}, with the right suggestion "
        f"{', '.join(str(one['right']) for one in swapped)} | 15 |"
    )
    false = ", ".join(str(row["false_pairs"]["count"]) for row in found["faults"])
    yield f"\nPairs that planting does not explain: {false}; the data set has copies of its own."
    splits = len(found["bursts"][0]["naive"]["splits"])
    yield (
        "\nPlanted bursts, four shots each of 20 plants a species, `quick`, a quarter held out, mean of "
        f"{splits} splits:\n"
    )
    yield "| split | seed | on its own test photos | on fresh photos | too high by |"
    yield "|---|---|---|---|---|"
    for name, title in SPLITS.items():
        for row in found["bursts"]:
            figures = row[name]
            high = f"{100 * figures['too_high']:.1f} points"
            yield f"| {title} | {row['seed']} | {_percent(figures['test'])} | {_percent(figures['fresh'])} | {high} |"


def _exports(found: dict[str, Any]) -> Iterator[str]:
    yield "## Exported files\n"
    yield (
        "A run of `quick` on all 17 species, each file answered by its own runtime. int8 is calibrated on "
        "photos that were"
    )
    yield "learned from. The aims are the same first answer for 99.5 % in fp32 and 98.5 % in int8.\n"
    yield from exports.table(found)


def _scratch(found: dict[str, Any]) -> Iterator[str]:
    yield "## What transfer buys\n"
    yield (
        "The ten species, 10 epochs of the head and 5 of fine-tuning, against the same network from random "
        "weights for the same"
    )
    yield "wall-clock time. The seconds of the transfer include computing the frozen layers, in an empty bank.\n"
    yield f"> {found['found']['sentence']}\n"
    yield "![Accuracy against seconds and against epochs](images/scratch-against-transfer.png)\n"
    yield (
        "This is not what training from scratch can reach: on Oxford Flowers-102 a ResNet-50 trained for long "
        "from random"
    )
    yield (
        "weights came to 92.0 %, against 97.6 % fine-tuned from ImageNet (Grill et al. 2020, BYOL, table 3). "
        "What transfer buys is"
    )
    yield "the time, and the last points."
