"""Measure what is promised in figures, side by side, and write docs/performance.md.

    python -m benchmarks PHOTOS                      everything; hours on two cores
    python -m benchmarks PHOTOS features scale      some measurements; the page keeps the others as they were
    python -m benchmarks PHOTOS recipes --seeds 1 --epochs 1 2

PHOTOS is a folder per species; the published figures are of Flowers-17. The ten species are its first ten.
Nothing else may run meanwhile. Results are kept in build/benchmarks/, from where the page is written.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import accuracy, answers, audit, features, page, recipes, scale, verdict

MEASUREMENTS = {
    "features": features.measure,
    "recipes": recipes.measure,
    "accuracy": accuracy.measure,
    "scale": scale.measure,
    "again": scale.measure_again,
    "check": scale.measure_check,
    "answers": answers.measure,
    "audit": audit.measure,
    "verdict": verdict.measure,
}
RESULTS = Path("build/benchmarks")


def main() -> None:
    """Run the measurements that are named and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
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
    if unknown := set(arguments.names) - MEASUREMENTS.keys():
        parser.error(f"there is no measurement {unknown.pop()!r}; choose {', '.join(MEASUREMENTS)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or MEASUREMENTS:
        print(f"== {name}", flush=True)
        found = MEASUREMENTS[name](arguments)
        (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    page.write(RESULTS, Path("docs/performance.md"))


if __name__ == "__main__":
    main()
