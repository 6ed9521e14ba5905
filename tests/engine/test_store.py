"""What is kept in the bank, and what is computed when it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leafgraft import network
from leafgraft.engine.bank import Bank, banks
from leafgraft.engine.store import Feed, Means, Prefix, Store, held
from leafgraft.photos import Augmentation
from leafgraft.photos.dataset import CENTRE, Dataset


def everything(feed: Feed) -> list[np.ndarray]:
    return [np.concatenate(parts) for parts in zip(*feed.read_all(5), strict=True)]


def test_every_row_belongs_to_its_photo(halves: network.Halves, data: Dataset, tmp_path: Path) -> None:
    store = Store(Prefix.of(halves), Means(tmp_path))
    store.feed(data.subset(np.array([7, 3, 3, 1])), [CENTRE])  # part of the bank is there already
    feed = store.feed(data, [CENTRE])
    expected = data.source[:, 0, 0, 0].astype(np.float16)  # type: ignore[call-overload]
    np.testing.assert_allclose(everything(feed)[0][:, 0], expected, atol=0.5)
    assert len(np.unique(feed.places)) == 11  # equal photos share a row
    np.testing.assert_array_equal(feed.targets.argmax(axis=1), data.labels)


@pytest.mark.parametrize("engine", ["fp32", "tensorflow"])
@pytest.mark.parametrize("kept", [0, 5, 36])
def test_what_the_budget_leaves_out_is_computed_and_is_the_same(
    halves: network.Halves, data: Dataset, tmp_path: Path, engine: str, kept: int
) -> None:
    whole = Store(Prefix.of(halves), Means(tmp_path / "whole", engine)).feed(data, [0, 1, 2], Augmentation())
    row = Bank(tmp_path / "empty", "settings", halves.shapes).row_bytes
    about = 600  # bytes of about.json, roughly
    part = Store(Prefix.of(halves), Means(tmp_path / "part", engine, (kept * row + about * bool(kept)) / 1e9)).feed(
        data, [0, 1, 2], Augmentation()
    )
    here = int((part.places >= 0).sum())
    assert here == {0: 0, 5: here, 36: 36}[kept]
    assert 0 <= here <= 36
    assert kept != 5 or 0 < here < 36
    for got, expected in zip(everything(part), everything(whole), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_nothing_is_kept_that_should_not_be(halves: network.Halves, data: Dataset, tmp_path: Path) -> None:
    store = Store(Prefix.of(halves), Means(tmp_path))
    fresh = store.feed(data, [0, 1], Augmentation(), keep=False)
    assert (fresh.places == -1).all()
    assert sum(bank["rows"] for bank in banks(tmp_path)) == 0
    for got, expected in zip(everything(fresh), everything(store.feed(data, [0, 1], Augmentation())), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_rows_of_one_engine_are_not_taken_for_those_of_another(
    halves: network.Halves, data: Dataset, tmp_path: Path
) -> None:
    for engine in ("fp32", "tensorflow"):
        Store(Prefix.of(halves), Means(tmp_path, engine)).feed(data, [CENTRE])
    assert [bank["rows"] for bank in banks(tmp_path)] == [11, 11]


def test_rows_in_memory_are_read_as_those_of_a_bank(halves: network.Halves, data: Dataset, tmp_path: Path) -> None:
    store = Store(Prefix.of(halves), Means(tmp_path))
    kept = store.feed(data, [0, 1], Augmentation())
    feed = held(store.all_rows(data, [0, 1], Augmentation()), data)
    for got, expected in zip(everything(feed), everything(kept), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(feed.targets, kept.targets)
    assert feed.rows.shapes == kept.rows.shapes == ((1,),)
    some = [(3, 1), (0, 0), (3, 1)]
    for part, same in zip(feed.read(some, 2), kept.read(some, 2), strict=True):
        np.testing.assert_array_equal(part[0], same[0])


def test_all_rows_are_in_the_order_of_photos_and_views(halves: network.Halves, data: Dataset, tmp_path: Path) -> None:
    store = Store(Prefix.of(halves), Means(tmp_path))
    rows = store.all_rows(data, [0, 1], Augmentation())
    assert rows.shape == (12, 2, 1)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[:, :, 0], np.repeat(data.source[:, 0, 0, :1], 2, axis=1), atol=0.5)  # type: ignore[call-overload]
