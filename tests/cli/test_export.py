"""``leafgraft export``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Said


@pytest.mark.slow
def test_it_writes_a_file_and_says_what_was_measured(
    leafgraft: Callable[..., Said], trained_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "plants.xml"
    said = leafgraft("export", trained_run, "--format", "openvino", "-o", output)
    assert said.status == 0, said.err
    first, second, third = said.out.splitlines()
    assert first.startswith(f"{output}: OpenVINO in fp32, ")
    assert first.endswith(" ms a photo")
    assert second.startswith("The same first answer as the classifier on ")
    assert third.startswith("Right on ")
    assert "were drawn to make 64." in said.err
    assert sorted(path.name for path in output.parent.iterdir()) == ["plants.bin", "plants.xml"]


@pytest.mark.slow
@pytest.mark.slow
def test_one_object_for_programs(leafgraft: Callable[..., Said], trained_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "plants.xml"
    said = leafgraft("export", trained_run / "model", "--format", "openvino", "-o", output, "--json")
    assert said.status == 0, said.err
    content = json.loads(said.out)
    assert content["file"] == str(output)
    assert content["agreement"]["same"] == content["agreement"]["photos"] == 64


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--format", "tflite", "-o", "a.tflite"), "There is no format 'tflite'"),
        (("--format", "keras", "-o", "a.keras", "--int8"), "Keras cannot be had in int8"),
        (("--format", "onnx", "-o", "a.xml"), "must end in .onnx"),
        (("--format", "openvino", "-o", "a.xml", "--photos", "nowhere"), "nowhere is no folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    refused: Callable[..., str],
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in refused("export", trained_run, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_no_classifier_is_said(refused: Callable[..., str], garden: Path, tmp_path: Path) -> None:
    said = refused("export", garden, "--format", "keras", "-o", tmp_path / "a.keras")
    assert "has no saved classifier in it" in said
