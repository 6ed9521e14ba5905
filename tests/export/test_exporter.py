"""Files for other runtimes, each run by its own."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leafgraft.bundle import Bundle
from leafgraft.errors import UserError
from leafgraft.export import FORMATS, Report, export, graph
from leafgraft.export.exporter import Work, written
from leafgraft.export.facts import Facts
from leafgraft.export.pictures import to_verify
from leafgraft.photos import centre, load_canvas

FAST = ["openvino"]
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in FORMATS if name not in FAST]


def place(folder: Path, format: str) -> Path:
    return folder / f"plants{FORMATS[format].ending}"


@pytest.fixture(scope="module", params=[*FAST, *SLOW])
def exported(
    request: pytest.FixtureRequest, trained_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    """A file of each format in float32, and the report."""
    format: str = request.param
    output = place(tmp_path_factory.mktemp(format), format)
    return output, export(trained_run, format, output)


def test_the_file_gives_the_answers_of_the_bundle(
    exported: tuple[Path, Report], trained_run: Path, garden: Path
) -> None:
    output, report = exported
    bundle = Bundle(trained_run)
    runner = FORMATS[report.format].open(output)
    assert runner.labels == bundle.classes
    photos = np.stack([centre(load_canvas(path)) for path in sorted((garden / "sunflower").iterdir())])
    assert photos.dtype == np.uint8
    found = runner.predict(photos)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, bundle.predict_proba(photos), atol=1e-4)
    np.testing.assert_allclose(runner.predict(photos[:1]), found[:1], atol=1e-4)


def test_the_report_says_what_was_measured(exported: tuple[Path, Report], trained_run: Path) -> None:
    output, report = exported
    assert report.file == str(output)
    assert report.precision == "fp32"
    assert report.agreement.photos == sum(report.photos.values()) == 64
    assert report.agreement.largest < 1e-3
    assert report.milliseconds > 0
    assert 80 < report.megabytes < 120
    metrics = json.loads((trained_run / "metrics.json").read_text(encoding="utf-8"))
    assert report.held_out == metrics["test"]["n"]
    assert report.accuracy == report.bundle_accuracy == pytest.approx(metrics["test"]["accuracy"])
    assert f"{report.agreement.same} of 64 photos" in report.text
    assert json.loads(json.dumps(report.as_dict()))["agreement"]["photos"] == 64


def test_nothing_else_is_written(exported: tuple[Path, Report]) -> None:
    output, report = exported
    beside = {output.with_suffix(".bin")} if report.format == "openvino" else set()
    assert set(output.parent.iterdir()) == {output, *beside}


def test_the_facts_can_be_read_by_common_means(exported: tuple[Path, Report], trained_run: Path) -> None:
    output, report = exported
    found = facts_by_other_means(output, report.format)
    bundle = Bundle(trained_run)
    assert json.loads(found["labels"]) == list(bundle.classes)
    assert float(found["temperature"]) == bundle.calibration.temperature
    assert "uint8" in found["input"]
    assert "Licence: " in found["source"]


def facts_by_other_means(output: Path, format: str) -> dict[str, str]:
    """The facts in a file, without the code that opens it for the check."""
    if format == "onnx":
        import onnx

        model = onnx.load(output)
        assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")] == [17]
        return {entry.key: entry.value for entry in model.metadata_props}
    if format == "openvino":
        from xml.etree import ElementTree

        [section] = ElementTree.parse(output).getroot().findall("./rt_info/leafgraft")
        return {entry.tag: entry.attrib["value"] for entry in section}
    if format == "litert":
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(output.read_bytes())
        [entry] = [entry for entry in model.metadata if entry.name == b"leafgraft"]
        assert model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].type == schema.TensorType.UINT8
        found: dict[str, str] = json.loads(bytes(model.buffers[entry.buffer].data))
        return found
    if format == "saved-model":
        assert json.loads((output / "assets" / "labels.json").read_text()) == ["cactus", "fern", "sunflower"]
        saved: dict[str, str] = json.loads((output / "assets" / "leafgraft.json").read_text())
        return saved
    with zipfile.ZipFile(output) as file:
        kept: dict[str, str] = json.loads(file.read("leafgraft.json"))
        return kept


IN_KERAS_ALONE = """
import sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1], safe_mode=True)
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
print("leafgraft" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize("exported", ["keras"], indirect=True)
def test_keras_reads_the_file_without_us(exported: tuple[Path, Report], trained_run: Path, tmp_path: Path) -> None:
    output, _ = exported
    photos = to_verify(Bundle(trained_run), None).crops[:3]
    np.save(tmp_path / "photos.npy", photos)
    command = [sys.executable, "-c", IN_KERAS_ALONE, output, tmp_path / "photos.npy", tmp_path / "answers.npy"]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "False"
    found = np.load(tmp_path / "answers.npy")
    np.testing.assert_allclose(found, Bundle(trained_run).predict_proba(photos), atol=1e-4)


@pytest.fixture(scope="module")
def work(trained_run: Path) -> Work:
    """An export to OpenVINO, before anything is written."""
    bundle = Bundle(trained_run)
    pictures = to_verify(bundle, None)
    return Work("openvino", Path(), Facts.of(bundle), pictures, bundle.predict_proba(pictures.crops))


def mirrored(model: Any) -> Any:
    """A network that takes blue for red."""
    from leafgraft._tensorflow import keras

    photo = keras.Input((224, 224, 3), name="photo")
    return keras.Model(photo, model(photo[..., ::-1]))


def test_a_file_of_another_temperature_is_refused_and_an_earlier_one_stays(
    trained_run: Path, work: Work, tmp_path: Path
) -> None:
    output = tmp_path / "plants.xml"
    output.write_text("earlier")
    output.with_suffix(".bin").write_text("weights")
    model = graph.load(trained_run, 1.5 * work.facts.calibration.temperature)
    with pytest.raises(RuntimeError, match=r"plants.xml was not written: OpenVINO differs by .* in a probability"):
        written(model, dataclasses.replace(work, output=output))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "plants.xml": "earlier", "plants.bin": "weights"
    }  # fmt: skip


@pytest.mark.parametrize("format", [*FAST, *SLOW])
def test_a_file_that_takes_blue_for_red_leaves_nothing(
    trained_run: Path, work: Work, tmp_path: Path, format: str
) -> None:
    model = mirrored(graph.load(trained_run, work.facts.calibration.temperature))
    asked = dataclasses.replace(work, format=format, output=place(tmp_path, format))
    with pytest.raises(RuntimeError, match=r"was not written: .* differs by .* in a probability"):
        written(model, asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("format", [name for name, wanted in FORMATS.items() if wanted.int8])
def test_int8_is_a_quarter_of_the_size_and_says_much_the_same(
    trained_run: Path, garden: Path, tmp_path: Path, format: str
) -> None:
    for name in ("cactus", "fern", "sunflower"):
        shutil.copytree(garden / name, tmp_path / "photos" / name)
    output = place(tmp_path / "files", format)
    report = export(trained_run, format, output, int8=True, photos=tmp_path / "photos")
    assert report.precision == "int8"
    assert report.megabytes < 40
    assert 1e-4 < report.agreement.largest < 0.5
    assert report.agreement.photos - report.agreement.same <= 1
    assert report.accuracy is not None
    assert report.bundle_accuracy is not None
    assert abs(report.accuracy - report.bundle_accuracy) <= 1 / report.held_out + 1e-9
    assert "in fp32, on" in report.text
    assert FORMATS[format].open(output).labels == ("cactus", "fern", "sunflower")


@pytest.mark.slow
def test_int8_that_says_otherwise_is_not_kept(trained_run: Path, work: Work, tmp_path: Path) -> None:
    output = tmp_path / "plants.xml"
    asked = dataclasses.replace(work, output=output, examples=work.pictures.crops[:4], expected=work.expected[::-1])
    with pytest.raises(UserError, match=r"plants.xml was not written: OpenVINO in int8 names \d+ of 64 photos otherw"):
        written(graph.load(trained_run, work.facts.calibration.temperature), asked)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_done_is_said_before_anything_takes_time(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(format: str, name: str, **options: Any) -> str:
        with pytest.raises(UserError) as raised:
            export(trained_run, format, tmp_path / name, **options)
        return str(raised.value)

    assert refused("tflite", "a.tflite") == (
        "There is no format 'tflite'; choose one of: onnx, openvino, litert, saved-model, keras."
    )
    for format in ("keras", "saved-model"):
        sentence = refused(format, f"a{FORMATS[format].ending}", int8=True)
        assert sentence.endswith("cannot be had in int8; choose one of: onnx, openvino, litert.")
    assert "must end in .onnx. Received: " in refused("onnx", "a.tflite")
    (tmp_path / "folder.keras").mkdir()
    assert "is a folder; name a file in it" in refused("keras", "folder.keras")
    assert "is there already; name a folder that is not" in refused("saved-model", "folder.keras")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    assert refused("onnx", "a.onnx") == "ONNX needs tf2onnx: pip install 'leafgraft[export]'."
    assert [path.name for path in tmp_path.iterdir()] == ["folder.keras"]
