from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from leafgraft import imagenet
from leafgraft.weights_format import expected_shapes, from_tensorflow_js, modern_name, read, split
from weights_on_disk import archive, keras_h5, old_name, same


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real ImageNet weights with the top, through the ordinary cache."""
    return imagenet.fetch(top=True)


def test_the_318_tensors_of_the_real_weights_have_the_expected_names_and_shapes(weights: Path) -> None:
    arrays = read(weights)
    assert len(arrays) == 318
    assert {name: array.shape for name, array in arrays.items()} == expected_shapes()
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values())
    assert sum(array.size for array in arrays.values()) == 23_587_712  # keras.io/api/applications: 25.6 M with the top


def test_old_layer_names_map_to_todays_and_todays_to_themselves() -> None:
    layers = {name.split("/")[0] for name in expected_shapes() | expected_shapes(top=True)}
    assert len(layers) == 107
    assert {modern_name(old_name(layer)) for layer in layers} == layers
    assert {modern_name(layer) for layer in layers} == layers


@pytest.mark.parametrize("old_names", [False, True])
def test_the_official_keras_file_with_the_top_gives_the_same_arrays(
    weights: Path, tmp_path: Path, old_names: bool
) -> None:
    arrays = read(weights, top=True)
    assert len(arrays) == 320
    assert same(keras_h5(tmp_path / "weights.h5", arrays, old_names=old_names), arrays)


def test_an_npm_archive_is_converted(weights: Path, tmp_path: Path) -> None:
    few = dict(list(read(weights, top=True).items())[-4:])
    archive(tmp_path / "few.tgz", few)
    arrays, names = from_tensorflow_js(tmp_path / "few.tgz")
    assert arrays.keys() == few.keys()
    assert all(np.array_equal(arrays[name], few[name]) for name in few)
    assert names == [f"kind {index}" for index in range(1000)]
    with pytest.raises(ValueError, match="316 tensors missing"):
        split(arrays)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"package/ResNet50/two.bin": bytes(1 << 20)}, "bytes too many"),
        ({"package/ResNet50/two.bin": b""}, "buffer"),
        ({"package/../../../escaped": b"out"}, "escaped"),
        ({"/tmp/escaped": b"out"}, "escaped"),
    ],
)
def test_a_corrupted_or_hostile_archive_is_refused(tmp_path: Path, extra: dict[str, bytes], reason: str) -> None:
    archive(tmp_path / "bad.tgz", {"conv1_conv/kernel": np.ones((7, 7, 3, 64), np.float32)}, **extra)
    with pytest.raises(ValueError, match=reason):
        from_tensorflow_js(tmp_path / "bad.tgz")
    assert not list(tmp_path.rglob("escaped"))


def test_an_archive_with_a_link_in_it_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "link.tgz", "w:gz") as tar:
        link = tarfile.TarInfo("package/assets/labels.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with pytest.raises(ValueError, match="labels"):
        from_tensorflow_js(tmp_path / "link.tgz")


# TensorFlow's variables still convert to NumPy in the way of before NumPy 2; Keras meets that when it saves.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_and_we_read_each_others_layout(weights: Path, tmp_path: Path) -> None:
    import keras

    base = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3))
    arrays = read(weights)
    in_keras_order = {f"{layer.name}/{weight.name}": layer for layer in base.layers for weight in layer.weights}
    base.load_weights(keras_h5(tmp_path / "by_us.h5", {name: arrays[name] for name in in_keras_order}))
    base.save(tmp_path / "by_keras.h5")
    assert same(tmp_path / "by_keras.h5", arrays)
