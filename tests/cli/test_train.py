from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Said
from leafgraft.cli.train import verdict
from leafgraft.photos.garden import draw
from photos_broken import PROBLEMS, write_broken


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own, and no network."""
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "1")
    return tmp_path / "cache"


def blob(species: str, seed: int) -> Image.Image:
    """A small photo, bluish or reddish, that no other seed has."""
    grain = np.random.default_rng(seed).integers(0, 120, (5, 4, 3), dtype=np.uint8)
    grain[..., 2 if species == "bluebell" else 0] += 120
    return Image.fromarray(grain).resize((96, 80), Image.Resampling.BICUBIC)


@pytest.fixture
def three_hundred(tmp_path: Path) -> Path:
    """270 good photos and 30 odd files in ten ways, as three careless people might have handed them in."""
    for number in range(270):
        species = ("bluebell", "poppy")[number % 2]
        path = tmp_path / "photos" / species / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        blob(species, number).save(path, quality=95)
    for number, species in enumerate(("bluebell", "poppy", "poppy")):
        write_broken(tmp_path / "photos" / species / f"phone {number}", blob(species, 1000 + number))
    return tmp_path / "photos"


@pytest.mark.slow
def test_three_hundred_photos_of_which_thirty_are_odd(
    leafgraft: Callable[..., Said], three_hundred: Path, weights: Path, tmp_path: Path
) -> None:
    said = leafgraft(
        *("train", three_hundred, "-o", tmp_path / "run", "--recipe", "quick"),
        *("--val-fraction", 0, "--test-fraction", 0.9, "--weights", weights, "--json"),
    )
    assert said.status == 0, said.err
    counts = re.search(
        r"282 photos of 2 species: (\d+) to train on, (\d+) held out for the test. 18 left out", said.err
    )
    assert counts is not None, said.err
    trained, tested = map(int, counts.groups())
    assert 24 <= trained <= 32  # photos that look alike go to one side together
    assert trained + tested == 282
    assert "epoch 1, probe of the features: loss " in said.err
    assert said.out.count("\n") == 1
    metrics = json.loads(said.out)
    assert metrics["run"] == str(tmp_path / "run")
    assert metrics["test"]["n"] == tested
    with (tmp_path / "run" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        lines = {Path(line["path"]): line for line in csv.DictReader(file)}
    assert len(lines) == 300
    for folder in ("bluebell/phone 0", "poppy/phone 1", "poppy/phone 2"):
        for name, problem in PROBLEMS.items():
            line = lines[three_hundred / folder / name]
            assert line["problem"].startswith(problem)
            assert (line["problem"] == "") == (problem == "") == (line["split"] in ("train", "test"))
    assert sum(line["problem"] != "" for line in lines.values()) == 18
    assert sum(line["split"] == "train" for line in lines.values()) == trained


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two species of three photos each."""
    for species in ("fern", "oak"):
        (tmp_path / "photos" / species).mkdir(parents=True)
        for seed in range(3):
            draw(species, seed, (64, 64)).save(tmp_path / "photos" / species / f"{seed}.jpg")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--classes", "fern,rose"), 'no species "rose" in {photos}: it has fern, oak.'),
        (("--classes", "fern"), "single species, fern: a classifier needs at least two."),
        (("--classes", ","), "--classes names no species"),
        (("--val-fraction", 1.5), "The fractions val=1.5 and test=0.15 have to be at least 0 and below 1 together."),
        (("--test-fraction", "nan"), "The fractions val=0.15 and test=nan"),
        (("--unfreeze", 176), "--unfreeze goes from 0 to 175, ResNet50's number of layers. Received: 176."),
        (("--unfreeze", -1), "Received: -1."),
        (("--recipe", "secret"), "There is no recipe 'secret'; choose auto or quick or best or classic."),
        (("--recipe", "classic", "--epochs-frozen", 0, "--epochs-fine", 0), "at least one epoch is needed"),
        (("--epochs-frozen", 5), "--epochs-frozen is for classic; the head of the recipe auto is fitted at once."),
        (("--recipe", "quick", "--unfreeze", 10), "quick fine-tunes nothing"),
        (("--budget", "soon"), "--budget is a time like 90s, 5m or 1h. Received: 'soon'."),
        (("--budget", "0s"), "Received: '0s'."),
        (("--checkpoint-every", "never"), "--checkpoint-every is a time like 90s, 5m or 1h. Received: 'never'."),
        (("--budget", "5m", "--recipe", "classic"), "classic has a fixed number of epochs"),
        (("--budget", "5m", "--recipe", "quick"), "quick takes what it takes"),
        (("--views", 3, "--recipe", "quick"), "quick looks at the centre crops alone"),
        (("--budget", "5m", "--deterministic"), "exclude each other"),
        (("--views", "some"), "--views is a whole number above 0, or fresh. Received: 'some'."),
        (("--folds", 1), "--folds 1 leaves nothing to train on; take 2 or more, or 0 for photos held out."),
        (("--track", "wandb"), "There is no tracker 'wandb'; choose tensorboard or mlflow."),
        (("--group-by", "plant"), "matches no path in {photos}, for instance fern/0.jpg; write an expression like"),
        (("--group-by", "(["), "--group-by '([' is neither a column nor a regular expression"),
        (("--group-by", "[a-z]+"), "fern (3 photos in 1 group), oak (3 photos in 1 group)"),
        (("--engine", "fp8"), "There is no engine 'fp8'; choose auto, fp32, bf16, int8, tensorflow."),
        (("--weights", "{photos}/none.h5"), "none.h5"),
        (("--weights", "{photos}/fern/0.jpg"), "0.jpg"),
    ],
)
def test_settings_that_make_no_sense(
    refused: Callable[..., str], photos: Path, tmp_path: Path, options: tuple[object, ...], sentence: str
) -> None:
    options = tuple(str(option).format(photos=photos) for option in options)
    assert sentence.format(photos=photos) in refused("train", photos, "-o", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_shows_what_goes_where_and_leaves_nothing(
    leafgraft: Callable[..., Said], refused: Callable[..., str], photos: Path, tmp_path: Path, cache: Path
) -> None:
    draw("fern", 7, (64, 64)).save(photos / "fern" / "7.jpg")
    (photos / "oak" / "bad.jpg").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    said = leafgraft("train", photos, "--dry-run")
    assert said.status == 0, said.err
    assert said.out.splitlines() == [
        "      train  val  test",
        "fern      2    1     1",
        "oak       1    1     1",
        "all       3    2     2",
        "Left out: 1",
        f"  {photos / 'oak' / 'bad.jpg'}: empty file",
        "A training looks for copies and bursts too, which may take some of them to another side.",
        "Nothing was written.",
    ]
    said = leafgraft("train", photos, "-o", tmp_path / "run", "--dry-run", "--no-check", "--test-fraction", 0, "--json")
    assert json.loads(said.out) == {
        "photos": {"train": 5, "val": 2, "test": 0},
        "species": {"fern": {"train": 3, "val": 1, "test": 0}, "oak": {"train": 2, "val": 1, "test": 0}},
        "left_out": [{"path": str(photos / "oak" / "bad.jpg"), "problem": "empty file"}],
        "dry_run": True,
    }
    assert "would pass for a species" in refused("train", photos, "-o", photos / "run", "--dry-run")
    assert "name a new folder for the results, or try --dry-run." in leafgraft("train", photos).err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_names_some_of_many_files_that_are_left_out(leafgraft: Callable[..., Said], photos: Path) -> None:
    for number in range(30):
        (photos / "oak" / f"bad {number:02d}.jpg").write_bytes(b"")
    said = leafgraft("train", photos, "--dry-run", "--no-check").out.splitlines()
    assert said[4] == "Left out: 30; --json lists all"
    assert said[24:] == [f"  {photos / 'oak' / 'bad 19.jpg'}: empty file", "Nothing was written."]


def test_a_dry_run_loads_no_tensorflow(photos: Path) -> None:
    code = (
        "import sys\nfrom leafgraft.cli import main\n"
        "try: main()\nfinally: print({'keras', 'tensorflow'} & {*sys.modules})"
    )
    call = [sys.executable, "-c", code, "train", str(photos), "--dry-run", "--no-check"]
    answer = subprocess.run(call, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-2:] == ["Nothing was written.", "set()"]


@pytest.fixture
def plants(tmp_path: Path) -> Path:
    """Two species of four plants each, two photos of every plant."""
    for species in ("fern", "sunflower"):
        (tmp_path / "plants" / species).mkdir(parents=True)
        for seed in range(8):
            place = tmp_path / "plants" / species / f"plant{seed // 2}_{seed % 2}.jpg"
            draw(species, seed, (96, 96)).save(place)
    return tmp_path / "plants"


@pytest.mark.slow
def test_a_cross_validation_of_whole_plants_that_a_tracker_is_told_of(
    leafgraft: Callable[..., Said], plants: Path, weights: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    said = leafgraft(
        *("train", plants, "-o", run, "--recipe", "quick", "--folds", 2, "--no-check", "--json"),
        *("--group-by", r"\w+/plant\d", "--track", "tensorboard", "--weights", weights),
    )
    assert said.status == 0, said.err
    assert "16 photos of 2 species: 12 to train on, 4 to validate." in said.err
    metrics = json.loads(said.out)
    assert "test" not in metrics
    assert [f"fold {i} of 2: {100 * accuracy:.1f} %" in said.err for i, accuracy in
            enumerate(metrics["folds"]["accuracy"], 1)] == [True, True]  # fmt: skip
    assert metrics["folds"]["pooled"]["n"] == 16
    assert metrics["calibration"]["photos"] == 4
    assert metrics["unknown"] is None  # four photos are too few for a threshold
    with (run / "folds.csv").open(encoding="utf-8", newline="") as file:
        assert [float(row["accuracy"]) for row in csv.DictReader(file)] == metrics["folds"]["accuracy"]
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        fold_of = {Path(row["path"]).relative_to(plants).as_posix(): row["split"] for row in csv.DictReader(file)}
    assert len(fold_of) == 16
    for path, fold in fold_of.items():
        assert fold in ("fold 1", "fold 2")
        assert fold_of[path.replace("_1", "_0")] == fold
    with (run / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["group"] for row in rows} == {f"{name}/plant{i}" for name in ("fern", "sunflower") for i in range(4)}
    assert len({(row["group"], row["split"]) for row in rows}) == 8
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Each was judged by a classifier of the same recipe that had not seen it." in page
    assert 'id="audit"' not in page
    card = (run / "model" / "card.md").read_text(encoding="utf-8")
    assert "name: drawn garden" not in card
    assert "name: cross-validated photos" in card
    assert "No photo was held out" not in card
    assert "expected calibration error on the same photos" in card
    assert {"folds/mean", "train/accuracy", "val/accuracy", "calibration/temperature"} <= told(run / "tensorboard")
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert (record["folds"], record["group_by"], record["check"]) == (2, r"\w+/plant\d", False)


def told(folder: Path) -> set[str]:
    """The names of what TensorBoard shows of a folder."""
    import tensorflow as tf  # as the training has set it up

    events = (event for path in folder.iterdir() for event in tf.compat.v1.train.summary_iterator(str(path)))
    return {value.tag for event in events for value in event.summary.value}


def test_what_a_run_is_worth_is_said_of_the_best_photos_there_are() -> None:
    figures = {"accuracy": 0.5, "accuracy_ci95": [0.2, 0.8], "n": 8}
    folds = {"pooled": figures | {"n": 9}, "mean": 0.5, "spread": 0.125}
    assert verdict({"test": figures, "folds": folds, "val": figures}).endswith("on 8 held-out photos.")
    assert verdict({"folds": folds, "val": figures}).endswith(
        "on 9 held-out photos. Each was judged by a classifier of the same recipe that had not seen it. "
        "Folds: mean 50.0 %, standard deviation 12.5 points."
    )
    assert verdict({"val": figures}).endswith("no others were held out.")
    assert "nothing is known" in verdict({})


def test_photos_that_are_too_few(refused: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert f"There is no folder or CSV {tmp_path / 'none'}" in refused("train", tmp_path / "none", "-o", run)
    (tmp_path / "void").mkdir()
    assert f"{tmp_path / 'void'} is empty" in refused("train", tmp_path / "void", "-o", run)
    for path in photos.rglob("[12].jpg"):
        path.unlink()
    assert "Too few photos for one each in train, val, test: fern (1 photo), oak (1 photo)" in refused(
        "train", photos, "-o", run
    )
    shutil.rmtree(photos / "oak")
    assert "a single species, fern" in refused("train", photos, "-o", run)
    (photos / "fern" / "0.jpg").write_text("no photo at all", encoding="utf-8")
    assert "None of the 1 files in" in refused("train", photos, "-o", run)


def test_places_that_are_taken(refused: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text("precious", encoding="utf-8")
    sentence = (
        f"leafgraft: {tmp_path / 'old'} exists and is not empty; choose another folder, or remove this one first."
    )
    assert refused("train", photos, "-o", tmp_path / "old") == sentence
    assert refused("compare", photos, "-o", tmp_path / "old") == sentence
    assert (tmp_path / "old" / "run.json").read_text(encoding="utf-8") == "precious"
    assert "is a file" in refused("train", photos, "-o", tmp_path / "old" / "run.json")
    assert "would pass for a species" in refused("train", photos, "-o", photos / "run")


def test_no_weights_and_no_network(refused: Callable[..., str], photos: Path, tmp_path: Path, cache: Path) -> None:
    sentence = refused("train", photos, "-o", tmp_path / "run")
    assert "could not be fetched (LEAFGRAFT_OFFLINE is set)" in sentence
    assert "--weights FILE" in sentence
    assert str(cache) in sentence
    assert not (tmp_path / "run").exists()


def test_a_table_that_is_none(refused: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file,species\na.jpg,fern\n", encoding="utf-8")
    assert "has no column path and no column label" in refused("train", tmp_path / "list.csv", "-o", tmp_path / "run")
    (tmp_path / "list.csv").write_text("path,label\nnone.jpg,fern\nvoid.jpg,oak\n", encoding="utf-8")
    assert "none.jpg: no such file" in refused("train", tmp_path / "list.csv", "-o", tmp_path / "run")


def test_a_comparison_that_makes_no_sense(refused: Callable[..., str], photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert "--equal is seconds or epochs. Received: 'money'." in refused(
        "compare", photos, "-o", run, "--equal", "money"
    )
    assert "needs photos held out" in refused("compare", photos, "-o", run, "--test-fraction", 0)
    assert "Received: 176." in refused("compare", photos, "-o", run, "--unfreeze", 176)
