"""A data set of a hub as files on this disk."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import content, rows
from hub_on_loopback import COMMIT, Hub
from leafgraft.errors import UserError
from leafgraft.hubs.bring import brought, origin
from leafgraft.inputs import as_dataset, photos_in
from leafgraft.photos import scan
from leafgraft.photos.dataset import Dataset


def saved(datasets: Any, folder: Path, labels: list[str | None], photos: list[bytes | None] | None = None) -> str:
    """A data set on disk with a column of names, of photos that are all different."""
    photos = photos or [png(number) for number in range(len(labels))]
    image = [None if photo is None else {"bytes": photo, "path": None} for photo in photos]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    datasets.Dataset.from_dict({"image": image, "label": labels}, features).save_to_disk(folder)
    return f"hf:{folder}"


def png(number: int, mode: str = "RGB", format: str = "png") -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 4), np.uint8)
    Image.fromarray(pixels, "RGBA").convert(mode).save(file, format)
    return file.getvalue()


def test_a_folder_is_given_back_as_it_is(tmp_path: Path, cache: Path) -> None:
    assert brought(tmp_path) is tmp_path
    assert brought("s3://bucket/photos") == "s3://bucket/photos"
    assert origin(tmp_path) is None
    assert origin(cache / "hub" / "hf" / "photos") is None


def test_photos_are_brought_once_with_their_bytes_names_and_splits(datasets: Any, plants: Path, cache: Path) -> None:
    said: list[str] = []
    told: list[tuple[str, int, int]] = []
    list_ = brought(Path(f"hf:{plants}"), lambda *step: told.append(step), said.append)
    assert list_.is_relative_to(cache / "hub" / "hf")
    assert list_.name == "plants.csv"
    photos = scan(list_)
    assert {photo.problem for photo in photos} == {""}
    assert sorted((photo.split, photo.label, photo.path.read_bytes()) for photo in photos) == sorted(
        (path.parts[-3], path.parent.name, path.read_bytes()) for path in plants.rglob("*.jpg")
    )
    assert {photo.path.relative_to(list_.parent).as_posix() for photo in photos} == {
        f"{split}/{kind}/{number:05}.jpg"
        for split, count in (("train", 4), ("test", 2))
        for place, kind in enumerate(("cactus", "fern", "sunflower"))
        for number in range(place * count, (place + 1) * count)
    }
    assert told[-1] == (f"Bringing the photos of hf:{plants}", 18, 18)
    assert said == [f"hf:{plants}: 18 photos, 0 MB, are kept in {list_.parent}; remove that folder to free the space."]
    about = origin(list_)
    assert about is not None
    assert about["data_set"] == f"hf:{plants}"
    assert about["photos"] == 18
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert brought(f"hf:{plants}", None, said.append) == str(list_)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    assert len(said) == 1


def test_labels_stay_what_they_were_whatever_their_folders_are_called(
    datasets: Any, tmp_path: Path, cache: Path
) -> None:
    labels = ["Rosa/alba", "Rosa\\alba", "rosa_alba", "CON", "..", "=cmd()", "日々草", "L. 'x', \"y\""]
    list_ = brought(Path(saved(datasets, tmp_path / "odd", [*labels])))
    photos = scan(list_)
    assert [photo.label for photo in photos] == labels
    assert len({photo.path.parent.name.casefold() for photo in photos}) == len(labels)
    assert {photo.split for photo in photos} == {""}


def test_rows_without_photo_or_label_are_left_out_in_a_line(datasets: Any, tmp_path: Path, cache: Path) -> None:
    said: list[str] = []
    name = saved(datasets, tmp_path / "some", ["a", None, " ", "b"], [png(1), png(2), png(3), None])
    assert [row["label"] for row in rows(brought(Path(name), None, said.append))] == ["a"]
    assert said[:2] == [
        f"{name}: left out of photos: 2 rows with no label.",
        f"{name}: left out of photos: 1 row with no picture.",
    ]
    with pytest.raises(UserError, match="has no photo with a label in photos"):
        brought(saved(datasets, tmp_path / "none", [None, None]))


def test_what_no_photo_is_the_scan_names(datasets: Any, tmp_path: Path, cache: Path) -> None:
    cmyk, grey = png(1, "CMYK", "tiff"), png(2, "L")
    name = saved(datasets, tmp_path / "some", [*"aabb"], [cmyk, grey, b"no picture", png(3)[:90]])
    photos = scan(brought(Path(name)), fewest=1)
    assert [photo.path.suffix for photo in photos] == [".tif", ".png", "", ".png"]
    assert [bool(photo.problem) for photo in photos] == [False, False, True, True]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing(datasets: Any, plants: Path, cache: Path, failure: type[BaseException]) -> None:
    def told(text: str, done: int, total: int) -> None:
        if done == 15:
            assert len(list(cache.rglob("*.jpg"))) == 15
            raise failure

    with pytest.raises(failure):
        brought(f"hf:{plants}", told)
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["lock"]
    assert len(rows(brought(Path(f"hf:{plants}")))) == 18


@pytest.mark.parametrize("tiny_disk", [64], indirect=True)
def test_a_full_disk_is_named(datasets: Any, plants: Path, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tiny_disk))
    with pytest.raises(UserError, match=r"does not fit on the disk of .*: free some, or have LEAFGRAFT_CACHE"):
        brought(f"hf:{plants}")
    assert not list(tiny_disk.rglob("*.jpg"))


def test_a_changed_folder_is_brought_anew(datasets: Any, tmp_path: Path, cache: Path) -> None:
    name = saved(datasets, tmp_path / "data", ["a", "b"])
    first = brought(Path(name))
    shutil.rmtree(tmp_path / "data")
    saved(datasets, tmp_path / "data", ["a", "b", "c"])
    second = brought(Path(name))
    assert (len(rows(first)), len(rows(second))) == (2, 3)


def test_without_the_extra_one_sentence_says_how_to_get_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, name in (("datasets", "hf:a/b"), ("tensorflow_datasets", "tfds:a")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UserError, match=rf"{name} needs .*: pip install 'leafgraft\[hub\]'\."):
            brought(name)


def test_python_takes_a_data_set_for_a_folder(
    datasets: Any, plants: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"hf:{plants}"
    train = as_dataset(name, None, 3, None)
    assert isinstance(train, Dataset)
    assert (len(train), train.classes) == (12, ("cactus", "fern", "sunflower"))
    assert len(as_dataset(Path(name), None, 3, train.classes, side="test")) == 6
    assert len(photos_in(Path(name))) == 18
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"leafgraft: {name}: 18 photos")


def test_the_command_line_takes_a_data_set_for_a_folder(
    leafgraft: Callable[..., Any], refused: Callable[..., str], datasets: Any, plants: Path, trained_run: Path,
    tmp_path: Path, cache: Path,
) -> None:  # fmt: skip
    name = f"hf:{plants}"
    planned = leafgraft("train", name, "--dry-run", "--val-fraction", "0")
    assert planned.status == 0, planned
    assert planned.out.splitlines()[-4].split() == ["all", "12", "6"]
    assert f"{name}: 18 photos" in planned.err
    answers = tmp_path / "answers.csv"
    named = leafgraft("predict", trained_run, name, "-o", answers)
    assert (named.status, named.err) == (0, "")
    assert len(rows(answers)) == 18
    for command in (("check",), ("compare", "-o", tmp_path / "run"), ("features", "-o", tmp_path / "a.npz")):
        assert "no column kind; it has image (pictures), label (classes)" in refused(*command, f"{name},label=kind")
    assert "no column kind" in refused("evaluate", trained_run, f"{name},label=kind")


def test_folders_need_no_library(plants: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from leafgraft.cli.main import app; from leafgraft.cli import train, predict, check;"
        "from leafgraft.inputs import photos_in; from pathlib import Path; photos_in(Path(sys.argv[1]));"
        "print({'datasets', 'tensorflow_datasets', 'huggingface_hub'} & {*sys.modules})"
    )
    run = [sys.executable, "-c", code, str(plants)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "set()"


@pytest.fixture
def hub(plants: Path) -> Iterator[Hub]:
    with Hub(plants) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


ON_A_HUB = """
import os, shutil, sys, warnings
from pathlib import Path
warnings.simplefilter("error")
from leafgraft.hubs.bring import brought

cache = Path(os.environ["LEAFGRAFT_CACHE"])
def bring(name):
    try:
        print(brought(name))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")

bring("hf:me/plants")
asked = sys.stdin.readline  # the hub says how often it was asked
print("asked", flush=True); asked()
bring("hf:me/plants")
print("again", flush=True); asked()
bring("hf:me/weeds")
os.environ["LEAFGRAFT_OFFLINE"] = "1"
shutil.rmtree(cache)
print("offline", flush=True); asked()
bring("hf:me/plants")
bring("hf:me/weeds")
"""


def test_a_data_set_comes_over_the_network_once(hub: Hub, plants: Path, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{hub.server_address[1]}"
    own = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "LEAFGRAFT_CACHE": str(tmp_path / "cache")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LEAFGRAFT"))} | own
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_HUB], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    assert process.stderr
    answers, times = [], []
    for line in process.stdout:
        if line.strip() in ("asked", "again", "offline"):
            times.append(len(hub.asked))
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            answers.append(line.strip())
    errors = process.stderr.read()
    process.communicate()
    assert errors == ""
    list_ = tmp_path / "cache" / "hub" / "hf" / "me_plants-d2553c01" / COMMIT / "plants.csv"
    assert answers[:2] == [str(list_)] * 2
    assert answers[2].startswith("UserError: Hugging Face has no data set hf:me/weeds")
    assert times[0] == times[1] < times[2] == len(hub.asked)
    assert not [path for path in hub.asked if "telemetry" in path]
    assert answers[3] == str(list_)  # from the cache of the library
    assert answers[4].startswith("UserError: hf:me/weeds is not on this disk, and LEAFGRAFT_OFFLINE prevents")
    assert content(list_.parent / "hub.json")["revision"] == COMMIT
    assert sorted(path.read_bytes() for path in list_.parent.rglob("*.jpg")) == sorted(
        path.read_bytes() for path in plants.rglob("*.jpg")
    )
