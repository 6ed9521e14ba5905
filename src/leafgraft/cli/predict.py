"""``leafgraft predict``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from leafgraft.bundle import Bundle
from leafgraft.cli.evaluate import Model
from leafgraft.cli.screen import HUBS, Cluster, Debug, Json, Top, at_hand, bars, result, visible
from leafgraft.errors import UserError
from leafgraft.files import sha256
from leafgraft.ledger import Ledger, require_format, write
from leafgraft.listing import STREAM, listed
from leafgraft.naming import Row, named

MANY = 4
"""Photos a request where there is more than one; see `leafgraft.engine.prefix.BATCH`."""


def predict(
    model: Model,
    photos: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO", help=f'Photos, folders, patterns, CSVs with a column path, {HUBS}, or "-" for lines.'
        ),
    ],
    top: Top = 5,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the answers to a .csv, .jsonl or .parquet file; with --cluster also to a folder, in Parquet.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run with -o stopped.")] = False,
    engine: Annotated[
        str, typer.Option("--engine", help='"fp32" as measured; "auto" or "bf16" about twice as fast where possible.')
    ] = "fp32",
    cluster: Cluster = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Name the plants on photographs, on one or on millions.

    A photo that is unlike all that the classifier has learned from is called unknown, with the species it is nearest
    to. With --json, "nearest" has the photos that were learned from and are most like it.

    For example:

      leafgraft predict run photo.jpg

      leafgraft predict run 'photos/**/*.jpg' --top 1

      leafgraft predict run photos -o answers.csv

      find . -name '*.jpg' | leafgraft predict run - -o answers.parquet --resume

      leafgraft predict run s3://herbarium/scans -o s3://herbarium/answers --cluster auto
    """
    photos = [at_hand(name) for name in photos]
    if cluster is not None:
        _on_cluster(model, photos, top, output, engine, cluster, json)
        return
    if resume and output is None:
        raise UserError("--resume goes on with a file of answers; name it with -o.")
    alone = len(photos) == 1 and photos[0] != STREAM and Path(photos[0]).is_file()
    bundle = Bundle(model, batch=1 if alone else MANY, engine=engine)
    paths = listed(photos, sys.stdin)
    with bars() as progress:
        if output is not None:
            about = {"model": sha256(bundle.folder / "manifest.json"), "top": top, "engine": engine}
            ledger = Ledger(Path(output), about, resume=resume)
            new = ledger.extend(named(bundle, ledger.remaining(paths), top))
            problems = sum("problem" in row for row in progress.track("Naming the plants", new, 0))
            ledger.finish()
            _say_what(output, ledger.done, problems, json)
            return
        rows = _some_read(progress.track("Naming the plants", named(bundle, paths, top), 0), photos[0])
        if json:
            result("", {"photos": list(rows)}, json)
            return
        for row in rows:
            print(visible(_line(row)))


def _on_cluster(
    model: Path, photos: list[str], top: int, output: str | None, engine: str, cluster: str, as_json: bool
) -> None:
    from leafgraft.cluster import jobs

    if output is None:
        raise UserError("On a cluster the answers go to a file or a folder; name it with -o.")
    file = jobs.file_of(output)
    if file is not None:
        require_format(file)
    whole = len(photos) == 1 and jobs.is_address(photos[0])
    source: jobs.Source = photos[0] if whole else jobs.listed(listed(photos, sys.stdin))
    with bars() as progress, jobs.parts_of(output) as folder:
        done = jobs.names(source, model, engine, top, file is None, folder, cluster, progress)
        if file is not None:
            write(file, jobs.answers(done), top)
    _say_what(output, done.photos, done.problems, as_json)


def _say_what(output: str, photos: int, problems: int, as_json: bool) -> None:
    text = f"{output}: {photos:,} photos" + (f", {problems:,} of them unreadable" if problems else "")
    result(text, {"file": output, "photos": photos, "problems": problems}, as_json)


def _some_read(rows: Iterable[Row], listed: str) -> Iterator[Row]:
    """Hand rows on.

    Raises:
        UserError: there are none, or none of a photo that could be read.
    """
    unread: list[Row] | None = []
    for row in rows:
        if unread is not None and "problem" in row:
            unread.append(row)
            continue
        yield from unread or ()
        unread = None
        yield row
    if unread == []:
        raise UserError(f"{listed} lists no photo; name a photo, or a folder of photos.")
    if unread:
        raise UserError(f"{unread[0]['path']} cannot be used: {unread[0]['problem']}; name a photo.")


def _line(answer: Row) -> str:
    if "problem" in answer:
        return f"{answer['path']}: cannot be used: {answer['problem']}"
    listed = (f"{entry['species']} {100 * entry['probability']:.1f} %" for entry in answer["predictions"])
    return f"{answer['path']}: {'unknown, nearest to ' if answer['unknown'] else ''}{', '.join(listed)}"
