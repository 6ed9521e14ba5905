"""Shards: what the frozen layers made of some dozen photos each, in Parquet files that training reads in turn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.cluster.sources import opened
from leafgraft.cluster.work import column
from leafgraft.photos.ahead import in_order

Batch = tuple[list[NDArray[Any]], NDArray[np.int64]]
"""The tensors (b, *shape) of some photos, and their labels (b,)."""

MIXED = 256
"""Photos that are in memory together, at least, and mixed with each other."""


def photos_each(photos: int) -> int:
    """How many photos a shard has: enough shards that workers get about the same, and none larger than memory likes."""
    return min(128, max(8, photos // 64))


@dataclass(frozen=True)
class Shards:
    """Some shards. Which photos share one is a matter of chance, so that any few of them are a sample of all.

    Attributes:
        folder: the address of their folder.
        names: of the files.
        counts: how many photos each has.
        shapes: of the tensors of a photo.
        views: how many views of each photo there are.
        classes: the species, in the order of the labels.
    """

    folder: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    views: int
    classes: tuple[str, ...]

    @property
    def photos(self) -> int:
        """How many photos there are."""
        return sum(self.counts)

    def of(self, rank: int, workers: int) -> Shards:
        """Those that one of some workers reads."""
        return replace(self, names=self.names[rank::workers], counts=self.counts[rank::workers])

    def steps(self, workers: int, size: int) -> int:
        """How many steps an epoch has, of so many photos for each worker, until the last worker has read its own."""
        return max(math.ceil(self.of(rank, workers).photos / size) for rank in range(workers))

    def batches(self, size: int, chance: tuple[int, ...] | None = None, skipped: int = 0) -> Iterator[Batch]:
        """Read each photo once.

        Args:
            size: photos a batch; the last one may have fewer.
            chance: seeds the order and the choice of views; None keeps the order and takes the first view.
            skipped: how many batches are left out.
        """
        dice = None if chance is None else np.random.default_rng(chance)
        order = np.arange(len(self.names)) if dice is None else dice.permutation(len(self.names))
        views = np.zeros(len(order), int) if dice is None else dice.integers(0, self.views, len(order))
        groups: list[tuple[list[tuple[int, int]], NDArray[np.int64]]] = []
        waiting: list[tuple[int, int]] = []
        count = 0
        for shard, view in zip(order.tolist(), views.tolist(), strict=True):
            waiting.append((shard, view))
            count += self.counts[shard]
            if count >= MIXED or shard == order[-1]:
                rows = np.arange(count) if dice is None else dice.permutation(count)
                groups.append((waiting, rows))
                waiting, count = [], 0
        left_out = skipped * size
        wanted = []
        for group, rows in groups:
            passed, left_out = min(left_out, len(rows)), max(0, left_out - len(rows))
            if passed < len(rows):
                wanted.append((group, rows[passed:]))
        kept: Batch | None = None
        for tensors, labels in in_order(self._read, wanted, threads=1):
            if kept is not None:
                tensors = [np.concatenate(pair) for pair in zip(kept[0], tensors, strict=True)]
                labels = np.concatenate([kept[1], labels])
            full = len(labels) // size * size
            for start in range(0, full, size):
                some = slice(start, start + size)
                yield [tensor[some].astype(np.float32) for tensor in tensors], labels[some]
            kept = [tensor[full:] for tensor in tensors], labels[full:]
        if kept is not None and len(kept[1]):
            yield [tensor.astype(np.float32) for tensor in kept[0]], kept[1]

    def _read(self, wanted: tuple[list[tuple[int, int]], NDArray[np.int64]]) -> Batch:
        from pyarrow import parquet

        system, folder = opened(self.folder)
        places = {name: label for label, name in enumerate(self.classes)}
        labels: list[int] = []
        parts: list[list[NDArray[np.float16]]] = [[] for _ in self.shapes]
        for shard, view in wanted[0]:
            columns = [column(output, view) for output in range(len(self.shapes))]
            with system.open_input_file(f"{folder}/{self.names[shard]}") as file:
                table = parquet.read_table(file, columns=["label", *columns])
            labels += [places[name] for name in table.column("label").to_pylist()]
            for tensors, name, shape in zip(parts, columns, self.shapes, strict=True):
                tensors.append(numbers_in(table, name).reshape(-1, *shape))
        return [np.concatenate(tensors)[wanted[1]] for tensors in parts], np.array(labels, np.int64)[wanted[1]]


def numbers_in(table: Any, name: str) -> NDArray[np.float16]:
    """A column of numbers in half precision that `leafgraft.cluster.work.Views` wrote as bytes: float16 (n, m)."""
    values = table.column(name).combine_chunks()
    width = values.type.byte_width // 2
    first = values.offset * width
    return np.frombuffer(values.buffers()[1], np.float16)[first : first + len(values) * width].reshape(-1, width)
