"""Tells a tracker of experiments what a run was asked for, how it goes and what it ends with.

All of it is in the run folder as well; a tracker is there for comparing many runs. TensorBoard gets event files in
``tensorboard/`` in the run folder, MLflow a run in whatever store it is set up for.

Epochs are written as ``train/loss``, ``train/accuracy``, ``train/learning_rate``, ``train/seconds``, ``val/loss`` and
``val/accuracy``; final figures as ``test/accuracy``, ``seconds/total`` and so on, an interval as two of them ending in
``_low`` and ``_high``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from PIL import Image

from leafgraft.errors import UserError

TRACKERS = ("tensorboard", "mlflow")
"""The names that `tracker` knows."""

EXPERIMENT = "leafgraft"
"""The experiment of MLflow that runs go to unless ``MLFLOW_EXPERIMENT_NAME`` says otherwise."""

_EPOCH = {
    "loss": "train/loss",
    "accuracy": "train/accuracy",
    "learning_rate": "train/learning_rate",
    "seconds": "train/seconds",
    "val_loss": "val/loss",
    "val_accuracy": "val/accuracy",
}

_TAGS = ("command", "photos", "started", "status", "versions", "weights")
"""What of the record says where a run comes from; the rest is what runs are compared by."""

_LONGEST = 500  # characters of a parameter, which is what every edition and store of MLflow takes


class Tracker(Protocol):
    """Is told of one run: `start` first, `epoch` after each epoch, and at last `finish` or `failed`."""

    def start(self, record: Mapping[str, Any]) -> None:
        """Begin.

        Args:
            record: what ``run.json`` holds.

        Raises:
            UserError: the tracker cannot be reached or refuses the run.
        """

    def epoch(self, row: Mapping[str, Any], step: int) -> None:
        """Write the figures of an epoch.

        Args:
            row: a line of the history; what is None or missing is left out.
            step: the number of the epoch, counted over all stages.
        """

    def finish(self, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Write what the run ended with.

        Args:
            metrics: what ``metrics.json`` holds; of it all that are numbers.
            files: files and folders to keep with the run. TensorBoard shows the PNG pictures among them.
        """

    def failed(self) -> None:
        """Write down that the run came to no good end; may be called at any time, before `start` as well."""


def tracker(name: str, folder: Path, say: Callable[[str], None] = lambda text: None) -> Tracker:
    """The tracker of that name for a run.

    Args:
        name: one of `TRACKERS`.
        folder: the run folder, whose name becomes that of the run.
        say: told in one sentence if the tracker is lost while the run goes on.

    Raises:
        UserError: there is none of that name, or its package is not installed.
    """
    if name == "tensorboard":
        return TensorBoard(folder)
    if name == "mlflow":
        return MLflow(folder, say)
    raise UserError(f"There is no tracker {name!r}; choose {' or '.join(TRACKERS)}.")


class TensorBoard:
    """Event files in ``tensorboard/`` in the run folder, which ``tensorboard --logdir`` shows."""

    # Which of its views shows a summary, and of which class TensorBoard counts the data there:
    # https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/summary.proto
    _VIEWS: Mapping[str, int] = {"scalars": 1, "text": 2, "images": 3}

    def __init__(self, folder: Path) -> None:
        """Write nothing yet."""
        self._folder = folder / "tensorboard"
        self._writer: Any = None
        self._step = 0

    def start(self, record: Mapping[str, Any]) -> None:
        """See `Tracker.start`."""
        # Taken from where it is set up; `import tensorflow` would be sorted before that.
        self._tf = importlib.import_module("leafgraft._tensorflow").tf
        self._writer = self._tf.summary.create_file_writer(os.fsencode(self._folder))
        parameters, tags = _parameters(record)
        rows = [f"| {name} | {_cell(value)} |" for name, value in (parameters | tags).items()]
        self._write("text", "record", "\n".join(["| setting | value |", "|---|---|", *rows]))
        self._writer.flush()

    def epoch(self, row: Mapping[str, Any], step: int) -> None:
        """See `Tracker.epoch`."""
        self._step = step
        for name, value in _epoch_figures(row).items():
            self._write("scalars", name, value)
        self._writer.flush()  # or TensorBoard would show nothing for two minutes

    def finish(self, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
        """See `Tracker.finish`."""
        for name, value in _figures(metrics).items():
            self._write("scalars", name, value)
        for path in files:
            if path.suffix == ".png":
                with Image.open(path) as picture:
                    width, height = picture.size
                self._write("images", path.stem, [str(width), str(height), path.read_bytes()])
        self._writer.close()

    def failed(self) -> None:
        """See `Tracker.failed`."""
        if self._writer is not None:
            self._writer.close()

    def _write(self, view: str, name: str, value: Any) -> None:
        """Write one summary.

        ``tf.summary.scalar`` and its like are in the package tensorboard, which need not be installed for this.
        """
        metadata = self._tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": view}, data_class=self._VIEWS[view])
        with self._writer.as_default():
            self._tf.summary.write(name, value, step=self._step, metadata=metadata)


class MLflow:
    """A run in the store that ``MLFLOW_TRACKING_URI`` names, or else in MLflow's own default one or in ``mlruns/``.

    It belongs to the experiment that ``MLFLOW_EXPERIMENT_NAME`` names, or to "leafgraft". A store that is lost on the
    way does not end the run, which may have taken hours.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """Load MLflow.

        Raises:
            UserError: it is not installed.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # By default MLflow tries for minutes to reach a server that is not there.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        # It would print the address of the run on standard output, which belongs to the command's result.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        try:
            self._mlflow = importlib.import_module("mlflow")
            self._entities = importlib.import_module("mlflow.entities")
        except ImportError:
            raise UserError("MLflow needs its package: pip install 'leafgraft[track]'.") from None
        self._folder, self._say = folder, say
        self._client: Any = None
        self._run = ""
        self._step = 0

    def start(self, record: Mapping[str, Any]) -> None:
        """See `Tracker.start`."""
        place = self._place()
        if urlsplit(place).scheme in ("", "file"):
            # Who names a folder wants one; MLflow, which recommends a database, asks for this besides.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        parameters, tags = _parameters(record)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        try:
            client = self._mlflow.MlflowClient(place)
            experiment = client.get_experiment_by_name(name)
            number = client.create_experiment(name) if experiment is None else experiment.experiment_id
            self._run = client.create_run(number, run_name=_text(self._folder.name), tags=tags).info.run_id
            self._client = client
            client.log_batch(self._run, params=[self._entities.Param(key, value) for key, value in parameters.items()])
        except Exception as error:  # a store raises nearly everything: of MLflow, SQLAlchemy, requests, the system
            raise UserError(
                f"MLflow cannot begin a run in {_without_password(place)} ({_reason(error)}); see to that store, or "
                "name another with MLFLOW_TRACKING_URI."
            ) from error

    def epoch(self, row: Mapping[str, Any], step: int) -> None:
        """See `Tracker.epoch`."""
        self._step = step
        self._attempt(lambda client: self._log(client, _epoch_figures(row)))

    def finish(self, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
        """See `Tracker.finish`."""

        def work(client: Any) -> None:
            self._log(client, _figures(metrics))
            for path in files:
                if path.is_dir():
                    client.log_artifacts(self._run, str(path), path.name)
                else:
                    client.log_artifact(self._run, str(path))
            client.set_terminated(self._run)

        self._attempt(work)

    def failed(self) -> None:
        """See `Tracker.failed`."""
        self._attempt(lambda client: client.set_terminated(self._run, "FAILED"))

    def _place(self) -> str:
        """The store; MLflow's default is a database, which it cannot open without SQLAlchemy."""
        if not self._mlflow.is_tracking_uri_set() and importlib.util.find_spec("sqlalchemy") is None:
            return Path("mlruns").absolute().as_uri()  # its default before, which it goes on with where there is one
        return str(self._mlflow.get_tracking_uri())

    def _log(self, client: Any, figures: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        client.log_batch(
            self._run, metrics=[self._entities.Metric(name, value, now, self._step) for name, value in figures.items()]
        )

    def _attempt(self, work: Callable[[Any], None]) -> None:
        """Do what tells MLflow something; the first time that this fails is the last that it is tried."""
        if self._client is None:
            return
        try:
            work(self._client)
        except Exception as error:  # see start
            self._client = None
            self._say(
                f"MLflow is lost ({_reason(error)}) and is told no more of this run; {self._folder} has everything."
            )


def _parameters(record: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The record in one level as parameters, by which runs are compared, and as tags."""
    flat = {name: _text(value) for name, value in _flat(record, ".")}
    tags = {name: text for name, text in flat.items() if name.split(".")[0] in _TAGS}
    return {name: text for name, text in flat.items() if name not in tags}, tags


def _epoch_figures(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(row[key]) for key, name in _EPOCH.items() if row.get(key) is not None}


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in nested figures, by names such as test/accuracy."""
    found: dict[str, float] = {}
    for name, value in _flat(metrics, "/"):
        if isinstance(value, int | float):
            found[name] = float(value)
        elif isinstance(value, Sequence) and len(value) == 2 and all(isinstance(end, int | float) for end in value):
            found |= {f"{name}_low": float(value[0]), f"{name}_high": float(value[1])}
    return found


def _flat(content: Mapping[str, Any], separator: str) -> Iterator[tuple[str, Any]]:
    """What is in nested mappings, by names of letters that MLflow takes."""
    for key, value in content.items():
        name = re.sub(r"[^\w-]+", "_", str(key))
        if isinstance(value, Mapping):
            for inner, one in _flat(value, separator):
                yield f"{name}{separator}{inner}", one
        else:
            yield name, value


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(map(str, value))
    text = str(value).encode("utf-8", "replace").decode("utf-8")  # names of files can hold what is no Unicode
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _cell(text: str) -> str:
    """A text in a table of Markdown."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _reason(error: Exception) -> str:
    text = _without_password(str(error)) or type(error).__name__
    return textwrap.shorten(text, 200, placeholder=" …").rstrip(".")


def _without_password(text: str) -> str:
    """Take user and password out of the addresses in a text."""
    return re.sub(r"//[^/@\s]*@", "//", text)
