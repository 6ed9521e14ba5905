"""``leafgraft check``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from leafgraft import imagenet
from leafgraft.audit.examine import Audit, examine
from leafgraft.cli.screen import (
    Cluster,
    Debug,
    FollowLinks,
    GpusPerWorker,
    Json,
    Weights,
    at_hand,
    bars,
    require_cluster,
    result,
    say,
)
from leafgraft.cli.train import BankGb, GroupBy, Precision, Source
from leafgraft.engine.backbone import pooled
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Means
from leafgraft.errors import UserError
from leafgraft.files import write_text
from leafgraft.photos import scan, write_manifest
from leafgraft.photos.dataset import Dataset
from leafgraft.report.findings import sections
from leafgraft.report.page import Section, audit_page

SYMBOLS = {"fine": "   ", "look": " ? ", "mend": " ! "}


def check(
    photos: Source,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures of what was found.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", metavar="CSV", help="Write a list without what is surely wrong."),
    ] = None,
    group_by: GroupBy = None,
    follow_links: FollowLinks = False,
    precision: Precision = "auto",
    bank_gb: BankGb = None,
    weights: Weights = None,
    cluster: Cluster = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look for what is wrong with photographs before a classifier learns from them.

    Unreadable files; copies, also resized, compressed, mirrored or cropped ones, under other labels and across the
    sides of a split; bursts of one plant; labels that are likely wrong; odd ones out; blurred, dark and tiny photos;
    uneven numbers; borders that betray the label. No photo is ever touched. --fix writes a CSV for "leafgraft train"
    without unreadable files, surplus copies and copies with contradicting labels, in which copies and bursts are one
    group; doubtful labels stay as they are.

    For example:

      leafgraft check photos

      leafgraft check photos --html check.html --fix clean.csv

      leafgraft check photos --json
    """
    choose(precision)
    if cluster is None:
        require_cluster(gpus_per_worker)
    if fix is not None and fix.suffix != ".csv":
        raise UserError(f"The list must end in .csv. Received: {fix}.")
    if fix is not None and photos.is_file() and fix.resolve() == photos.resolve():
        raise UserError(f"--fix would replace {photos}, which is read; name another file.")
    if html is not None and html.suffix not in (".html", ".htm"):
        raise UserError(f"The page must end in .html. Received: {html}.")
    photos = at_hand(photos)
    with bars() as progress:
        told = partial(progress, "Reading the photos")
        scanning = partial(scan, photos, fewest=1, group_by=group_by, follow_links=follow_links)
        bank = imagenet.cache_dir() / "bank"
        if cluster is None:
            found = scanning(progress=told)
            usable = [photo for photo in found if not photo.problem]
            file = imagenet.fetch(weights, progress=progress)
            data = Dataset.of_photos(usable, sorted({photo.label for photo in usable}))
            features = pooled(file, data, Means(bank, precision, bank_gb, progress))
        else:
            from leafgraft.cluster import jobs

            file = imagenet.fetch(weights, progress=progress)
            with jobs.parts_of("leafgraft-check.parquet") as folder:
                look = partial(
                    jobs.features, weights=file, root=bank, precision=precision, folder=folder, cluster=cluster,
                    progress=progress, gpus=gpus_per_worker,
                )  # fmt: skip
                found, features = jobs.scanned(scanning, look)
        audit = examine(found, features, progress=progress)
    if fix is not None:
        cleaned = audit.cleaned()
        write_manifest(fix, cleaned)
        kept = sum(not photo.problem for photo in cleaned)
        say(f"{fix}: {kept:,} of {len(found):,} files are for training; leafgraft train {fix} takes it.")
    parts = sections(audit, shown=0)
    summary = _summary(audit, parts)
    if html is not None:
        write_text(html, audit_page(f"{photos.resolve().name}: what to see to", [summary], sections(audit)))
        say(f"{html}: the same with pictures.")
    result("\n".join([summary, *map(_line, parts)]), audit.as_dict(), json)


def _summary(audit: Audit, parts: Sequence[Section]) -> str:
    """How many photos there are, and how many kinds of faults."""
    usable = sum(not photo.problem for photo in audit.photos)
    mend, look = (sum(part.severity == severity for part in parts) for severity in ("mend", "look"))
    verdict = "Nothing to see to." if not mend + look else f"{mend} to mend, {look} to look at."
    return f"{usable:,} {'photo' if usable == 1 else 'photos'} of {len(audit.counts):,} species. {verdict}"


def _line(part: Section) -> str:
    return f"{SYMBOLS[part.severity]}{part.title}: {part.text}" + (f" {part.advice}" if part.severity != "fine" else "")
