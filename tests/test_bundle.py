from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from leafgraft import PlantClassifierTransferLearning, bundle, run
from leafgraft.bundle import Bundle, load_bundle, stacked
from leafgraft.errors import UserError
from leafgraft.photos import UnreadablePhoto, centre
from leafgraft.photos.decode import Picture
from leafgraft.verdict.unknown import Known

IN_A_NEW_PROCESS = """
import sys
import numpy as np
from leafgraft import PlantClassifierTransferLearning
from leafgraft.photos.dataset import Dataset
pixels, model, answer = sys.argv[1:]
classifier = PlantClassifierTransferLearning.load(model)
np.savez(answer, probabilities=classifier.predict_proba(np.load(pixels)), classes=classifier.classes)
"""


@pytest.fixture
def copy(trained_run: Path, tmp_path: Path) -> Path:
    """A bundle that may be spoiled; its large files are links to those of the run."""
    shutil.copytree(trained_run / "model", tmp_path / "model", copy_function=os.link)
    return tmp_path / "model"


def spoil(path: Path) -> None:
    """Flip a bit in the middle of a file, which is first parted from the run's own."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_every_file_has_its_digest(trained_run: Path) -> None:
    folder = trained_run / "model"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["format"] == 3
    names = {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert names == {
        "model.keras", "model.xml", "model.bin", "labels.json", "calibration.json", "known.npz", "head.npz",
        "card.md",
    }  # fmt: skip
    assert manifest["sha256"] == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    assert "cactus" in (folder / "card.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_same_numbers_in_a_new_process(trained: run.Trained, trained_run: Path, tmp_path: Path) -> None:
    test = trained.found.test
    assert test is not None
    canvases = [test.canvas(i) for i in range(len(test))]
    expected = trained.classifier.predict_proba(test)
    np.save(tmp_path / "pixels.npy", np.stack([centre(canvas) for canvas in canvases]))
    subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS, tmp_path / "pixels.npy", trained_run, tmp_path / "answer.npz"],
        check=True,
    )
    with np.load(tmp_path / "answer.npz") as answer:
        assert tuple(answer["classes"]) == trained.found.classes
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    for batch in (1, 4):  # and without Keras, whole batches or not
        np.testing.assert_allclose(Bundle(trained_run, batch=batch).predict_proba(canvases), expected, atol=1e-5)


def test_a_run_and_its_model_are_the_same_bundle(trained_run: Path) -> None:
    assert bundle.find(trained_run) == bundle.find(str(trained_run / "model")) == trained_run / "model"
    assert bundle.labels(trained_run) == Bundle(trained_run).classes == ("cactus", "fern", "sunflower")


def test_no_photos_make_no_rows(trained_run: Path) -> None:
    assert Bundle(trained_run).predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize("name", bundle.FILES)
def test_a_damaged_file_is_noticed(copy: Path, name: str) -> None:
    bundle.verify(copy)
    spoil(copy / name)
    with pytest.raises(UserError, match=f"{name} is missing or damaged; use another copy"):
        PlantClassifierTransferLearning.load(copy)
    if name != bundle.KERAS:  # which does not answer
        with pytest.raises(UserError, match=f"{name} is missing or damaged; use another copy"):
            Bundle(copy)


def test_a_missing_file_is_noticed(copy: Path) -> None:
    (copy / "model.bin").unlink()
    with pytest.raises(UserError, match=r"model\.bin is missing or damaged"):
        Bundle(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"manifest\.json is damaged"),
        ("[]", r"manifest\.json is damaged"),
        ('{"format": 3}', r"manifest\.json is damaged"),
        ('{"format": 3, "sha256": {}}', r"model\.xml is missing or damaged"),
        ('{"format": 1, "sha256": {}}', r"has the format 1, and this version reads 3; train it again\."),
        ('{"format": 4, "sha256": {}}', r"has the format 4, and this version reads 3; update leafgraft\."),
        ('{"format": "new", "sha256": {}}', r"has the format 'new', and this version reads 3; train it again\."),
    ],
)
def test_a_manifest_that_makes_no_sense_is_noticed(copy: Path, text: str, message: str) -> None:
    (copy / "manifest.json").unlink()
    (copy / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        Bundle(copy)


def test_photos_may_be_paths_files_or_pixels(trained: run.Trained, trained_run: Path) -> None:
    test = trained.found.test
    assert test is not None
    path = Path(test.source[0])
    saved = load_bundle(trained_run)
    with path.open("rb") as file, Image.open(path) as image:
        pictures: list[Picture] = [path, str(path), file, test.canvas(0), np.asarray(image.convert("RGB"))]
        found = saved.predict_proba(pictures)
    np.testing.assert_allclose(found, found[:1].repeat(5, 0), atol=1e-5)
    assert saved.predict([path]).tolist() == [saved.classes[found[0].argmax()]]
    with pytest.raises(UnreadablePhoto, match=r"pixels must be uint8 \(h, w, 3\), not float64 \(9, 9\)"):
        saved.predict([np.zeros((9, 9))])  # type: ignore[list-item]


def test_card_and_figures_come_along(trained_run: Path, copy: Path) -> None:
    saved = Bundle(trained_run)
    assert saved.card == (trained_run / "model" / "card.md").read_text(encoding="utf-8")
    assert saved.figures == json.loads((trained_run / "metrics.json").read_text(encoding="utf-8"))
    assert Bundle(copy).figures == {}


def test_bfloat16_says_nearly_the_same_where_the_processor_has_it(trained: run.Trained, trained_run: Path) -> None:
    test = trained.found.test
    assert test is not None
    canvases = [test.canvas(i) for i in range(len(test))]
    exact, fast = (Bundle(trained_run, batch=4, engine=engine).predict_proba(canvases) for engine in ("fp32", "auto"))
    np.testing.assert_allclose(fast, exact, atol=0.05)
    with pytest.raises(UserError, match=r"answers in fp32, bf16 or auto. Received: 'int8'"):
        Bundle(trained_run, engine="int8")


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere is not there; name the folder of a run"):
        Bundle(tmp_path / "nowhere")
    with pytest.raises(UserError, match="has no saved classifier in it"):
        Bundle(tmp_path)


def model(units: int, seed: int = 0) -> Any:
    """A small classifier of two species, with about as many kilobytes of weights as 28 units have."""
    from leafgraft._tensorflow import keras

    keras.utils.set_random_seed(seed)
    photo = keras.Input((224, 224, 3), name="photo")
    hidden = keras.layers.Dense(units, activation="relu")(
        keras.layers.GlobalAveragePooling2D(name="pool")(photo / 255.0)
    )
    return keras.Model(photo, keras.layers.Dense(2, activation="softmax")(hidden))


def write(folder: Path, network: Any, classes: tuple[str, ...], card: str = "") -> None:
    nothing = Known.of(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), ())
    with bundle.drafted(folder, network, classes, nothing) as draft:
        draft.card = card


def test_an_earlier_bundle_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    grey = [np.full((256, 256, 3), 90, np.uint8)]
    first, second = model(8), model(8, seed=1)
    write(tmp_path / "model", first, ("a", "b"), "# one\n")
    before = Bundle(tmp_path / "model").predict_proba(grey)
    write(tmp_path / "model", second, ("Röschen", "r\udcf6se"))  # as a folder is called whose name is not UTF-8
    after = Bundle(tmp_path / "model")
    assert after.classes == ("Röschen", "r\udcf6se")
    assert not np.allclose(after.predict_proba(grey), before)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine exists and is no saved classifier"):
        write(tmp_path / "mine", first, ("a", "b"))


def plain(count: int) -> list[NDArray[np.uint8]]:
    """Photos of one colour each, no two alike."""
    colours = np.random.default_rng(0).integers(0, 256, (count, 3), dtype=np.uint8)
    return [np.broadcast_to(colour, (256, 256, 3)).copy() for colour in colours]


def calibrated(folder: Path, count: int = 40) -> tuple[bundle.Calibration, bundle.Answers]:
    """Write a bundle that knows some photos and is calibrated on them; its calibration, and what it says of them."""
    canvases, labels = plain(count), np.arange(count) % 2
    features = np.array([canvas[0, 0] / 255 for canvas in canvases], np.float32)
    paths = tuple(f"{name}/{i}.jpg" for i, name in enumerate(["red", "gr\udcfcn"] * (count // 2)))
    with bundle.drafted(folder, model(8), ("a", "b"), Known.of(features, labels, paths)) as draft:
        draft.card = "# colours\n"
        draft.calibrate(*stacked(draft.raw(canvases), 2), labels)
        return draft.calibration, draft.answer(canvases)


def test_a_draft_answers_as_the_bundle_that_it_becomes(tmp_path: Path) -> None:
    calibration, answers = calibrated(tmp_path / "model")
    assert calibration.photos == 40
    assert calibration.temperature != 1
    assert calibration.strangers is not None
    assert answers.unknown.mean() <= 0.05
    saved = Bundle(tmp_path / "model", batch=8)
    assert saved.calibration == calibration == bundle.calibration(tmp_path / "model")
    for one, other in zip(vars(answers).values(), vars(saved.answer(plain(40))).values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1, atol=1e-6)
    assert (answers.nearest[:, 0] == np.arange(40)).mean() > 0.8  # a few colours differ in brightness alone


def test_what_is_known_comes_back(tmp_path: Path) -> None:
    calibrated(tmp_path / "model")
    known = bundle.known(tmp_path / "model")
    assert known.paths[:2] == ("red/0.jpg", "gr?n/1.jpg")  # as the second is no Unicode
    assert known.features.dtype == np.float16
    np.testing.assert_array_equal(known.labels, np.arange(40) % 2)
    with bundle.drafted(tmp_path / "again", model(8), ("a", "b"), known):
        pass
    again = bundle.known(tmp_path / "again")
    assert again.paths == known.paths
    np.testing.assert_array_equal(again.features, known.features)


def test_without_calibration_no_photo_is_called_unknown(tmp_path: Path) -> None:
    write(tmp_path / "model", model(8), ("a", "b"))
    saved = Bundle(tmp_path / "model")
    assert saved.calibration == bundle.Calibration(1.0, None, 0)
    answers = saved.answer(plain(3))
    assert not answers.unknown.any()
    assert np.isnan(answers.strangeness).all()
    assert answers.nearest.shape == (3, 0)
    raw, _ = stacked(saved.raw(plain(3)), 2)
    np.testing.assert_array_equal(answers.probabilities, raw)


@pytest.mark.parametrize("photos", [1, 4])
def test_too_few_photos_set_a_temperature_but_no_threshold(tmp_path: Path, photos: int) -> None:
    known = Known.of(np.ones((9, 3), np.float32), np.zeros(9, np.int64), ("",) * 9)
    with bundle.drafted(tmp_path / "model", model(8), ("a", "b"), known) as draft:
        draft.calibrate(*stacked(draft.raw(plain(photos)), 2), np.zeros(photos, np.int64))
    found = bundle.calibration(tmp_path / "model")
    assert (found.photos, found.strangers) == (photos, None)
    assert 0.3 < found.temperature < 3


def test_a_draft_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    def fail() -> None:
        with bundle.drafted(tmp_path / "model", model(8), ("c", "d"), bundle.known(tmp_path / "other")):
            raise KeyboardInterrupt

    calibrated(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    calibrated(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file.model cannot be written"):
        write(tmp_path / "file" / "model", model(8), ("a", "b"))


# In kilobytes: no room for the Keras file of 250; room for that but not for OpenVINO's as well.
@pytest.mark.parametrize("tiny_disk", [128, 320], indirect=True)
def test_a_full_disk_is_said_and_leaves_nothing(tiny_disk: Path) -> None:
    with pytest.raises(UserError, match=r"model cannot be written.*free some space"):
        write(tiny_disk / "model", model(9_000), ("a", "b"))
    assert list(tiny_disk.iterdir()) == []
