"""What all commands share: help, status, tracebacks, one JSON object."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from conftest import Said
from leafgraft import imagenet
from leafgraft.cli import screen

pytestmark = pytest.mark.quick

COMMANDS = [
    ("demo",),
    ("check",),
    ("train",),
    ("evaluate",),
    ("predict",),
    ("explain",),
    ("serve",),
    ("export",),
    ("compare",),
    ("features",),
    ("garden",),
    ("verify",),
    ("doctor",),
    ("weights",),
    ("weights", "status"),
    ("weights", "fetch"),
    ("weights", "path"),
    ("bank",),
    ("bank", "status"),
    ("bank", "clear"),
    ("corrections",),
    ("corrections", "list"),
    ("corrections", "export"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own, and no network."""
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAFGRAFT_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches_by_example(leafgraft: Callable[..., Said], command: tuple[str, ...]) -> None:
    said = leafgraft(*command, "--help")
    assert said.status == 0
    assert said.err == ""
    assert "Usage: " in said.out
    examples = said.out[said.out.index("For example:") :].splitlines()[1:]
    lines = [line for line in examples if line.strip()]
    assert lines[0].startswith(f"    leafgraft {' '.join(command)}")  # a line of its own, not run into the sentence
    assert leafgraft(*command, "-h") == said


def test_every_command_is_in_the_list(leafgraft: Callable[..., Said]) -> None:
    listed = leafgraft("--help").out.split("Commands:")[1]
    assert [line.split()[0] for line in listed.strip().splitlines()] == list(dict.fromkeys(c[0] for c in COMMANDS))


def test_version(leafgraft: Callable[..., Said]) -> None:
    assert leafgraft("--version").out == f"leafgraft {metadata.version('leafgraft')}\n"


def test_python_m_leafgraft() -> None:
    done = subprocess.run([sys.executable, "-m", "leafgraft", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "leafgraft train PHOTOS -o RUN" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("train",),
        ("train", "photos"),
        ("train", "photos", "-o", "run", "--nonsense"),
        ("train", "photos", "-o", "run", "--seed", "-1"),
        ("train", "photos", "-o", "run", "--epochs-fine", "many"),
        ("garden", "-o", "garden", "--per-species", "0"),
        ("predict", "run", "a.jpg", "--top", "0"),
    ],
)
def test_a_command_that_makes_no_sense(leafgraft: Callable[..., Said], arguments: tuple[str, ...]) -> None:
    said = leafgraft(*arguments)
    assert said.status == 2
    assert said.out == ""
    assert "Usage: " in said.err
    assert "Traceback" not in said.err


def broken(message: Exception) -> Callable[[], dict[str, Any]]:
    def fail() -> dict[str, Any]:
        raise message

    return fail


def test_a_failure_of_ours_has_status_1(leafgraft: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "status", broken(ZeroDivisionError("division by zero")))
    said = leafgraft("weights", "status")
    assert (said.status, said.out) == (1, "")
    assert said.err == "leafgraft: ZeroDivisionError: division by zero (a failure of ours; --debug shows where)\n"
    debugged = leafgraft("weights", "status", "--debug")
    assert debugged.status == 1
    assert debugged.err.startswith("Traceback (most recent call last):")
    assert debugged.err.endswith(said.err)


def test_a_mistake_has_a_traceback_only_with_debug(leafgraft: Callable[..., Said], refused: Callable[..., str]) -> None:
    sentence = refused("weights", "path")
    said = leafgraft("weights", "path", "--debug")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("Traceback (most recent call last):")
    assert said.err.endswith(f"{sentence}\n")


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "leafgraft: No space is left on the disk for a.csv: free some."),
        (errno.EACCES, "leafgraft: a.csv may not be read or written (Permission denied)."),
        (errno.EROFS, "leafgraft: a.csv may not be read or written (Read-only file system)."),
        (errno.ENOTDIR, "leafgraft: a.csv may not be read or written (Not a directory)."),
        (errno.ENOENT, "leafgraft: a.csv may not be read or written (No such file or directory)."),
        (errno.EIO, "leafgraft: a.csv may not be read or written (Input/output error)."),
    ],
)
def test_what_the_system_refuses_can_be_mended(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    monkeypatch.setattr(imagenet, "status", broken(OSError(number, os.strerror(number), "a.csv")))
    assert refused("weights", "status") == sentence


def test_an_interrupt_has_the_status_that_shells_expect(
    leafgraft: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(imagenet, "status", interrupt)
    said = leafgraft("weights", "status")
    assert (said.status, said.out) == (130, "")
    assert "Traceback" not in said.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_standard_output_on_a_full_disk() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "leafgraft", "weights", "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "leafgraft: No space is left on the disk for what has to be written: free some.\n"


def test_a_full_disk(refused: Callable[..., str], tiny_disk: Path) -> None:
    assert "No space is left on the disk" in refused("garden", "-o", tiny_disk / "garden", "--per-species", 9)


def test_names_that_are_no_unicode_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    screen.result("", {"path": "r\udcf6se", "label": "薔薇"}, as_json=True)
    assert capsys.readouterr().out == '{"path": "r\\udcf6se", "label": "\\u8594\\u8587"}\n'
