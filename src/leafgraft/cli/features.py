"""``leafgraft features``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from leafgraft import embeddings, imagenet
from leafgraft.cli.screen import (
    HUBS,
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
from leafgraft.cli.train import BankGb, Precision
from leafgraft.engine.backbone import pooled
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Means
from leafgraft.errors import UserError
from leafgraft.photos import scan, unread
from leafgraft.photos.dataset import Dataset


def features(
    photos: Annotated[
        str,
        typer.Argument(
            metavar="PHOTOS",
            help=f"A folder per species; or a CSV with path,label; or {HUBS}; with --cluster also Parquet, WebDataset "
            "and s3://...",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="A file to write, ending in .npz or .parquet; with --cluster also a folder, for Parquet files.",
        ),
    ],
    precision: Precision = "auto",
    bank_gb: BankGb = None,
    follow_links: FollowLinks = False,
    weights: Weights = None,
    cluster: Cluster = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write what ResNet50 sees in each photo: 2,048 numbers, for a classifier of your own.

    Columns: path, label and features (float32, at least 0), in the order of the paths. The photo's shorter side is
    brought to 256 pixels, and the central 224 x 224 are looked at. Taking the root of the features and bringing each
    row to length 1 makes them fit for a linear classifier.

    For example:

      leafgraft features photos -o features.npz

      leafgraft features photos -o features.parquet --precision int8

      leafgraft features s3://herbarium/scans -o s3://herbarium/features --cluster auto
    """
    choose(precision)
    if cluster is not None:
        _on_cluster(at_hand(photos), output, precision, follow_links, weights, json, cluster, gpus_per_worker)
        return
    require_cluster(gpus_per_worker)
    embeddings.require_format(Path(output))
    photos = at_hand(photos)
    with bars() as progress:
        told = partial(progress, "Reading the photos")
        found = scan(Path(photos), fewest=1, follow_links=follow_links, progress=told)
        usable = [photo for photo in found if not photo.problem]
        for photo in found:
            if photo.problem:
                say(f"left out: {photo.path}: {photo.problem}")
        file = imagenet.fetch(weights, progress=progress)
        say(choose(precision).sentence)
        data = Dataset.of_photos(usable, sorted({photo.label for photo in usable}))
        rows = pooled(file, data, Means(imagenet.cache_dir() / "bank", precision, bank_gb, progress))
    paths = [photo.path.absolute().as_posix() for photo in usable]
    embeddings.write(Path(output), [(paths, [photo.label for photo in usable], rows)])
    _say_what(output, len(usable), len(found) - len(usable), precision, json)


def _on_cluster(
    photos: str, output: str, precision: str, follow_links: bool, weights: Path | None, json: bool, cluster: str,
    gpus: float,
) -> None:  # fmt: skip
    from leafgraft.cluster import jobs

    file = jobs.file_of(output)
    if file is not None:
        embeddings.require_format(file)
    source = jobs.source_of(photos, lambda path: unread(path.absolute(), follow_links=follow_links))
    with bars() as progress, jobs.parts_of(output) as folder:
        weights = imagenet.fetch(weights, progress=progress)
        say(choose(precision).sentence)
        done = jobs.features(source, weights, imagenet.cache_dir() / "bank", precision, folder, cluster, progress, gpus)
        if done.photos == done.problems:
            raise UserError(f"No photo in {photos} can be read.")
        if file is not None:
            embeddings.write(file, map(jobs.embedded, done.tables()))
    _say_what(output, done.photos - done.problems, done.problems, precision, json)


def _say_what(output: str, photos: int, left_out: int, precision: str, json: bool) -> None:
    engine = choose(precision).name
    text = f"{output}: {photos:,} photos, 2,048 features each, computed in {engine}"
    result(text, {"file": output, "photos": photos, "left_out": left_out, "engine": engine}, json)
