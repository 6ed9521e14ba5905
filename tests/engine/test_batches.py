from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leafgraft import network
from leafgraft.engine.batches import batches
from leafgraft.engine.store import Means, Prefix, Store
from leafgraft.photos import Augmentation
from leafgraft.photos.dataset import Dataset

pytestmark = pytest.mark.quick


def epochs_of(dataset: Any, count: int) -> list[list[Any]]:
    """Inputs, targets and weights of some epochs, each put together."""
    return [
        [np.concatenate([np.asarray(part[i]) for part in parts]) for i in range(len(parts[0]))]
        for parts in (list(dataset) for _ in range(count))
    ]


def test_an_epoch_shows_each_photo_once_with_its_label_and_weight(
    halves: network.Halves, data: Dataset, tmp_path: Path
) -> None:
    feed = Store(Prefix.of(halves), Means(tmp_path)).feed(data, [0, 1, 2], Augmentation())
    feed = dataclasses.replace(feed, weights=np.arange(12, dtype=np.float32))
    dataset = batches(feed, 5, seed=0)
    assert len(dataset) == 3
    orders = []
    for grey, targets, weights in epochs_of(dataset, 2):
        order = weights.astype(int)
        assert sorted(order) == list(range(12))
        np.testing.assert_array_equal(targets.argmax(axis=1), data.labels[order])
        np.testing.assert_allclose(grey[:, 0], data.source[order, 0, 0, 0], atol=0.5)  # type: ignore[call-overload]
        orders.append(order.tolist())
    assert orders[0] != orders[1]


def test_fresh_views_come_one_after_another(halves: network.Halves, tmp_path: Path) -> None:
    shades = np.arange(224, dtype=np.uint8)[None, None, :, None]  # darker to the left, so that a shift shows
    one = Dataset.of_arrays(np.broadcast_to(shades, (1, 224, 224, 3)).copy(), np.array([0]), ["a"])
    feed = Store(Prefix.of(halves), Means(tmp_path)).feed(one, range(4), Augmentation(), keep=False)
    seen = {float(epoch[0][0, 0]) for epoch in epochs_of(batches(feed, 1, seed=0, in_turn=True), 4)}
    assert len(seen) == 4
