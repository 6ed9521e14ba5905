"""Files of features, 2,048 numbers for each photo, for classifiers of other kinds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leafgraft.engine.backbone import FEATURES
from leafgraft.errors import UserError
from leafgraft.files import require_pyarrow, whole

FORMATS = (".npz", ".parquet")

Embedded = tuple[Sequence[str], Sequence[str], NDArray[np.float32]]
"""The paths of some photos, their labels and their features, float32 (n, 2048)."""


def require_format(path: Path) -> None:
    """Refuse what `write` cannot write.

    Raises:
        UserError: the ending is another, or pyarrow is missing.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"The file must end in {' or '.join(FORMATS)}. Received: {path}.")
    if path.suffix == ".parquet":
        require_pyarrow(".npz")


def write(path: Path, parts: Iterable[Embedded]) -> None:
    """Write the columns path, label and features.

    Args:
        path: its ending says how. A .npz file is put together in memory, a .parquet file part by part.
        parts: at least one.
    """
    with whole(path) as temporary:
        if path.suffix == ".npz":
            paths, labels, rows = map(np.concatenate, zip(*parts, strict=True))
            np.savez(temporary, path=paths, label=labels, features=rows)
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        lists = pa.list_(pa.float32(), FEATURES)
        schema = pa.schema([("path", pa.string()), ("label", pa.string()), ("features", lists)])
        with pq.ParquetWriter(temporary, schema) as writer:
            for part in parts:
                features = pa.FixedSizeListArray.from_arrays(pa.array(part[2].reshape(-1)), FEATURES)
                writer.write_table(pa.table([pa.array(part[0]), pa.array(part[1]), features], schema))
