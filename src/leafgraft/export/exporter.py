"""From a bundle to a file of another format, which is kept only if it gives the bundle's answers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.bundle import Bundle
from leafgraft.engine.prefix import BATCH
from leafgraft.errors import UserError
from leafgraft.export import keras_files, litert_file, onnx_file, openvino_file
from leafgraft.export.facts import Facts
from leafgraft.export.pictures import Pictures, to_calibrate, to_verify
from leafgraft.export.verify import Agreement, Runner, answers, compare, milliseconds
from leafgraft.files import whole, whole_folder
from leafgraft.progress import Progress, under_way


@dataclass(frozen=True)
class Format:
    """A format that can be written.

    Attributes:
        title: its name for a person.
        ending: of its file; "" for a folder.
        write: writes a Keras network with its facts; given photos, in int8.
        open: gives what runs the file.
        needs: packages of the extra ``export``.
        int8: whether it can be had in int8.
    """

    title: str
    ending: str
    write: Callable[[Any, Facts, Path, Any], None]
    open: Callable[[Path], Runner]
    needs: tuple[str, ...] = ()
    int8: bool = False


FORMATS = {
    "onnx": Format(
        "ONNX", ".onnx", onnx_file.write, onnx_file.Runner, ("onnx", "onnxruntime", "tf2onnx"), int8=True
    ),
    "openvino": Format("OpenVINO", ".xml", openvino_file.write, openvino_file.Runner, int8=True),
    "litert": Format("LiteRT", ".tflite", litert_file.write, litert_file.Runner, ("ai_edge_litert",), int8=True),
    "saved-model": Format("SavedModel", "", keras_files.write_saved_model, keras_files.SavedModelRunner),
    "keras": Format("Keras", ".keras", keras_files.write, keras_files.Runner),
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What was found of an exported file.

    Attributes:
        file: where it is.
        format: one of `FORMATS`.
        precision: "fp32" or "int8".
        agreement: of its answers with those of the bundle.
        photos: how many photos of each kind it was checked on.
        megabytes: its size, in millions of bytes.
        milliseconds: median time for one photo alone.
        held_out: photos of which the run knows the species and that were not trained on.
        accuracy: share of these that the file names rightly; None if there are none.
        bundle_accuracy: the same of the bundle, which is in float32.
    """

    file: str
    format: str
    precision: str
    agreement: Agreement
    photos: dict[str, int]
    megabytes: float
    milliseconds: float
    held_out: int
    accuracy: float | None
    bundle_accuracy: float | None

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def text(self) -> str:
        """The report for a person."""
        found = self.agreement
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.photos.items())
        lines = [
            f"{self.file}: {FORMATS[self.format].title} in {self.precision}, {self.megabytes:.1f} MB, "
            f"{self.milliseconds:.1f} ms a photo",
            f"The same first answer as the classifier on {found.same} of {found.photos} photos ({kinds}); "
            f"the largest difference in a probability is {found.largest:.2g}.",
        ]
        if self.accuracy is not None and self.bundle_accuracy is not None:
            lines.append(
                f"Right on {100 * self.accuracy:.1f} % of the {self.held_out} photos held out; the classifier itself, "
                f"in fp32, on {100 * self.bundle_accuracy:.1f} %."
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Work:
    """What is exported, and what it is checked against.

    Attributes:
        format: one of `FORMATS`.
        output: the file or folder to write.
        facts: what it says of itself.
        pictures: to check it on.
        expected: float32 (n, k), what the bundle answers to them.
        examples: uint8 (m, 224, 224, 3) to calibrate int8 on; None for float32.
    """

    format: str
    output: Path
    facts: Facts
    pictures: Pictures
    expected: NDArray[np.float32]
    examples: NDArray[np.uint8] | None = None


def export(
    model_path: str | Path,
    format: str,
    output: str | Path,
    *,
    int8: bool = False,
    photos: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write a classifier for another runtime, and let that runtime answer to at least 64 photos.

    Args:
        model_path: a bundle, or the folder of a run.
        format: one of `FORMATS`.
        output: a file, which is replaced, or for a SavedModel a folder that is not there yet.
        int8: in 8-bit integers, calibrated on photos.
        photos: a folder of photos: to calibrate int8 on, instead of those that were learned from, and to check on if
            the run held out fewer than 64.
        progress: told how far each lasting step is.

    Returns:
        What was found.

    Raises:
        UserError: there is no classifier, the format cannot be had, the file cannot be written, or int8 changes too
            many answers.
        RuntimeError: the file gives other answers in float32; nothing is left of it.
    """
    where, folder = Path(output), None if photos is None else Path(photos)
    _require_possible(format, where, int8=int8)
    bundle = Bundle(model_path, batch=BATCH)
    examples = to_calibrate(bundle, folder) if int8 else None
    pictures = to_verify(bundle, folder, progress)
    expected = bundle.predict_proba(pictures.crops)
    work = Work(format, where, Facts.of(bundle), pictures, expected, examples)
    with under_way(progress, "Loading the network"):
        from leafgraft.export import graph

        model = graph.load(bundle.folder, bundle.calibration.temperature)
    return written(model, work, progress)


def written(model: Any, work: Work, progress: Progress | None = None) -> Report:
    """Write a calibrated Keras network, and keep the file if its answers are those that are expected.

    Args:
        model: photo to probabilities, as from `leafgraft.export.graph`.
        work: what to write, and what has to come out.
        progress: told how far each lasting step is.

    Raises:
        UserError: int8 changes too many answers.
        RuntimeError: the file gives other answers in float32, or has lost its labels.
    """
    format, int8 = FORMATS[work.format], work.examples is not None
    with _place(work.output, format) as temporary:
        with under_way(progress, f"Writing {format.title}" + (", calibrated on photos" if int8 else "")):
            format.write(model, work.facts, temporary, work.examples)
        runner = format.open(temporary)
        if runner.labels != work.facts.labels:
            raise RuntimeError(f"{work.output} was not written: the {format.title} file has lost its labels.")
        given = answers(runner, work.pictures.crops, progress)
        agreement = compare(work.expected, given)
        if (fault := agreement.fault(int8=int8)) is not None:
            if int8:
                raise UserError(
                    f"{work.output} was not written: {format.title} in int8 {fault}; leave --int8 out, or calibrate it "
                    "on more photos with --photos FOLDER."
                )
            raise RuntimeError(f"{work.output} was not written: {format.title} {fault}.")
        speed = milliseconds(runner, work.pictures.crops)
    labelled = work.pictures.labels >= 0
    truth = work.pictures.labels[labelled]
    rights = [float((rows[labelled].argmax(axis=1) == truth).mean()) for rows in (given, work.expected) if len(truth)]
    return Report(
        file=str(work.output),
        format=work.format,
        precision="int8" if int8 else "fp32",
        agreement=agreement,
        photos=work.pictures.kinds,
        megabytes=_size(work.output) / 1e6,
        milliseconds=speed,
        held_out=len(truth),
        accuracy=rights[0] if rights else None,
        bundle_accuracy=rights[1] if rights else None,
    )


def _require_possible(format: str, output: Path, *, int8: bool) -> None:
    """Refuse what cannot be done, before anything takes time.

    Raises:
        UserError: there is no such format, it has no int8, a package is missing, or the place does not fit.
    """
    if format not in FORMATS:
        raise UserError(f"There is no format {format!r}; choose one of: {', '.join(FORMATS)}.")
    wanted = FORMATS[format]
    if int8 and not wanted.int8:
        able = [name for name, other in FORMATS.items() if other.int8]
        raise UserError(f"{wanted.title} cannot be had in int8; choose one of: {', '.join(able)}.")
    if missing := [name for name in wanted.needs if importlib.util.find_spec(name) is None]:
        raise UserError(f"{wanted.title} needs {', '.join(missing)}: pip install 'leafgraft[export]'.")
    if wanted.ending and output.suffix != wanted.ending:
        raise UserError(f"A file of {wanted.title} must end in {wanted.ending}. Received: {output}.")
    if output.is_dir() and wanted.ending:
        raise UserError(f"{output} is a folder; name a file in it.")
    if output.exists() and not wanted.ending:
        raise UserError(f"{output} is there already; name a folder that is not.")


@contextmanager
def _place(output: Path, format: Format) -> Iterator[Path]:
    """A temporary file or folder that becomes ``output`` at the end of the block; if it fails, nothing is left."""
    if not format.ending:
        with whole_folder(output, "saved_model.pb") as folder:
            yield folder
    elif format.ending != ".xml":
        with whole(output) as file:
            yield file
    else:
        # OpenVINO looks for the weights beside the graph, under the same name.
        with whole(output.with_suffix(".bin")) as weights, whole(output) as graph:
            beside = graph.with_suffix(".bin")
            try:
                yield graph
                beside.replace(weights)
            finally:
                beside.unlink(missing_ok=True)


def _size(output: Path) -> int:
    """Bytes of a file, of a folder, or of OpenVINO's two files."""
    if output.is_dir():
        return sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    weights = output.with_suffix(".bin") if output.suffix == ".xml" else None
    return output.stat().st_size + (weights.stat().st_size if weights else 0)
