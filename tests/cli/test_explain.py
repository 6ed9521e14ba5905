from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import SPECIES, Said
from leafgraft import run
from leafgraft.bundle import Bundle
from leafgraft.photos import centre
from photos_broken import write_broken


@pytest.fixture
def photo(garden: Path) -> Path:
    return sorted((garden / "sunflower").iterdir())[0]


def test_it_draws_what_the_classifier_saw(
    leafgraft: Callable[..., Said], trained: run.Trained, trained_run: Path, tmp_path: Path
) -> None:
    with (trained_run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        line = next(csv.DictReader(file))
    output = tmp_path / "new" / "why.png"
    said = leafgraft("explain", trained_run, line["path"], "-o", output, "--json")
    assert said.status == 0, said.err
    assert said.out.count("\n") == 1
    content = json.loads(said.out)
    assert content["picture"] == str(output)
    assert content["path"] == line["path"]
    assert content["answer"] == content["explained"]
    assert content["answer"]["species"] == line["predicted"]
    assert content["answer"]["probability"] == pytest.approx(float(line["probability"]), abs=1e-5)
    test = trained.found.test
    assert test is not None
    label = np.array([SPECIES.index(line["predicted"])])
    expected = Bundle(trained_run).heat(centre(test.canvas(0))[None], label)[0]
    np.testing.assert_allclose(content["heat"], expected, atol=1e-3)
    with Image.open(output) as image:
        assert image.format == "PNG"
        assert image.width > 1000


def test_another_species_can_be_asked_for(
    leafgraft: Callable[..., Said], trained_run: Path, photo: Path, tmp_path: Path
) -> None:
    contents = []
    for name in ("sunflower", "fern"):
        said = leafgraft("explain", trained_run, photo, "-o", tmp_path / f"{name}.png", "--species", name, "--json")
        contents.append(json.loads(said.out))
        assert contents[-1]["explained"]["species"] == name
    one, other = contents
    assert one["answer"] == other["answer"]
    assert one["explained"]["probability"] != other["explained"]["probability"]
    assert one["heat"] != other["heat"]
    assert (tmp_path / "sunflower.png").read_bytes() != (tmp_path / "fern.png").read_bytes()


def test_a_line_for_people(leafgraft: Callable[..., Said], trained_run: Path, photo: Path, tmp_path: Path) -> None:
    predicted = leafgraft("predict", trained_run, photo, "--top", 1).out.strip()
    name, share, _ = predicted.removeprefix(f"{photo}: ").rsplit(" ", 2)
    output = tmp_path / "why.png"
    said = leafgraft("explain", trained_run / "model", photo, "-o", output)
    assert said.out == f"{output}: {photo} shows {name}, {share} %\n"
    other = next(species for species in SPECIES if species != name)
    said = leafgraft("explain", trained_run / "model", photo, "-o", output, "--species", other)
    assert said.out.startswith(f"{output}: {photo} shows {name}, {share} %; explained is {other}, ")


def test_what_cannot_be_explained(
    refused: Callable[..., str], trained_run: Path, garden: Path, photo: Path, tmp_path: Path
) -> None:
    output = tmp_path / "why.png"
    sentence = refused("explain", trained_run, photo, "-o", output, "--species", "rose")
    assert sentence == (f"leafgraft: {trained_run} knows no species 'rose'; choose one of: cactus, fern, sunflower.")
    broken = write_broken(tmp_path / "photos", photo)
    sentence = refused("explain", trained_run, broken["empty.jpg"], "-o", output)
    assert sentence == f"leafgraft: {broken['empty.jpg']} cannot be used: empty file; name a photo."
    assert "is a folder; name a photo" in refused("explain", trained_run, garden, "-o", output)
    assert "no such file" in refused("explain", trained_run, tmp_path / "none.jpg", "-o", output)
    assert "has no saved classifier in it" in refused("explain", garden, photo, "-o", output)
    assert not output.exists()


def test_where_no_picture_can_go(
    refused: Callable[..., str], leafgraft: Callable[..., Said], trained_run: Path, photo: Path, tmp_path: Path
) -> None:
    sentence = refused("explain", trained_run, photo, "-o", tmp_path / "why.jpg")
    assert sentence == f"leafgraft: The picture must end in .png. Received: {tmp_path / 'why.jpg'}."
    (tmp_path / "folder.png").mkdir()
    assert "is a folder; name a file in it." in refused("explain", trained_run, photo, "-o", tmp_path / "folder.png")
    own = tmp_path / "own.png"
    Image.open(photo).save(own)
    before = own.read_bytes()
    assert "is the photo itself" in refused("explain", trained_run, own, "-o", own)
    assert own.read_bytes() == before
    (tmp_path / "file").touch()
    refused("explain", trained_run, photo, "-o", tmp_path / "file" / "why.png")


def test_an_earlier_picture_is_replaced(
    leafgraft: Callable[..., Said], trained_run: Path, photo: Path, tmp_path: Path
) -> None:
    output = tmp_path / "why.PNG"
    shutil.copy(photo, output)
    assert leafgraft("explain", trained_run, photo, "-o", output).status == 0
    with Image.open(output) as image:
        assert image.format == "PNG"
    assert list(tmp_path.iterdir()) == [output]
