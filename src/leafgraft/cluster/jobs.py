"""What the commands ask of a cluster: features of photos, and answers to photos."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.cluster.parts import Done, done, removed
from leafgraft.cluster.session import connected
from leafgraft.cluster.sources import Found, Part, parts
from leafgraft.cluster.work import Features, Names, Work, network_files, packed
from leafgraft.embeddings import Embedded
from leafgraft.engine.backbone import FEATURES, backbone
from leafgraft.engine.prefix import choose
from leafgraft.errors import UserError
from leafgraft.files import sha256
from leafgraft.machine import versions
from leafgraft.naming import Row
from leafgraft.opening import ANSWERING, MANIFEST, find
from leafgraft.photos.dataset import PIXELS
from leafgraft.photos.photo import Photo
from leafgraft.progress import Progress

Source = str | Iterable[Found]
"""The address of photos, or photos that were listed on this machine."""


def listed(photos: Iterable[Path | Photo]) -> Iterator[Found]:
    """Photos of this machine, whose paths every machine of the cluster must know."""
    for one in photos:
        photo = one if isinstance(one, Photo) else Photo(one, "")
        try:
            stat = photo.path.stat()
            stamp = f"{stat.st_size} {stat.st_mtime_ns}"
        except (OSError, ValueError):
            stamp = "missing"
        yield Found(str(photo.path), photo.label, stamp, photo.problem)


def source_of(address: str, listing: Callable[[Path], Iterable[Path | Photo]]) -> Source:
    """A source from what a user names: a folder or list of photos of this machine is listed as one machine would.

    Args:
        address: what the user names.
        listing: lists the photos of a path.
    """
    return address if is_address(address) else listed(listing(Path(address)))


def is_address(name: str) -> bool:
    """Whether Arrow has to open what a user names: a URI, or Parquet files or shards, maybe in a folder."""
    path, many = Path(name), (".parquet", ".tar")
    return (
        "://" in name
        or path.suffix in many
        or (path.is_dir() and any(entry.suffix in many for entry in path.iterdir()))
    )


def file_of(output: str) -> Path | None:
    """The file that parts are put together in; None where the output is a folder, of this machine or elsewhere.

    Raises:
        UserError: it is a file elsewhere.
    """
    path = Path(output.partition("?")[0])
    if "://" not in output:
        return path if path.suffix else None
    if path.suffix:
        raise UserError(f"{output} would be a file, and what is not on this machine is written as a folder; name one.")
    return None


@contextmanager
def parts_of(output: str) -> Iterator[str]:
    """The folder of the parts of some output: itself, or one beside the file that the block makes of them."""
    if file_of(output) is None:
        yield output
        return
    yield (folder := f"{output}.parts")
    removed(folder)


def features(
    source: Source, weights: Path, root: Path, precision: str, folder: str, cluster: str,
    progress: Progress | None = None, gpus: float = 0.0,
) -> Done:  # fmt: skip
    """What ResNet50 sees in photos; see `leafgraft.cluster.work.Features`.

    Args:
        source: of the photos.
        weights: a file with ResNet50's ImageNet weights, on this machine.
        root: the folder of all banks of this machine, where the network is kept.
        precision: "auto", "fp32" or "bf16".
        folder: the address of the folder of the parts.
        cluster: its address.
        progress: told how far it is.
        gpus: how many of them, or what share of one, each worker has.

    Raises:
        UserError: the precision is another, or anything cannot be opened.
    """
    engine, key = engine_of(precision, gpus)
    network = backbone(weights, root, progress)
    settings = f"features {key} {network.network} {PIXELS}"
    arguments = (network_files(network, gpu=bool(gpus)), engine)
    return run(source, Features, arguments, settings, folder, cluster, progress, gpus=gpus)


def engine_of(precision: str, gpus: float) -> tuple[str, str]:
    """What computes frozen layers on a cluster, and what names it in keys.

    Raises:
        UserError: the precision is another than auto, fp32 or bf16.
    """
    choice = choose(precision)
    if choice.name not in ("fp32", "bf16"):
        raise UserError(
            f"On a cluster the frozen layers are computed in fp32, bf16 or auto, not in {choice.name}: the photos that "
            "int8 would be calibrated on lie anywhere, and --gpus-per-worker takes TensorFlow."
        )
    return ("tensorflow", f"tensorflow {versions()['tensorflow']} half") if gpus else (choice.name, choice.key)


def names(
    source: Source, model: Path, engine: str, top: int, flat: bool, folder: str, cluster: str,
    progress: Progress | None = None,
) -> Done:  # fmt: skip
    """Answers of a saved classifier to photos; see `leafgraft.cluster.work.Names`.

    Args:
        source: of the photos.
        model: a bundle, or the folder of a run, on this machine.
        engine: as for `leafgraft.bundle.Bundle`.
        top: how many species to name.
        flat: whether answers become columns.
        folder: the address of the folder of the parts.
        cluster: its address.
        progress: told how far it is.

    Raises:
        UserError: anything cannot be opened.
    """
    bundle = find(model)
    files = packed(bundle, (*ANSWERING, MANIFEST))
    precision = choose(engine).name
    openvino = metadata.version("openvino")
    settings = f"names {sha256(bundle / MANIFEST)} {precision} {openvino} {PIXELS} {top} {flat}"
    return run(source, Names, (files, precision, top, flat), settings, folder, cluster, progress)


def run(
    source: Source, work: type[Work], arguments: tuple[Any, ...], settings: str, folder: str, cluster: str,
    progress: Progress | None, *, size: int | None = None, gpus: float = 0.0,
) -> Done:  # fmt: skip
    """Do some work on all photos of a source.

    Args:
        source: of the photos.
        work: what is done.
        arguments: for ``work``.
        settings: all that the work depends on besides the photos.
        folder: the address of the folder of the parts.
        cluster: its address.
        progress: told how far it is.
        size: see `leafgraft.cluster.sources.parts`.
        gpus: how many of them, or what share of one, each worker has.
    """

    def counted() -> Iterator[Part]:
        for count, part in enumerate(parts(source, size), start=1):
            yield part
            if progress:
                progress("Listing the photos, parts", count, 0)
        if progress:
            progress("Listing the photos, parts", 1, 1)

    address = source if isinstance(source, str) else "."
    # The working folder of the others is another.
    address, folder = (name if "://" in name else str(Path(name).absolute()) for name in (address, folder))
    with connected(cluster) as capacity:
        workers = capacity.workers_with(gpus)
        return done(counted(), address, work, arguments, settings, folder, workers, progress, gpus)


def answers(done: Done) -> Iterator[Row]:
    """What `names` found, photo by photo, if it was not asked for columns."""
    for table in done.tables():
        yield from map(json.loads, table.column("row").to_pylist())


def embedded(table: Any) -> Embedded:
    """The photos of a part that can be used."""
    import pyarrow.compute as pc

    usable = table.filter(pc.field("problem") == "").combine_chunks()
    features = usable.column("features").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return (
        usable.column("path").to_pylist(),
        usable.column("label").to_pylist(),
        features.astype(np.float32).reshape(len(usable), FEATURES),
    )


def scanned(
    scanning: Callable[..., list[Photo]], look: Callable[[Source], Done]
) -> tuple[list[Photo], NDArray[np.float32]]:
    """Scan photos of this machine, and see what ResNet50 sees in them; all of it is brought here.

    Args:
        scanning: `leafgraft.photos.scan` with all arguments but ``examine``.
        look: `features` with all arguments but the source.

    Returns:
        All photos, and float32 (m, 2048) of the m usable ones.
    """
    rows: dict[Path, NDArray[np.float32]] = {}

    def examine(photos: list[Photo]) -> Iterator[Photo]:
        fine = [photo for photo in photos if not photo.problem]
        found = _rows(look(listed(fine))) if fine else iter(())
        for photo in photos:
            if not photo.problem:
                seen, row = next(found)
                if row is not None:
                    rows[photo.path] = row
                photo = replace(photo, **seen, group=photo.group or seen["sha256"][:16])
            yield photo

    photos = scanning(examine=examine)
    return photos, np.stack([rows[photo.path] for photo in photos if not photo.problem])


def _rows(done: Done) -> Iterator[tuple[dict[str, Any], NDArray[np.float32] | None]]:
    """What `features` found, photo by photo: fields of the photo, and its features if it can be used."""
    for table in done.tables():
        features = iter(embedded(table)[2])
        for seen in table.select(["sha256", "width", "height", "problem"]).to_pylist():
            yield seen, None if seen["problem"] else next(features)
