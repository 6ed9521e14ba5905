"""Data sets of TensorFlow Datasets, by the package ``tensorflow_datasets``."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from leafgraft.errors import UserError
from leafgraft.hubs.failures import not_here
from leafgraft.hubs.request import Request
from leafgraft.hubs.table import Kind, Rows, Table
from leafgraft.machine import offline

# Without the namespaces of the library (``kubric:movi_a``), whose data sets are programs that it fetches and runs.
_NAME = re.compile(r"\w+(/[\w.\-]+)?(:[\d.*]+)?")


def opened(request: Request) -> Table:
    """Fetch a data set into the folder of its library, ``TFDS_DATA_DIR``, unless it is there, and open it.

    Args:
        request: what is asked for; its name is ``NAME``, ``NAME/CONFIG``, or either with ``:VERSION``.

    Raises:
        ImportError: the library is missing.
        UserError: the name is none; or the data set would have to be fetched, and must not be.
        Exception: whatever the library raises.
    """
    if not _NAME.fullmatch(request.name):
        raise UserError(f"{request} is not NAME, NAME/CONFIG or NAME:VERSION, as the catalogue of the library has it.")
    import tensorflow_datasets as tfds

    import leafgraft._tensorflow  # noqa: F401 - before the library loads TensorFlow in its own way

    with silence():
        builder = tfds.builder(request.name, data_dir=os.environ.get("TFDS_DATA_DIR"))
        if not builder.is_prepared():
            if offline():
                raise not_here(request)
            builder.download_and_prepare()
    features = builder.info.features

    def rows(split: str, image: str, label: str) -> Rows:
        wanted = tfds.decode.PartialDecoding({image: True, label: True}, {image: tfds.decode.SkipDecoding()})
        settings = tfds.ReadConfig(try_autocache=False)
        with silence():
            data = builder.as_dataset(split=split, decoders=wanted, read_config=settings, shuffle_files=False)
        for row in tfds.as_numpy(data):
            yield row[image], _label(row[label], features[label])

    kinds = {name: _kind(tfds, feature) for name, feature in features.items()}
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    return Table(str(builder.version), kinds, splits, rows)


def _kind(tfds: Any, feature: Any) -> Kind:
    if type(feature) is tfds.features.Image:  # not what inherits from it, such as a map of labels
        return "pictures"
    if isinstance(feature, tfds.features.ClassLabel):
        return "classes"
    if isinstance(feature, tfds.features.Text):
        return "text"
    single = isinstance(feature, tfds.features.Tensor) and feature.shape == ()
    return "numbers" if single and np.dtype(feature.np_dtype).kind in "iub" else "other"


def _label(value: Any, feature: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(feature, "int2str"):
        return "" if value < 0 else str(feature.int2str(int(value)))  # -1 stands for no label
    return str(value)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep the library from the standard output, which belongs to the results of commands, and from warning."""
    import tensorflow_datasets as tfds

    loggers = [logging.getLogger(name) for name in ("absl", "urllib3")]
    before = [logger.level for logger in loggers]
    tfds.disable_progress_bar()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
