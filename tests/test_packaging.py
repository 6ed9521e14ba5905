"""The wheel and the source distribution hold all that is needed, and the wheel works where the source is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "leafgraft"


def built(folder: Path, target: str, output: Path) -> Path:
    """What hatchling makes of a checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(output)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return next(output.glob("*.whl" if target == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    place = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built(ROOT, "sdist", place)) as archive:
        archive.extractall(place, filter="data")
    return next(path for path in place.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from the source distribution."""
    return built(sdist, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_source_distribution_can_be_tested_and_documented(sdist: Path) -> None:
    wanted = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "script").iterdir()]
    wanted += [ROOT / name for name in ("README.md", "SECURITY.md", "LICENSE", "requirements.lock", "pyproject.toml")]
    missing = [path.relative_to(ROOT) for path in wanted if not (sdist / path.relative_to(ROOT)).is_file()]
    assert not missing


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    files = {path.relative_to(SOURCE.parent).as_posix() for path in SOURCE.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in files if "__pycache__" not in name}
    assert "leafgraft/py.typed" in packed


def test_the_extras_are_those_that_are_promised(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert {"serve", "export", "cluster", "track", "hub", "tune", "dev"} <= {*metadata.get_all("Provides-Extra", [])}
    assert metadata["Requires-Python"] == "<3.14,>=3.11"


def test_the_wheel_works_without_the_source(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    assert run("-c", "import leafgraft; print(leafgraft.__file__)").startswith(str(tmp_path / "site"))
    assert "Graft a plant classifier" in run("-m", "leafgraft", "--help")
    run("-m", "leafgraft", "garden", "-o", "garden", "--per-species", "1")
    assert len(list((tmp_path / "garden").rglob("*.jpg"))) == 10
    run("-c", "from leafgraft.report import markup; markup._environment().get_template('run.html.j2')")
