"""Every format that a classifier can be exported to: agreement with the bundle, size, speed and accuracy.

    python -m benchmarks.exports RUN        prints a table in Markdown

RUN is the folder of a run whose photos are still there. Nothing else may run meanwhile.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import machine


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report of each format in float32 and, where it can be had, in int8; or why it was not kept."""
    from leafgraft.errors import UserError
    from leafgraft.export import FORMATS, export

    rows: list[dict[str, Any]] = []
    for name, format in FORMATS.items():
        for int8 in (False, True) if format.int8 else (False,):
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / f"plants{format.ending}"
                try:
                    row = export(arguments.run, name, output, int8=int8).as_dict()
                except (UserError, RuntimeError) as error:
                    row = {"format": name, "precision": "int8" if int8 else "fp32", "problem": str(error)}
            rows.append(row)
            print(row, flush=True)
    return {"machine": machine(), "rows": rows}


def table(found: dict[str, Any]) -> list[str]:
    """The measurements as lines of a table in Markdown."""
    lines = [
        "| format | precision | photos | same first answer | largest difference | accuracy | MB | ms a photo |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["rows"]:
        if "problem" in row:
            lines.append(f"| {row['format']} | {row['precision']} | {row['problem']} |||||||")
            continue
        agreement = row["agreement"]
        share = 100 * agreement["same"] / agreement["photos"]
        accuracy = "" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %"
        lines.append(
            f"| {row['format']} | {row['precision']} | {agreement['photos']} | {share:.1f} % | "
            f"{agreement['largest']:.2g} | {accuracy} | {row['megabytes']:.1f} | {row['milliseconds']:.1f} |"
        )
    known = [row for row in found["rows"] if row.get("bundle_accuracy") is not None]
    if known:
        lines += ["", f"The bundle itself: {100 * known[0]['bundle_accuracy']:.1f} % of {known[0]['held_out']} photos."]
    return lines


def main() -> None:
    """Measure one run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    found = measure(parser.parse_args())
    print(*table(found), sep="\n")
    print(f"\n{found['machine']['processor']}, {found['machine']['cores']} cores")


if __name__ == "__main__":
    main()
