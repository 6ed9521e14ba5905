from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from conftest import SPECIES, Said, rows
from leafgraft import run
from leafgraft.files import sha256
from photos_broken import write_broken

WITHOUT_TENSORFLOW = """
import sys
from leafgraft.cli import main
try:
    main()
finally:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print(sorted(loaded & {"tensorflow", "keras", "sklearn", "matplotlib", "h5py"}), file=sys.stderr)
"""


def predictions(run: Path) -> list[dict[str, str]]:
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_answers_as_the_run_did(leafgraft: Callable[..., Said], trained_run: Path) -> None:
    expected = predictions(trained_run)
    said = leafgraft("predict", trained_run, *(line["path"] for line in expected), "--json")
    assert said.status == 0
    assert said.out.count("\n") == 1
    answers: list[dict[str, Any]] = json.loads(said.out)["photos"]
    for line, answer in zip(expected, answers, strict=True):
        assert answer["path"] == line["path"]
        best, *others = answer["predictions"]
        assert best["species"] == line["predicted"]
        assert best["probability"] == pytest.approx(float(line["probability"]), abs=1e-5)
        shares = [entry["probability"] for entry in (best, *others)]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert {entry["species"] for entry in (best, *others)} == set(SPECIES)


def test_a_line_a_photo_for_people(leafgraft: Callable[..., Said], trained_run: Path) -> None:
    line = predictions(trained_run)[0]
    answer = json.loads(leafgraft("predict", trained_run, line["path"], "--json").out)["photos"][0]
    said = leafgraft("predict", trained_run / "model", line["path"], "--top", 1)
    assert said.status == 0
    unknown = "unknown, nearest to " if answer["unknown"] else ""
    assert said.out == f"{line['path']}: {unknown}{line['predicted']} {100 * float(line['probability']):.1f} %\n"


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A picture of nothing."""
    grain = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(grain).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def test_what_is_no_plant_is_called_unknown(leafgraft: Callable[..., Said], trained_run: Path, noise: Path) -> None:
    answer = json.loads(leafgraft("predict", trained_run, noise, "--json").out)["photos"][0]
    assert set(answer) == {"path", "unknown", "strangeness", "predictions", "nearest"}
    assert answer["unknown"] is True
    threshold = json.loads((trained_run / "metrics.json").read_text(encoding="utf-8"))["unknown"]["threshold"]
    assert answer["strangeness"] > threshold
    text = leafgraft("predict", trained_run, noise).out
    assert text.startswith(f"{noise}: unknown, nearest to {answer['predictions'][0]['species']} ")


def test_the_photos_that_were_learned_from_are_named_as_the_nearest(
    leafgraft: Callable[..., Said], trained_run: Path, trained: run.Trained
) -> None:
    photo = next(photo for photo in trained.found.photos if photo.split == "train")
    answer = json.loads(leafgraft("predict", trained_run, photo.path, "--json").out)["photos"][0]
    assert answer["unknown"] is False
    assert len(answer["nearest"]) == 5
    assert answer["nearest"][0] == {"path": str(photo.path), "species": photo.label}
    learned = {str(path): label for path, label in
               zip(trained.found.train.source, trained.found.train.labels.tolist(), strict=True)}  # fmt: skip
    for near in answer["nearest"]:
        assert near["species"] == SPECIES[learned[near["path"]]]


def test_no_tensorflow_is_loaded_for_it(trained_run: Path, garden: Path) -> None:
    photo = next((garden / "fern").iterdir())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, "predict", trained_run, photo],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"{photo}: ")
    assert done.stderr == "[]\n"


def test_a_reader_that_has_had_enough_is_no_failure(trained_run: Path, garden: Path) -> None:
    command = f"{sys.executable} -m leafgraft predict {trained_run} {garden} {garden} {garden} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert "failure" not in done.stderr
    assert "Error" not in done.stderr


def test_a_folder_and_what_is_broken_in_it(
    leafgraft: Callable[..., Said], refused: Callable[..., str], trained_run: Path, garden: Path, tmp_path: Path
) -> None:
    broken = write_broken(tmp_path / "photos", next((garden / "fern").iterdir()))
    (tmp_path / "photos" / ".hidden").touch()
    said = leafgraft("predict", trained_run, tmp_path / "photos", "--json")
    assert said.status == 0
    answers = {Path(answer["path"]).name: answer for answer in json.loads(said.out)["photos"]}
    assert set(answers) == set(broken) - {"folder.jpg"}  # which is empty
    assert answers["empty.jpg"]["problem"] == "empty file"
    assert {name for name, answer in answers.items() if "predictions" in answer} == {
        "wrong_ending.jpg",
        "animated.gif",
        "cmyk.jpg",
        "grey16.png",
    }
    text = leafgraft("predict", trained_run, tmp_path / "photos").out.splitlines()
    assert f"{broken['empty.jpg']}: cannot be used: empty file" in text
    sentence = refused("predict", trained_run, broken["empty.jpg"])
    assert sentence == f"leafgraft: {broken['empty.jpg']} cannot be used: empty file; name a photo."
    assert "no such file" in refused("predict", trained_run, tmp_path / "none.jpg")
    assert "folder.jpg lists no photo; name a photo" in refused("predict", trained_run, broken["folder.jpg"])


def test_answers_of_any_kind_of_list_go_to_any_kind_of_file(
    leafgraft: Callable[..., Said], trained_run: Path, garden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = sorted((garden / "fern").iterdir())
    expected = json.loads(leafgraft("predict", trained_run, *photos, "--json").out)["photos"]
    listing = tmp_path / "list.csv"
    listing.write_text("path,label\n" + "".join(f"{path},x\n" for path in photos), encoding="utf-8")
    for source, name in (
        (garden / "fern", "a.csv"),
        (f"{garden}/f*n/*", "b.jsonl"),
        (listing, "c.parquet"),
        ("-", "d.csv"),
    ):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{path}\n" for path in photos)))
        said = leafgraft("predict", trained_run, source, "-o", tmp_path / "out" / name, "--json")
        assert said.status == 0, said.err
        assert json.loads(said.out) == {"file": str(tmp_path / "out" / name), "photos": len(photos), "problems": 0}
    lines = (tmp_path / "out" / "b.jsonl").read_text(encoding="utf-8").splitlines()
    for found, wanted in zip(map(json.loads, lines), expected, strict=True):
        assert found["path"] == wanted["path"]
        assert found["predictions"][0]["species"] == wanted["predictions"][0]["species"]
    table = pyarrow.parquet.read_table(tmp_path / "out" / "c.parquet").to_pylist()
    for cells in (rows(tmp_path / "out" / "a.csv"), rows(tmp_path / "out" / "d.csv"), table):
        assert [row["path"] for row in cells] == [str(path) for path in photos]
        assert [row["species_1"] for row in cells] == [row["predictions"][0]["species"] for row in expected]
        for row, wanted in zip(cells, expected, strict=True):
            assert float(row["probability_1"]) == pytest.approx(wanted["predictions"][0]["probability"], abs=1e-4)
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_run_that_was_ended_goes_on_where_it_stopped(
    leafgraft: Callable[..., Said], refused: Callable[..., str], trained_run: Path, garden: Path, tmp_path: Path
) -> None:
    photos, output = garden / "fern", tmp_path / "answers.jsonl"
    leafgraft("predict", trained_run, photos, "-o", output, "--top", 2)
    whole = output.read_text(encoding="utf-8")
    about = {"model": sha256(trained_run / "model" / "manifest.json"), "top": 2, "engine": "fp32"}
    partial = tmp_path / "answers.jsonl.partial"
    kept = whole.splitlines()[:3]
    marked = json.loads(kept[0]) | {"strangeness": 99.0}  # to see that it is not computed again
    partial.write_text(
        "\n".join([json.dumps(about), json.dumps(marked), *kept[1:]]) + '\n{"path": "cut of', encoding="utf-8"
    )
    assert "is left of a run that was ended; add --resume" in refused(
        "predict", trained_run, photos, "-o", output, "--top", 2
    )
    assert "is of another classifier or other options" in refused(
        "predict", trained_run, photos, "-o", output, "--resume"
    )
    cactus = garden / "cactus"
    sentence = refused("predict", trained_run, cactus, "-o", output, "--top", 2, "--resume")
    assert "goes on to" in sentence
    assert "list the same photos" in sentence
    assert leafgraft("predict", trained_run, photos, "-o", output, "--top", 2, "--resume").status == 0
    found = output.read_text(encoding="utf-8").splitlines()
    assert json.loads(found[0]) == marked
    for one, other in zip(map(json.loads, found[1:]), map(json.loads, whole.splitlines()[1:]), strict=True):
        assert one["path"] == other["path"]
        assert one["predictions"][0]["species"] == other["predictions"][0]["species"]
    assert not partial.exists()
    assert "must end in .csv, .jsonl, .parquet" in refused("predict", trained_run, photos, "-o", tmp_path / "a.txt")
    assert "name it with -o" in refused("predict", trained_run, photos, "--resume")


def test_models_that_are_none(refused: Callable[..., str], trained_run: Path, garden: Path, tmp_path: Path) -> None:
    photo = next((garden / "fern").iterdir())
    for command in (("predict",), ("evaluate",)):
        assert "is not there; name the folder of a run" in refused(*command, tmp_path / "none", photo)
        assert "has no saved classifier in it" in refused(*command, garden, photo)
    shutil.copytree(trained_run / "model", tmp_path / "model")
    with (tmp_path / "model" / "model.bin").open("rb+") as file:
        file.seek(5_000_000)
        byte = file.read(1)[0]
        file.seek(5_000_000)
        file.write(bytes([byte ^ 1]))
    for command in (("predict",), ("evaluate",)):
        assert "model.bin is missing or damaged; use another copy" in refused(*command, tmp_path / "model", photo)
