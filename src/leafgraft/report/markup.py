"""From values to HTML: the templates, and how numbers, times and records are put into words."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from leafgraft.report.card import SPLITS
from leafgraft.report.svg import number

if TYPE_CHECKING:
    from jinja2 import Environment

NONE = "–"
SHARES = {
    "balanced_accuracy": ("Balanced accuracy", "every species counts the same"),
    "macro_f1": ("Macro F1", "mean over the species"),
    "top3": ("Among the first three", "of the species named"),
    "ece": ("Calibration error", "expected, over 15 bins; 0 is best"),
}
SCORES = {"log_loss": ("Log loss", "in nats; 0 is best"), "brier": ("Brier score", "0 is best, 2 is worst")}
PARTS = {
    "scan": "Reading the photos",
    "audit": "Auditing the photos",
    "weights": "Fetching the weights",
    "tensorflow": "Loading TensorFlow",
    "build": "Building the network",
    "frozen": "Training the head",
    "fine": "Fine-tuning",
    "calibrate": "Calibrating",
    "evaluate": "Measuring",
    "explain": "Explaining",
    "save": "Saving and checking",
}
RECORDED = {
    "photos": "Folder",
    "val_fraction": "Share for validation",
    "test_fraction": "Share held out",
    "counts": "Photos",
    "data_sha256": "SHA-256 of the data",
    "weights": "Pretrained weights",
    "garden": "Drawn by the program",
}
UNRECORDED = ("command", "classes", "status")  # shown elsewhere, or not known before the end


def render(template: str, **values: Any) -> str:
    """A page from ``templates``, with everything escaped that it prints.

    Bytes in the name of a file that are no Unicode, which Python holds as surrogates, become question marks.
    """
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode("utf-8")


def percent(share: object, digits: int = 1) -> str:
    """A share in per cent, or a dash where there is none."""
    value = number(share)
    return f"{100 * value:.{digits}f}\u00a0%" if math.isfinite(value) else NONE


def plain(value: object, pattern: str) -> str:
    """A number in the given format, or a dash where there is none."""
    known = number(value)
    return pattern.format(known) if math.isfinite(known) else NONE


def prose(text: str) -> str:
    """A sentence whose figures keep their per cent signs on the same line."""
    return text.replace(" %", "\u00a0%")


def duration(seconds: float) -> str:
    """A time in the unit that people would take."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    if seconds < 7170:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def jpeg(content: bytes) -> str:
    """A picture as the address of an image."""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def tiles(figures: Mapping[str, Any], folds: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """The main figures, each with its title, its value and a remark.

    Args:
        figures: see `leafgraft.report.page.RunFacts`.
        folds: likewise.
    """
    found = []
    if "accuracy" in figures:
        low, high = (100 * end for end in figures["accuracy_ci95"])
        # The hyphen is one that no line breaks after.
        remark = f"95 % interval {low:.1f}\u2011{high:.1f} %; {figures['n']:,} photo{'' if figures['n'] == 1 else 's'}"
        found.append(("Accuracy", percent(figures["accuracy"]), remark))
    if folds is not None:
        accuracy = folds["accuracy"]
        each = ", ".join(f"{100 * value:.1f}" for value in accuracy)
        remark = f"± {100 * folds['spread']:.1f} over {len(accuracy)} folds: {each}"
        found.append(("Cross-validation", percent(folds["mean"]), remark))
    found += [(title, percent(figures[key]), remark) for key, (title, remark) in SHARES.items() if key in figures]
    found += [(title, f"{figures[key]:.3f}", remark) for key, (title, remark) in SCORES.items() if key in figures]
    return found


def times(seconds: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """Each part of a run: what it was, how long it took, and its share of the longest in per cent."""
    parts = {name: value for name, value in seconds.items() if name != "total"}
    longest = max(parts.values(), default=0.0) or 1.0
    return [(PARTS.get(name, name), duration(value), round(100 * value / longest, 1)) for name, value in parts.items()]


def recorded(record: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a run was asked for and with: a title and its values, of which each has a name or an empty one.

    Args:
        record: what ``run.json`` holds. Keys that are new to this function are shown as they are.
    """
    rows = []
    for key, value in record.items():
        if key not in UNRECORDED and value is not None:
            values = list(_flat(value)) if isinstance(value, Mapping) else [("", _word(value))]
            rows.append((RECORDED.get(key, _title(key)), values))
    return rows


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        name = before + SPLITS.get(key, key.replace("_", " "))
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{name}: ")
        elif inner is not None:
            yield name, _word(inner)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_word, value))
    return str(value)


def _title(key: str) -> str:
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("leafgraft.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "plain": plain, "prose": prose, "duration": duration, "jpeg": jpeg}
    return environment
