from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leafgraft.errors import UserError
from leafgraft.files import write_json
from leafgraft.photos import Photo, write_manifest
from leafgraft.runfolder import held, require_fit, require_same_photos

pytestmark = pytest.mark.quick

REQUEST = {"photos": "/photos", "recipe": {"name": "auto", "epochs_fine": 20}, "only": None, "seed": 1}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def test_a_folder_that_is_taken_is_refused(photos: Path, tmp_path: Path) -> None:
    assert not require_fit(tmp_path / "new", photos, REQUEST)
    (tmp_path / "taken").mkdir()
    assert not require_fit(tmp_path / "taken", photos, REQUEST)
    (tmp_path / "taken" / "a.txt").touch()
    with pytest.raises(UserError, match=r"taken exists and is not empty; choose another folder"):
        require_fit(tmp_path / "taken", photos, REQUEST)
    with pytest.raises(UserError, match=r"a\.txt is a file"):
        require_fit(tmp_path / "taken" / "a.txt", photos, REQUEST)
    with pytest.raises(UserError, match="would pass for a species"):
        require_fit(photos / "run", photos, REQUEST)


@pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
def test_an_interrupted_run_of_the_same_request_is_gone_on_with(photos: Path, tmp_path: Path, status: str) -> None:
    write_json(tmp_path / "run" / "run.json", {**REQUEST, "status": status, "versions": {}})
    assert require_fit(tmp_path / "run", photos, REQUEST)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 2}, "with seed 1, not 2: ask for the same"),
        ({"only": ["rose"]}, r"with only None, not \['rose'\]"),
        ({"recipe": {"name": "auto", "epochs_fine": 5}}, "with recipe epochs_fine 20, not 5"),
    ],
)
def test_one_of_another_request_is_refused(
    photos: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    write_json(tmp_path / "run" / "run.json", {**REQUEST, "status": "running"})
    with pytest.raises(UserError, match=words):
        require_fit(tmp_path / "run", photos, REQUEST | changes)


@pytest.mark.parametrize("text", [json.dumps({**REQUEST, "status": "finished"}), "{", "[]", ""])
def test_a_finished_one_is_never_written_over(photos: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(text)
    with pytest.raises(UserError, match="exists and is not empty"):
        require_fit(tmp_path / "run", photos, REQUEST)


def test_a_process_that_was_killed_at_once_leaves_a_free_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / f".leafgraft-{0:032x}.json").touch()
    assert not require_fit(tmp_path / "run", photos, REQUEST)
    with held(tmp_path / "run"):
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoints"]


def test_one_process_at_a_time_and_a_dead_one_lets_go(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from leafgraft.runfolder import held
with held(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", script, tmp_path / "run"], stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(UserError, match="run is being written by another training"), held(tmp_path / "run"):
            pass
        other.kill()
    with held(tmp_path / "run"):
        pass


def test_a_folder_that_vanishes_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run was removed while it was being written"), held(tmp_path / "run"):
        shutil.rmtree(tmp_path / "run")


def test_photos_that_have_changed_are_named(tmp_path: Path) -> None:
    before = [Photo(tmp_path / name, "rose", sha256=name) for name in ("a.jpg", "b.jpg")]
    write_manifest(tmp_path / "run" / "manifest.csv", before)
    require_same_photos(tmp_path / "run", before[:1])  # nothing has been learned from them
    write_json(tmp_path / "run" / "checkpoints" / "state.json", {})
    require_same_photos(tmp_path / "run", before)
    require_same_photos(tmp_path / "run", [*before, Photo(tmp_path / "note.txt", "rose", problem="not an image")])
    other = [Photo(tmp_path / "a.jpg", "rose", sha256="other"), before[1]]
    new = [*before, Photo(tmp_path / "c.jpg", "rose", sha256="c")]
    for photos, words in (
        (other, r"a\.jpg has changed since"),
        (before[:1], r"b\.jpg is gone since"),
        (new, r"c\.jpg is new since"),
    ):
        with pytest.raises(UserError, match=words):
            require_same_photos(tmp_path / "run", photos)
