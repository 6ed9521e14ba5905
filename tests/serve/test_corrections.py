from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import rows
from leafgraft.errors import UserError
from leafgraft.photos import scan
from leafgraft.serve.corrections import Corrections, tidy

pytestmark = pytest.mark.quick


@pytest.fixture
def photos(garden: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((garden / "fern").iterdir())][:5]


def test_what_is_added_is_listed_and_can_be_trained_on(photos: list[bytes], tmp_path: Path) -> None:
    kept = Corrections(tmp_path / "c.db", create=True)
    names = ["Ginkgo biloba", "=1+1", "a/b", "a:b", "train"]
    assert [kept.add(name, "fern", photo) for name, photo in zip(names, photos, strict=True)] == [1, 2, 3, 4, 5]
    listed = Corrections(tmp_path / "c.db").all()
    assert [(one.id, one.species, one.answer) for one in listed] == [
        (number, name, "fern") for number, name in enumerate(names, start=1)
    ]
    assert listed[0].time.endswith("+00:00")
    assert kept.export(tmp_path / "out") == 5
    found = scan(tmp_path / "out" / "manifest.csv")
    assert {photo.label: photo.path.read_bytes() for photo in found} == dict(zip(names, photos, strict=True))
    assert [photo.sha256 for photo in found] == [one.sha256 for one in listed]
    assert not any(photo.problem for photo in found)
    folders = {path.name for path in (tmp_path / "out").iterdir()}
    assert folders == {"Ginkgo biloba", "=1+1", "a_b", "a_b 2", "train_", "manifest.csv"}
    assert rows(tmp_path / "out" / "manifest.csv")[1]["label"] == "'=1+1"  # no spreadsheet runs it
    assert len({photo.label for photo in scan(tmp_path / "out") if not photo.problem}) == 5  # as folders, too


def test_the_later_word_on_a_photo_counts(photos: list[bytes], tmp_path: Path) -> None:
    kept = Corrections(tmp_path / "c.db", create=True)
    assert kept.add("rose", "fern", photos[0]) == 1
    assert kept.add("oak", "fern", photos[1]) == 2
    assert kept.add("tulip", "maple", photos[0]) == 1
    assert [(one.species, one.answer) for one in kept.all()] == [("tulip", "maple"), ("oak", "fern")]


def test_many_may_add_at_once_and_it_is_wal(photos: list[bytes], tmp_path: Path) -> None:
    kept = Corrections(tmp_path / "c.db", create=True)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: kept.add(f"species {n}", "fern", photos[0] + b"%d" % n), range(40)))
    assert sorted(numbers) == list(range(1, 41))
    with closing(sqlite3.connect(tmp_path / "c.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_files_that_cannot_be_used(photos: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.db is not there"):
        Corrections(tmp_path / "none.db")
    with pytest.raises(UserError, match="there is no folder"):
        Corrections(tmp_path / "no" / "c.db", create=True)
    with pytest.raises(UserError, match="cannot be used"):
        Corrections(tmp_path, create=True)
    (tmp_path / "text.db").write_text("A rose is a rose." * 100, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE mine (a)")
        other.commit()
    (tmp_path / "empty.db").touch()
    for create in (False, True):
        with pytest.raises(UserError, match="cannot be used for corrections"):
            Corrections(tmp_path / "text.db", create=create)
        with pytest.raises(UserError, match="database of something else"):
            Corrections(tmp_path / "other.db", create=create)
    with pytest.raises(UserError, match="database of something else"):
        Corrections(tmp_path / "empty.db")
    kept = Corrections(tmp_path / "empty.db", create=True)
    with pytest.raises(UserError, match="has no corrections yet"):
        kept.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    kept.add("rose", "fern", photos[0])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").touch()
    with pytest.raises(UserError, match="exists already"):
        kept.export(tmp_path / "full")
    assert (tmp_path / "full" / "precious.txt").is_file()


@given(st.text(max_size=120))
def test_tidy_names_are_short_and_visible_and_stay_as_they_are(name: str) -> None:
    try:
        clean = tidy(name)
    except ValueError:
        return
    assert 1 <= len(clean) <= 100
    assert clean.isprintable()
    assert tidy(clean) == clean


@pytest.mark.parametrize("name", ["", "  \n ", "x" * 101, "a\0b", "\u202efdp", "\ud800"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"species.*\.$"):
        tidy(name)
