"""What several rooms of the tests share: a small garden, the real weights, one real training, the command line."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from leafgraft import imagenet, run
from leafgraft.cli import main
from leafgraft.photos.garden import grow
from leafgraft.recipes import CLASSIC
from leafgraft.weights_format import read
from weights_on_disk import Server, keras_h5

SPECIES = ("cactus", "fern", "sunflower")
"""What `trained` has learned to tell apart, of the ten species of `garden`."""

SHORT = dataclasses.replace(CLASSIC, epochs_frozen=20, epochs_fine=1, unfreeze=10)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--long`` is what script/chaos adds."""
    parser.addoption("--long", action="store_true", help="run tests/chaos in full, which takes hours")


def pytest_configure(config: pytest.Config) -> None:
    """Let Keras convert its variables to arrays in the way that NumPy 2 warns of."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no test be slow and quick at once, as one in a quick file would be."""
    both = [item.nodeid for item in items if item.get_closest_marker("slow") and item.get_closest_marker("quick")]
    if both:
        raise pytest.UsageError(f"{both[0]} is marked slow and stands among quick ones.")


class _ByTraining(LoadFileScheduling):  # type: ignore[misc]
    """Keeps the tests of a file in one process; those of all files that read `trained`, or need a cluster, as well."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "cluster" if "/cluster/" in file else "trained" if _reads_trained(file) else file


@functools.cache  # asked for each test, when it is given out and when it is done
def _reads_trained(file: str) -> bool:
    text = (Path(__file__).parent.parent / file).read_text(encoding="utf-8")
    return re.search(r"\btrained: run\.|\btrained_run: Path", text) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Share the tests out among the processes of ``pytest -n``."""
    return _ByTraining(config, log)


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def content(path: Path) -> dict[str, Any]:
    """What a JSON file holds."""
    result = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(result, dict)
    return result


@pytest.fixture(scope="session")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawn photographs each of ten species."""
    return grow(tmp_path_factory.mktemp("garden") / "garden", per_species=8, seed=1)


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real ImageNet weights with the top, through the ordinary cache."""
    return imagenet.fetch(top=True)


@pytest.fixture(scope="session")
def official(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights without the top, in the layout of Keras' own file."""
    return keras_h5(tmp_path_factory.mktemp("official") / "notop.h5", read(weights))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(official: Path) -> Iterator[Server]:
    """A server on loopback for the folder of `official`."""
    with Server(official.parent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Activations of this session alone, which a second training on the same photos finds again."""
    return tmp_path_factory.mktemp("bank")


@pytest.fixture(scope="session")
def settings(weights: Path, bank: Path) -> run.Settings:
    """What `trained` was asked for."""
    return run.Settings(SHORT, SPECIES, val_fraction=0.25, test_fraction=0.25, weights=weights, bank=bank)


@pytest.fixture(scope="session")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture(scope="session")
def trained(garden: Path, settings: run.Settings, _folder: Path) -> run.Trained:
    """One real training over both stages."""
    result = run.train(garden, _folder, settings)
    assert result.metrics["test"]["accuracy"] > 0.6  # else the other tests would compare noise with noise
    return result


@pytest.fixture(scope="session")
def trained_run(trained: run.Trained, _folder: Path) -> Path:
    """The folder that `trained` left; only to be read."""
    return _folder


@dataclass(frozen=True)
class Said:
    """What a command ended with: its status and what it wrote."""

    status: int
    out: str
    err: str


@pytest.fixture
def leafgraft(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command line in this process, where TensorFlow need not be imported anew."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["leafgraft", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main()
        status = leaving.value.code
        assert isinstance(status, int)
        return Said(status, *capfd.readouterr())

    return call


@pytest.fixture
def refused(leafgraft: Callable[..., Said]) -> Callable[..., str]:
    """A command that ends with status 2 and one sentence; returns the sentence."""

    def call(*arguments: object) -> str:
        said = leafgraft(*arguments)
        assert said.status == 2, said
        assert said.out == ""
        assert "Traceback" not in said.err
        *_, last = lines = said.err.splitlines()
        assert [line.startswith("leafgraft: ") for line in lines] == [False] * (len(lines) - 1) + [True], said.err
        assert last[-1] in ".!?"
        return last

    return call


@pytest.fixture
def tiny_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A real file system of its own with room for as many kilobytes as the test's parameter says, 1024 by default."""
    place = tmp_path / "disk"
    place.mkdir()
    size: Any = getattr(request, "param", 1024)
    try:
        mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)], check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if mounting.returncode:
        pytest.skip("mounting a file system takes a privilege that these tests run without")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
