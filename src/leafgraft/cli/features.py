"""``leafgraft features``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from leafgraft import imagenet
from leafgraft.cli.screen import Debug, FollowLinks, Json, Weights, bars, result, say
from leafgraft.cli.train import BankGb, Precision, Source
from leafgraft.engine.backbone import pooled
from leafgraft.engine.prefix import choose
from leafgraft.engine.store import Means
from leafgraft.errors import UserError
from leafgraft.files import whole
from leafgraft.photos import scan
from leafgraft.photos.dataset import Dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray


def features(
    photos: Source,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="A file to write, ending in .npz or .parquet.")
    ],
    precision: Precision = "auto",
    bank_gb: BankGb = None,
    follow_links: FollowLinks = False,
    weights: Weights = None,
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
    """
    if output.suffix not in (".npz", ".parquet"):
        raise UserError(f"The file must end in .npz or .parquet. Received: {output}.")
    if output.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise UserError("Parquet needs pyarrow: pip install 'leafgraft[parquet]', or write .npz.") from None
    choose(precision)
    with bars() as progress:
        told = partial(progress, "Reading the photos")
        found = scan(photos, fewest=1, follow_links=follow_links, progress=told)
        usable = [photo for photo in found if not photo.problem]
        for photo in found:
            if photo.problem:
                say(f"left out: {photo.path}: {photo.problem}")
        if not usable:
            raise UserError(f"No photo in {photos} can be read.")
        file = imagenet.fetch(weights, progress=progress)
        choice = choose(precision)
        say(choice.sentence)
        data = Dataset.of_photos(usable, sorted({photo.label for photo in usable}))
        rows = pooled(file, data, Means(imagenet.cache_dir() / "bank", precision, bank_gb, progress))
    paths = [photo.path.absolute().as_posix() for photo in usable]
    _write(output, paths, [photo.label for photo in usable], rows)
    text = f"{output}: {len(paths):,} photos, 2,048 features each, computed in {choice.name}"
    left_out = len(found) - len(usable)
    result(text, {"file": str(output), "photos": len(paths), "left_out": left_out, "engine": choice.name}, json)


def _write(path: Path, paths: list[str], labels: list[str], rows: NDArray[np.float32]) -> None:
    with whole(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, path=np.array(paths), label=np.array(labels), features=rows)
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {
            "path": paths,
            "label": labels,
            "features": pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1]),
        }
        pq.write_table(pa.table(columns), temporary)
