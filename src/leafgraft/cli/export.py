"""``leafgraft export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leafgraft.cli.evaluate import Model
from leafgraft.cli.screen import Debug, Json, bars, result, say
from leafgraft.export.exporter import FORMATS
from leafgraft.export.exporter import export as exported
from leafgraft.export.pictures import FEWEST


def export(
    model: Model,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"One of: {', '.join(FORMATS)}.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="A file to write, ending in .onnx, .xml (with .bin beside it), .tflite or .keras; for saved-model a "
            "new folder.",
        ),
    ],
    int8: Annotated[
        bool, typer.Option("--int8", help="A quarter of the size, calibrated on photos: onnx, openvino or litert.")
    ] = False,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", metavar="FOLDER", help="Photos to calibrate and to check on; else those of the run."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a classifier as a file for another runtime, with labels, preprocessing and temperature in it.

    The file takes uint8 RGB photos (n, 224, 224, 3) and gives calibrated probabilities. Its own runtime answers to at
    least 64 photos, those held out if they are still there, and where it says otherwise than the classifier, no file is
    left. It names one of its species for every photo: whether a photo is unknown, only the classifier itself tells.

    For example:

      leafgraft export run --format onnx -o plants.onnx

      leafgraft export run --format litert --int8 -o plants.tflite

      leafgraft export run --format openvino -o plants.xml --json
    """
    with bars() as progress:
        report = exported(model, format, output, int8=int8, photos=photos, progress=progress)
    if drawn := report.photos.get("drawn"):
        real = sum(report.photos.values()) - drawn
        say(f"Only {real} photos were there to check on; {drawn} were drawn to make {FEWEST}.")
    result(report.text, report.as_dict(), json)
