"""Writes docs/performance.md, and its picture, from what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import spread

BEGINNING = """# Performance

Written by `python -m benchmarks PHOTOS performance` from what it measured; ratios are of runs side by side on one
machine, as median (minimum to maximum). Other machines give other figures: run it on yours. Seconds of whole commands
count from their start to their end, with the ImageNet weights in the cache and everything else computed anew.
"""

TARGETS = {"int8": 4.5, "bf16": 2.3, "fp32": 1.2}


def write(results: Path, page: Path) -> None:
    """Put everything that has been measured so far into one page."""
    found = measured(results)
    sections = [BEGINNING]
    for name, section in (
        ("features", _features), ("recipes", _recipes), ("again", _again), ("scale", _scale), ("check", _check),
        ("answers", _answers),
    ):  # fmt: skip
        if name in found:
            sections.append(signed(section(found[name]), found[name]))
    page.write_text("\n".join(sections), encoding="utf-8")
    if "recipes" in found:
        _picture(found["recipes"], page.parent / "images" / "accuracy-against-seconds.png")


def measured(results: Path) -> dict[str, Any]:
    """What there is of measurements, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}


def signed(lines: Iterable[str], found: dict[str, Any]) -> str:
    """A section, and the machine that its figures are of."""
    return "\n".join([*lines, "", f"Machine: {_machine(found['machine'])}."]) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    versions = machine["versions"]
    return (
        f"{machine['cores']} cores of {machine['processor']} ({', '.join(machine['capabilities'])}), "
        f"Python {versions['python']}, TensorFlow {versions['tensorflow']}, OpenVINO {versions['openvino']}"
    )


def _spread(value: dict[str, float], digits: int = 2, times: float = 1.0) -> str:
    middle, low, high = (f"{times * value[key]:.{digits}f}" for key in ("median", "min", "max"))
    return f"{middle} ({low}-{high})"


def _features(found: dict[str, Any]) -> Iterator[str]:
    yield "## JPEG files to features\n"
    yield "Against Keras' `predict` on float32 arrays that are in memory already; ours begins at JPEG files.\n"
    yield "| engine | images a second | times Keras | goal | processors used |"
    yield "|---|---|---|---|---|"
    yield f"| Keras `predict`, arrays | {_spread(found['rates']['keras'], 1)} | 1 | | {_used(found, 'keras')} |"
    for name, ratio in found["ratios"].items():
        rate = _spread(found["rates"][name], 1)
        yield f"| OpenVINO {name}, files | {rate} | {_spread(ratio)} | {TARGETS[name]} | {_used(found, name)} |"
    yield f"| decoding alone, files | {_spread(found['rates']['decode'], 1)} | | | {_used(found, 'decode')} |"
    decode = found["rates"]["decode"]["median"]
    shares = ", ".join(f"{100 * found['rates'][name]['median'] / decode:.0f} % with {name}" for name in found["ratios"])
    yield f"\nDecoding takes this share of the time: {shares}."
    yield f"Calibrating int8 took {found['calibrating_seconds']:.0f} s."
    yield f"\n`auto`: {found['auto']}"


def _used(found: dict[str, Any], name: str) -> str:
    return f"{100 * found['used'][name]['median']:.0f} %"


def _recipes(found: dict[str, Any]) -> Iterator[str]:
    runs, (frozen, fine) = found["runs"], found["epochs"]
    yield "## Recipes\n"
    yield f"Ten species, 600 photos to train on and 200 held out; {frozen} + {fine} epochs of literal and classic."
    yield "The literal one is `benchmarks/literal.py`."
    if (ran := runs["literal"][0]["epochs_run"]) != [frozen, fine]:
        yield f"Of it {ran[0]} + {ran[1]} epochs were run, and the seconds of the others counted like the last ones."
    yield ""
    yield "| recipe | seed | seconds | a classifier saved after | accuracy | peak memory |"
    yield "|---|---|---|---|---|---|"
    for name, rows in runs.items():
        for row in rows:
            first = f"{row['first_saved']:.0f} s" if "first_saved" in row else ""
            peak = f"{row['peak_mb']:.0f} MB" if "peak_mb" in row else ""
            accuracy = f"{100 * row['accuracy']:.1f} %" if row["accuracy"] is not None else "not run to its end"
            yield f"| {name} | {row['seed']} | {row['seconds']:.0f} | {first} | {accuracy} | {peak} |"
    yield ""
    for name, key, goal in (("classic", "seconds", 4), ("auto", "first_saved", 50), ("auto", "seconds", 50)):
        ratios = [literal["seconds"] / row[key] for literal, row in zip(runs["literal"], runs[name], strict=True)]
        what = "to its first saved classifier" if key == "first_saved" else "to its end"
        yield f"- `{name}` {what}: {_spread(spread(ratios), 1)} times faster than the literal recipe (goal {goal})."
    yield "\n![Accuracy on held-out photos against seconds](images/accuracy-against-seconds.png)"


def _again(found: dict[str, Any]) -> Iterator[str]:
    first = found["runs"]["first"]["frozen"]
    yield "## A second run\n"
    yield "| run | seconds | of it the frozen layers | of the first run's |"
    yield "|---|---|---|---|"
    for name, row in found["runs"].items():
        yield f"| {name} | {row['seconds']:.0f} | {row['frozen']:.1f} | {100 * row['frozen'] / first:.1f} % |"


def _scale(found: dict[str, Any]) -> Iterator[str]:
    yield "## Memory\n"
    yield f"Drawn photos of ten species, `leafgraft train {found['options']}`.\n"
    yield "| photos | seconds | a photo | peak memory |"
    yield "|---|---|---|---|"
    for row in found["runs"]:
        apiece = 1000 * row["seconds"] / row["photos"]
        yield f"| {row['photos']:,} | {row['seconds']:.0f} | {apiece:.0f} ms | {row['peak_mb']:.0f} MB |"


def _check(found: dict[str, Any]) -> Iterator[str]:
    yield "## Checking photos\n"
    yield "Drawn photos of ten species, `leafgraft check`; a second check has the features already.\n"
    yield "| photos | seconds | of it features | times the features (goal 2) | peak memory |"
    yield "|---|---|---|---|---|"
    for row in found["runs"]:
        features = row["seconds"] - row["rest"]
        ratio, peak = row["seconds"] / features, row["peak_mb"]
        yield f"| {row['photos']:,} | {row['seconds']:.0f} | {features:.0f} | {ratio:.2f} | {peak:.0f} MB |"


def _answers(found: dict[str, Any]) -> Iterator[str]:
    yield "## Answers\n"
    yield "One photo, from the start of a process to its end, in turns; a Keras script loads the same classifier.\n"
    yield "| process | seconds | goal |"
    yield "|---|---|---|"
    yield f"| `leafgraft predict` | {_spread(found['cold']['leafgraft'])} | 1.0 |"
    yield f"| Keras script | {_spread(found['cold']['keras'])} | |"
    yield f"\n{_spread(found['cold_ratio'], 1)} times faster (goal 4)."
    yield f"\nA JPEG of twelve megapixels ({found['large_mb']:.1f} MB) at a time, sent to `leafgraft serve`:\n"
    yield "| engine | milliseconds, median (minimum to maximum) | goal |"
    yield "|---|---|---|"
    for engine, row in found["warm"].items():
        yield f"| {engine} | {row['median_ms']:.0f} ({row['min_ms']:.0f}-{row['max_ms']:.0f}) | 40 |"


def _picture(found: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    from leafgraft.report.plots import BLUE, ORANGE

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for literal in found["runs"]["literal"]:
        curve, (head, fine) = literal["curve"], literal["epochs_run"]
        label = f"literal recipe, {head} + {fine} epochs" if literal is found["runs"]["literal"][0] else None
        axes.plot(
            [row["seconds"] for row in curve], [100 * row["accuracy"] for row in curve], color=BLUE, marker="o",
            markersize=3, label=label,
        )  # fmt: skip
    for name, marker in (("quick", "^"), ("auto", "D"), ("classic", "s")):
        rows = found["runs"][name]
        axes.scatter(
            [row["seconds"] for row in rows], [100 * row["accuracy"] for row in rows], color=ORANGE, marker=marker,
            zorder=3, label=f"{name}, whole command",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("Seconds")
    axes.set_ylabel("Accuracy on held-out photos (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
