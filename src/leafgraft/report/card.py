"""The model card: what a classifier is for, how good it is, and where it ends (Mitchell et al., Model Cards, 2019).

Markdown with the YAML front matter of the Hugging Face Hub (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from leafgraft.verdict.metrics import sentence

SPLITS = {"train": "training", "val": "validation", "test": "held out"}
FIGURES = {
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "top3": "Right within the first three",
    "log_loss": "Log loss (nats)",
    "ece": "Expected calibration error (15 bins)",
    "brier": "Brier score (0 to 2)",
}
BASES = {
    "test": "",
    "folds": " Each photo was judged by a classifier of the same recipe that had not seen it (cross-validation); this "
    "one was made with all of them.",
    "val": " The training was followed on these photos, and no others were held out.",
}
DATA_SETS = {"test": "held-out photos", "folds": "cross-validated photos", "val": "validation photos"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card states.

    Attributes:
        name: of the classifier.
        classes: the species, in the order of the probabilities.
        counts: photos of each species by split ("train", "val", "test"); what is missing counts as 0.
        score: figures on the held-out photos, as `leafgraft.verdict.metrics.score` returns them; empty if none were
            held out.
        garden: whether the photos were drawn by the program instead of taken of plants.
        basis: what the score is of: "test" (photos held out), "folds" (cross-validation) or "val" (photos that the
            training was followed on).
        calibration: temperature and figures before and after it, as ``metrics.json`` has them; empty if there is none.
        unknown: threshold and what it accepts, as ``metrics.json`` has them; empty if there is none.
        recipe: name of the training recipe.
        preprocessing: how a photo becomes the input of the network.
        weights_source: where the pretrained weights came from.
        weights_licence: under which licence they are.
        command: the command that trains this classifier again.
        seed: of the split and of the training.
        versions: versions of the software, by name.
    """

    name: str
    classes: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    score: Mapping[str, object]
    recipe: str
    preprocessing: str
    weights_source: str
    weights_licence: str
    command: str
    seed: int
    garden: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    basis: str = "test"
    calibration: Mapping[str, Any] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)


def card(facts: CardFacts) -> str:
    """The model card as Markdown with YAML front matter; names from folders are escaped in both."""
    sections = [
        _front_matter(facts),
        f"# {_escaped(facts.name)}",
        f"A classifier of plant photos: ResNet50, pretrained on ImageNet and trained further by Leafgraft with the "
        f"recipe {_escaped(facts.recipe)}. It tells {len(facts.classes)} species apart.",
        "## Intended use",
        "For photos of one plant each, of the species below and taken in a similar way to the photos it was trained "
        "on. It gives a probability for each species.",
        "## Figures",
        _figures(facts),
        "## Limits",
        _limits(facts),
        "## Species and photos",
        _species(facts),
        "## Preprocessing",
        _escaped(facts.preprocessing),
        "## Pretrained weights",
        f"Source: {_escaped(facts.weights_source)}. Licence: {_escaped(facts.weights_licence)}. The pretraining data, "
        "ImageNet (ILSVRC-2012), has terms of its own, and so have the photos this classifier was trained on.",
        "## How to reproduce",
        _reproduce(facts),
    ]
    # The name of a folder can hold bytes that are no Unicode; they become question marks.
    return ("\n\n".join(sections) + "\n").encode("utf-8", "replace").decode("utf-8")


def _front_matter(facts: CardFacts) -> str:
    lines = [
        "---",
        "license: apache-2.0",
        "library_name: keras",
        "pipeline_tag: image-classification",
        "tags:",
        *(f"- {tag}" for tag in ("leafgraft", "image-classification", "plants", "resnet50", "transfer-learning")),
        "metrics:",
        "- accuracy",
        "- f1",
    ]
    if facts.score:
        lines += [
            "model-index:",
            f"- name: {_quoted(facts.name)}",
            "  results:",
            "  - task:",
            "      type: image-classification",
            "    dataset:",
            f"      name: {'drawn garden' if facts.garden else DATA_SETS[facts.basis]}",
            f"      type: {'synthetic' if facts.garden else 'custom'}",
            "    metrics:",
            "    - type: accuracy",
            f"      value: {_plain(facts.score['accuracy'])}",
            "    - type: f1",
            "      name: Macro F1",
            f"      value: {_plain(facts.score['macro_f1'])}",
        ]
    return "\n".join([*lines, "---"])


def _figures(facts: CardFacts) -> str:
    if not facts.score:
        return "No photos were held out, so nothing is known of how good this classifier is."
    rows = [f"| {title} | {_plain(facts.score[key]):.3f} |" for key, title in FIGURES.items() if key in facts.score]
    basis = (
        "The interval is a bootstrap over the held-out photos, never narrower than Wilson's. It covers the chance of "
        "which photos were held out, not a change of place, season or camera."
    )
    lead = f"**{sentence(facts.score)}**{BASES[facts.basis]}"
    parts = [lead, "", basis, "", "| figure | value |", "|---|---|", *rows]
    if measured := facts.calibration.get("test") or facts.calibration.get("val"):
        parts += [
            "",
            f"Calibrated by a temperature of {facts.calibration['temperature']:.2f}, found on "
            f"{facts.calibration['photos']} validation photos: expected calibration error on "
            f"{'the held-out photos' if 'test' in facts.calibration else 'the same photos'} "
            f"{100 * measured['ece_before']:.1f} % before, {100 * measured['ece_after']:.1f} % after.",
        ]
    return "\n".join(parts)


def _limits(facts: CardFacts) -> str:
    limits = [
        "Not for any decision about safety: never judge from it whether a plant or mushroom may be eaten or touched, "
        "or whether it is poisonous.",
        _strangers(facts),
        "A probability is an estimate. Photos unlike those it was trained on (another season, growth stage, camera or "
        "background) can be named wrongly with high probability.",
    ]
    absent = [name for name in facts.classes if not facts.counts.get(name, {}).get(facts.basis, 0)]
    if absent and facts.score and facts.basis != "folds":  # which judge a photo of each
        shown = ", ".join(_escaped(name) for name in absent)
        limits.append(f"No photo was held out of {shown}: the figures say nothing about them.")
    if facts.garden:
        limits.insert(
            0,
            "**The photos are drawings made by the program, not plants.** This classifier shows how the training works "
            "and is of no use on real photos; its figures say nothing about them.",
        )
    return "\n".join(f"- {limit}" for limit in limits)


def _strangers(facts: CardFacts) -> str:
    if facts.unknown.get("threshold") is None:
        return "It always names one of its own species, even for a stranger: a plant it was never shown, or no plant."
    tested = "accepted_test" in facts.unknown
    accepted = facts.unknown["accepted_test" if tested else "accepted_val"]
    return (
        "It says that a photo is unknown if that is unlike all it has learned from. The threshold accepts "
        f"{100 * _plain(accepted):.0f} % of {'held-out' if tested else 'the validation'} photos of its own species"
        f"{'' if tested else ', which it was chosen by'}. Species that resemble one of its own can still pass for it."
    )


def _species(facts: CardFacts) -> str:
    lines = [f"| species | {' | '.join(SPLITS.values())} |", f"|---|{'---:|' * len(SPLITS)}"]
    totals = dict.fromkeys(SPLITS, 0)
    for name in facts.classes:
        numbers = {split: facts.counts.get(name, {}).get(split, 0) for split in SPLITS}
        totals = {split: totals[split] + numbers[split] for split in SPLITS}
        lines.append(f"| {_escaped(name)} | {' | '.join(map(str, numbers.values()))} |")
    return "\n".join([*lines, f"| **all** | {' | '.join(map(str, totals.values()))} |"])


def _reproduce(facts: CardFacts) -> str:
    # A fence has to be longer than any run of backticks inside.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", facts.command)), default=0))
    versions = ", ".join(f"{_escaped(name)} {_escaped(version)}" for name, version in facts.versions.items())
    lines = [f"{fence}sh", facts.command, fence, "", f"Seed: {facts.seed}."]
    return "\n".join([*lines, f"Versions: {versions}."] if versions else lines)


def _plain(value: object) -> float:
    return float(cast("Any", value))


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line and within a cell of a table."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar (YAML 1.2, section 7.3.1), with what is not printable as an escape."""
    quoted = json.dumps(text.encode("utf-8", "replace").decode("utf-8"), ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08X}" for letter in quoted)
