"""ResNet50 as a file: the same network as Keras has, made whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from faulty_garden import FaultyGarden, conversion, faulty_garden
from leafgraft import imagenet, network
from leafgraft.engine.backbone import FEATURES, backbone
from leafgraft.engine.bank import converting
from leafgraft.engine.prefix import OpenVINO, fingerprint
from leafgraft.engine.store import Means, Prefix, Store
from leafgraft.errors import UserError
from leafgraft.photos import Augmentation
from leafgraft.photos.dataset import CENTRE, Dataset


@pytest.fixture(scope="module")
def faulty(garden: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> FaultyGarden:
    return faulty_garden(tmp_path_factory.getbasetemp(), garden, weights)


@pytest.fixture(scope="module")
def prefix(faulty: FaultyGarden) -> Prefix:
    return backbone(faulty.weights, faulty.cache / "bank")


@pytest.fixture(scope="module")
def halves(weights: Path) -> network.Halves:
    """The same cut as training makes it, for another number of species."""
    base = network.resnet50()
    imagenet.load_into(base, weights)
    return network.cut_at_pool(network.linear_head(base, 7))


@pytest.fixture(scope="module")
def views(faulty: FaultyGarden) -> NDArray[np.uint8]:
    photos = [photo for photo in faulty.photos() if not photo.problem][::9]
    data = Dataset.of_photos(photos, sorted({photo.label for photo in photos}))
    return np.stack([data.views(i, [CENTRE], Augmentation())[0] for i in range(len(data))])


def test_its_features_are_those_of_keras(prefix: Prefix, views: NDArray[np.uint8]) -> None:
    model = prefix.keras()
    assert fingerprint(model) == prefix.network
    expected = np.asarray(model(views, training=False))
    features = np.concatenate([rows[0].copy() for rows in OpenVINO(prefix.openvino()).run(views)])
    assert features.shape == (len(views), FEATURES) == (len(views), *prefix.shapes[0])
    assert features.min() >= 0
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * float(expected.mean()))


def test_its_rows_are_those_of_training(faulty: FaultyGarden, prefix: Prefix, halves: network.Halves) -> None:
    assert prefix.network == fingerprint(halves.prefix)
    photos = [photo for photo in faulty.photos() if not photo.problem]
    data = Dataset.of_photos(photos, sorted({photo.label for photo in photos}))
    trained = Store(Prefix.of(halves), Means(faulty.cache / "bank")).feed(data, [CENTRE], keep=False)
    assert (trained.places >= 0).all()


def test_it_is_made_once(faulty: FaultyGarden, prefix: Prefix) -> None:
    told: list[str] = []
    again = backbone(faulty.weights, faulty.cache / "bank", lambda text, done, total: told.append(text))
    assert told == []
    assert again.network == prefix.network
    assert again.openvino() == prefix.openvino()


def test_what_cannot_be_converted_leaves_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "weights.npz"
    bad.write_bytes(b"PK\3\4 once there were weights in it")
    with pytest.raises(UserError, match=r"weights\.npz"):
        backbone(bad, tmp_path / "bank")
    assert [path.name for path in (tmp_path / "bank").iterdir()] == ["converting.lock"]


def test_it_was_made_in_a_process_of_its_own(faulty: FaultyGarden, prefix: Prefix) -> None:
    assert faulty.converted == [prefix.network, ""]  # and no TensorFlow in the process that asked for it
    folder = prefix.openvino().parent
    assert sorted(path.name for path in folder.iterdir()) == ["about.json", "model.bin", "model.xml"]
    assert json.loads((folder / "about.json").read_text(encoding="utf-8"))["network"] == prefix.network


@pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")
def test_what_a_killed_conversion_leaves_is_not_trusted(faulty: FaultyGarden, tmp_path: Path) -> None:
    doomed = subprocess.Popen(conversion(faulty.weights, tmp_path), stdout=subprocess.DEVNULL, start_new_session=True)
    while not list(tmp_path.glob(".leafgraft-*")):
        assert doomed.poll() is None
        time.sleep(0.01)
    os.killpg(doomed.pid, signal.SIGKILL)
    doomed.wait()
    assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == [".leafgraft", "converting.lock"]
    with converting(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["converting.lock"]
    # Where the garden's network was made there lay such a folder before, with more in it.
    assert [path.name for path in (faulty.cache / "bank").glob(".leafgraft-*")] == []
