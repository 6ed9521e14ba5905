"""int8, calibrated on photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leafgraft import imagenet, network
from leafgraft.engine.bank import banks, clear
from leafgraft.engine.store import Means, Prefix, Store
from leafgraft.photos import scan
from leafgraft.photos.dataset import CENTRE, Dataset


@pytest.fixture(scope="module")
def photos(garden: Path) -> Dataset:
    found = [photo for photo in scan(garden) if photo.label in ("cactus", "fern", "rose")]
    return Dataset.of_photos(found, ["cactus", "fern", "rose"])


@pytest.mark.slow
def test_int8_sees_much_the_same_and_serves_other_splits(photos: Dataset, weights: Path, tmp_path: Path) -> None:
    base = network.resnet50()
    imagenet.load_into(base, weights)
    halves = network.cut_at_pool(network.linear_head(base, 3))
    exact = Store(Prefix.of(halves), Means(tmp_path)).all_rows(photos, [CENTRE])[:, 0]
    rough = Store(Prefix.of(halves), Means(tmp_path, "int8")).all_rows(photos, [CENTRE])[:, 0]
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert 0.97 < cosine.mean() < 0.99999
    networks = list(tmp_path.glob("int8-*"))
    assert len(networks) == 1

    # Most of the photos are the same: so is the network, and what it computed is found again.
    some = photos.subset(np.arange(2, len(photos)))
    again = Store(Prefix.of(halves), Means(tmp_path, "int8")).all_rows(some, [CENTRE])[:, 0]
    np.testing.assert_array_equal(again, rough[2:])
    assert list(tmp_path.glob("int8-*")) == networks
    assert sorted(bank["rows"] for bank in banks(tmp_path)) == [0, len(photos), len(photos)]

    clear(tmp_path)
    assert banks(tmp_path) == []
