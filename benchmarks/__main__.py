"""Measure what is promised in figures, side by side, and write docs/performance.md and docs/results.md.

    python -m benchmarks PHOTOS performance          all that is on docs/performance.md; hours on two cores
    python -m benchmarks PHOTOS results              all that is on docs/results.md; hours, too
    python -m benchmarks PHOTOS features scale       some measurements; the pages keep the others as they were
    python -m benchmarks PHOTOS recipes --seeds 1 --epochs 1 2

PHOTOS is a folder per species; the published figures are of Flowers-17. The ten species are its first ten.
Nothing else may run meanwhile. Results are kept in build/benchmarks/, from where the pages are written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    accuracy,
    answers,
    audit,
    features,
    performance_page,
    recipes,
    results_page,
    scale,
    transfer,
    verdict,
)

PAGES: dict[str, dict[str, Callable[[argparse.Namespace], dict[str, Any]]]] = {
    "performance": {
        "features": features.measure,
        "recipes": recipes.measure,
        "again": scale.measure_again,
        "scale": scale.measure,
        "check": scale.measure_check,
        "answers": answers.measure,
    },
    "results": {
        "accuracy": accuracy.measure,
        "copies": transfer.measure_copies,
        "verdict": verdict.measure,
        "audit": audit.measure,
        "exports": transfer.measure_exports,
        "scratch": transfer.measure_scratch,
    },
}
MEASUREMENTS = {name: measure for page in PAGES.values() for name, measure in page.items()}
RESULTS = Path("build/benchmarks")


def main() -> None:
    """Run the measurements that are named and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*PAGES, *MEASUREMENTS]))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, nargs=2, default=(10, 20), help="of the literal and the classic recipe")
    parser.add_argument(
        "--literal", type=int, nargs=2, default=(10, 20), metavar=("HEAD", "FINE"),
        help="epochs of the literal recipe that are run; the seconds of the others are counted like the last ones",
    )  # fmt: skip
    arguments = parser.parse_args()
    if min(arguments.literal) < 1:
        parser.error(f"--literal needs an epoch or more of each stage to count the others by, not {arguments.literal}")
    names = [one for name in arguments.names or PAGES for one in PAGES.get(name, [name])]
    if unknown := set(names) - MEASUREMENTS.keys():
        parser.error(f"there is no measurement {unknown.pop()!r}; choose {', '.join([*PAGES, *MEASUREMENTS])}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names:
        print(f"== {name}", flush=True)
        found = MEASUREMENTS[name](arguments)
        (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    performance_page.write(RESULTS, Path("docs/performance.md"))
    results_page.write(RESULTS, Path("docs/results.md"))


if __name__ == "__main__":
    main()
