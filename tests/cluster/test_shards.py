"""Shards are read once an epoch, by one worker each, in an order that depends on the seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from leafgraft.cluster import shards
from leafgraft.cluster.shards import Shards, photos_each
from leafgraft.cluster.work import column

COUNTS = (5, 5, 5, 5, 5, 5, 2)
VIEWS = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """32 photos: one tensor holds the number of the photo, the other that of the view; the label is odd or even."""
    folder = tmp_path_factory.mktemp("shards")
    number, names = 0, []
    for shard, count in enumerate(COUNTS):
        own = np.arange(number, number + count)
        number += count
        table = {"label": [("even", "odd")[one % 2] for one in own]}
        for view in range(VIEWS):
            for output, tensor in enumerate((np.repeat(own, 3), np.full(count, view))):
                values = np.asarray(tensor, np.float16).reshape(count, -1)
                kind = pa.binary(values.shape[1] * 2)
                table[column(output, view)] = pa.Array.from_buffers(kind, count, [None, pa.py_buffer(values.copy())])
        names.append(f"{shard}.parquet")
        parquet.write_table(pa.table(table), folder / names[-1])
    return Shards(str(folder), tuple(names), COUNTS, ((3,), ()), VIEWS, ("even", "odd"))


def test_every_photo_is_there_once_with_its_label(made: Shards) -> None:
    batches = list(made.batches(7, (0, 0)))
    assert [len(labels) for _, labels in batches] == [7, 7, 7, 7, 4]
    photos = np.concatenate([tensors[0] for tensors, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    assert photos.dtype == np.float32
    assert sorted(photos[:, 0].tolist()) == list(range(32))
    np.testing.assert_array_equal(photos[:, 0] % 2, labels)
    np.testing.assert_array_equal(photos[:, 0], photos[:, 2])


def test_without_chance_it_is_the_order_of_the_files_and_the_first_view(made: Shards) -> None:
    [(tensors, _)] = made.batches(32)
    assert tensors[0][:, 0].tolist() == list(range(32))
    assert set(tensors[1].tolist()) == {0.0}


def test_epochs_differ_and_show_all_views(made: Shards) -> None:
    seen = [next(made.batches(32, (0, epoch)))[0] for epoch in range(8)]
    assert len({tuple(photos[:, 0].tolist()) for photos, _ in seen}) == 8
    assert {float(view) for _, views in seen for view in views} == {0.0, 1.0}


@given(workers=st.integers(1, 9), size=st.integers(1, 40))
@settings(deadline=None, max_examples=25)
def test_workers_share_them_and_finish_together(made: Shards, workers: int, size: int) -> None:
    own = [list(made.of(rank, workers).batches(size, (1, rank))) for rank in range(workers)]
    photos = [photo for batches in own for tensors, _ in batches for photo in tensors[0][:, 0].tolist()]
    assert sorted(photos) == list(range(32))
    assert max(map(len, own)) == made.steps(workers, size)


@given(size=st.integers(1, 40), skipped=st.integers(0, 40), mixed=st.integers(1, 40))
@settings(deadline=None, max_examples=25)
def test_an_epoch_goes_on_where_it_was_left(made: Shards, size: int, skipped: int, mixed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "MIXED", mixed)
        whole, rest = list(made.batches(size, (3,))), list(made.batches(size, (3,), skipped))
    assert len(rest) == max(0, len(whole) - skipped)
    for (before, labels), (after, again) in zip(whole[skipped:], rest, strict=True):
        np.testing.assert_array_equal(before[0], after[0])
        np.testing.assert_array_equal(before[1], after[1])
        np.testing.assert_array_equal(labels, again)


@given(photos=st.integers(1, 10**7))
def test_shards_are_neither_too_few_nor_too_large(photos: int) -> None:
    each = photos_each(photos)
    assert 8 <= each <= 128
    assert each == 8 or photos / each >= 64


def test_nobody_reads_a_shard_of_another(made: Shards, tmp_path: Path) -> None:
    alone = replace(made.of(1, 7), folder=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"1\.parquet"):
        list(alone.batches(5))
