"""What the commands say: results on standard output, all else on standard error."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from leafgraft.errors import UserError
from leafgraft.hubs.request import parse
from leafgraft.safety.plain import CONTROL

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of what is left to chance.", min=0)]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Follow links that leave the folder of photos, also to folders.")
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="A file with ResNet50's ImageNet weights; else the cache or a download."),
]
Top = Annotated[int, typer.Option("--top", help="How many species to name.", min=1)]

Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help='Work on a Ray cluster: "auto" for the one of this machine, HOST:PORT, or "local" for a new one.',
    ),
]
GpusPerWorker = Annotated[
    float,
    typer.Option(
        "--gpus-per-worker",
        metavar="N",
        help="With --cluster: the GPUs of each worker, 1 or a share of one; 0 computes on processors.",
        min=0.0,
        max=1.0,
    ),
]

HUBS = "a data set of a hub: hf:NAME or tfds:NAME"
"""What stands for photos besides folders and CSVs; see `at_hand`."""

Item = TypeVar("Item")
Named = TypeVar("Named", str, Path)

_err = Console(stderr=True, highlight=False, emoji=False)  # a file may be called ":rose:.jpg"


_VISIBLE = {ord(sign): repr(sign)[1:-1] for sign in CONTROL - {"\n", "\t"}}


def visible(text: str) -> str:
    """Write control characters as Python does: a terminal would obey those in the name of a file or a species."""
    return text.translate(_VISIBLE)


def say(text: str) -> None:
    """Print a line for a person to standard error."""
    _err.print(visible(text), markup=False, soft_wrap=True)


def result(text: str, content: Mapping[str, Any], as_json: bool) -> None:
    """Print a command's result to standard output, as text or as one JSON object."""
    print(json.dumps(content) if as_json else visible(text))


class Bars:
    """Progress bars on standard error, one for each thing that is done, shown once it has lasted a moment.

    Where standard error is no terminal, a line is printed at the end of each thing instead.
    """

    PATIENCE = 1.0  # seconds

    def __init__(self, progress: Progress) -> None:
        """Draw on a ``rich`` display that has been started."""
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}

    def __call__(self, text: str, done: int, total: int) -> None:
        """Move the bar called ``text`` to ``done`` of ``total``; a total of 0 is one that is not known."""
        now = time.monotonic()
        begun = self._begun.setdefault(text, now)
        finished = bool(total) and done >= total
        # What cannot tell how far it is says nothing more until its end, so its bar has to be there from the beginning.
        if text not in self._tasks and not finished and (now - begun > self.PATIENCE or not total):
            self._tasks[text] = self._progress.add_task(text, total=total or None)
        if text in self._tasks:
            self._progress.update(self._tasks[text], completed=done, total=total or None)
        if finished:
            if text in self._tasks:
                self._progress.remove_task(self._tasks.pop(text))
                if now - begun > self.PATIENCE:
                    say(f"{text}{f': {total:,}' if total > 1 else ''} in {now - begun:.0f} s")
            del self._begun[text]

    def track(self, text: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        """Move a bar with every item that is taken."""
        for done, item in enumerate(items, start=1):
            yield item
            self(text, done, total)
        if not total:
            self(text, 1, 1)


@contextmanager
def politely() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and the signal TERM be a wish while the block runs; a second one ends it at once.

    Yields:
        What says whether there has been one.
    """
    wishes: list[int] = []

    def heard(number: int, frame: object) -> None:
        wishes.append(number)
        signal.signal(number, signal.default_int_handler)
        # Not by way of `say`, which may be at work while this is called.
        os.write(2, b"\nEnding after this step, and nothing is lost. Once more to end at once.\n")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # others may not hear signals
        return
    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wishes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show progress while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as progress:
        yield Bars(progress)


STAGES = {
    "frozen": "head alone",
    "probe": "probe of the features",
    "fine": "fine-tuning",
    "scratch": "from scratch",
}


def epoch_line(row: Mapping[str, Any]) -> str:
    """One line of the history for a person, for instance "epoch 3, head alone: loss 0.410, accuracy 88.1 %"."""
    text = (
        f"epoch {row['epoch']}, {STAGES[row['stage']]}: loss {row['loss']:.3f}, accuracy {100 * row['accuracy']:.1f} %"
    )
    if row.get("val_accuracy") is not None:
        text += f", held out {100 * row['val_accuracy']:.1f} %"
    return f"{text} ({row['seconds']:.1f} s)"


def at_hand(photos: Named) -> Named:
    """The photos that a command is given; for a data set of a hub the list of them, brought here where it is not yet.

    Raises:
        UserError: it cannot be had; see `leafgraft.hubs.bring.brought`.
    """
    if parse(photos) is None:
        return photos
    from leafgraft.hubs.bring import brought

    with bars() as progress:
        return brought(photos, progress, say)


def classes_of(text: str | None) -> list[str] | None:
    """Split ``a,b,c`` at its commas.

    Raises:
        UserError: there is no name in it.
    """
    if text is None:
        return None
    names = [name for name in (part.strip() for part in text.split(",")) if name]
    if not names:
        raise UserError(f"--classes names no species; write them like rose,tulip. Received: {text!r}.")
    return names


def require_cluster(gpus_per_worker: float) -> None:
    """Refuse GPUs for workers where there is no cluster.

    Raises:
        UserError: some were asked for.
    """
    if gpus_per_worker:
        raise UserError("--gpus-per-worker is for --cluster; a single machine uses the GPU that TensorFlow sees.")
