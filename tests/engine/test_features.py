"""Features are those of the network, wherever it is cut for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from leafgraft import imagenet, network
from leafgraft._tensorflow import keras
from leafgraft.engine.bank import banks
from leafgraft.engine.features import through
from leafgraft.engine.store import Means
from leafgraft.photos import Augmentation, canvas, centre
from leafgraft.photos.dataset import CENTRE, Dataset
from leafgraft.photos.garden import draw

NUMBERS = [CENTRE, 0]


@pytest.fixture(scope="module")
def drawings() -> Dataset:
    pixels = np.stack([centre(canvas(draw(name, 3))) for name in ("fern", "cactus", "oak")])
    return Dataset.of_arrays(pixels, np.arange(3), ["fern", "cactus", "oak"])


@pytest.fixture(scope="module")
def model(weights: Path) -> Any:
    base = network.resnet50()
    imagenet.load_into(base, weights)
    return network.custom_head(base, 3)


@pytest.fixture(scope="module")
def expected(model: Any, drawings: Dataset) -> NDArray[np.float32]:
    """What Keras makes of the views, (3, 2, 2048)."""
    views = np.stack([view for photo in range(3) for view in drawings.views(photo, NUMBERS, Augmentation())])
    pooled = keras.Model(model.input, model.get_layer("pool").output)(views.astype(np.float32), training=False)
    return np.asarray(pooled, np.float32).reshape(3, 2, 2048)


@pytest.mark.parametrize("unfreeze", [10, 175])
def test_features_are_the_same_wherever_the_network_is_cut(
    model: Any, drawings: Dataset, expected: NDArray[np.float32], unfreeze: int, tmp_path: Path
) -> None:
    learning = [layer.trainable for layer in model.layers]
    told: list[tuple[str, int, int]] = []
    means = Means(tmp_path, progress=lambda *step: told.append(step))
    found = through(model, means, drawings, NUMBERS, Augmentation(), unfreeze)
    assert found.shape == (3, 2, 2048)
    assert found.dtype == np.float32
    assert found.min() >= 0
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())  # in bfloat16, where there is one
    assert [layer.trainable for layer in model.layers] == learning
    assert {bank["rows"] for bank in banks(tmp_path)} == {6}
    assert told[-1][1] == told[-1][2]
