from __future__ import annotations

import csv
import json
import os
import re
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import leafgraft
from leafgraft.files import FORMULA, guarded, whole, whole_folder, write_csv, write_json, write_text
from leafgraft.photos.manifest import read_manifest, write_manifest
from leafgraft.photos.photo import Photo

pytestmark = pytest.mark.quick

# Where the guard has to decide: quotes before signs, signs after quotes, and much else.
cells = st.text(st.sampled_from(string.ascii_letters + "'\"=+-@,;\t\n\r äß日🌹"), max_size=8)


@given(cells)
def test_no_guarded_text_is_a_formula_and_no_other_text_is_touched(text: str) -> None:
    result = guarded(text)
    assert not result.startswith(FORMULA)
    assert result in (text, f"'{text}")
    if text[:1].isalpha():
        assert result == text


@given(st.lists(cells, min_size=2, max_size=2, unique=True))
def test_two_texts_never_become_the_same(texts: list[str]) -> None:
    assert guarded(texts[0]) != guarded(texts[1])


@given(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False)))
def test_numbers_are_not_touched(value: float | None) -> None:
    assert guarded(value) == value


@settings(deadline=None, max_examples=60)
@given(st.lists(cells, max_size=5))
def test_what_is_guarded_at_writing_is_unguarded_at_reading(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    photos = [Photo(Path("/p/a.jpg"), "rose", group=text, problem=text) for text in texts]
    path = tmp_path_factory.getbasetemp() / "guarded.csv"
    write_manifest(path, photos)
    assert read_manifest(path) == photos


def test_a_table_has_its_header_and_empty_cells_for_what_is_not_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("a", "b"), [{"a": 1, "b": None}, {"a": "=1+1", "b": -0.5}])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "a,b\n1,\n'=1+1,-0.5\n"
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1", ""], ["'=1+1", "-0.5"]]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "first")

    def write_half() -> None:
        with whole(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".txt"
            temporary.write_text("sec", encoding="utf-8")
            assert path.read_text(encoding="utf-8") == "first"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text(encoding="utf-8") == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_leaves_the_earlier_file(tiny_disk: Path) -> None:
    path = tiny_disk / "a.txt"
    write_text(path, "first")
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "x" * 2_000_000)
    assert path.read_text(encoding="utf-8") == "first"
    assert list(tiny_disk.iterdir()) == [path]


def test_json_is_for_people_too(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"species": ["Röschen", "薔薇"]})
    assert "薔薇" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_a_name_that_is_no_unicode_survives_in_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"r\xf6se")
    write_json(tmp_path / "a.json", {"folder": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"folder": name}


def test_very_many_files_are_brought_to_the_disk_at_once(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "many", "1000") as temporary:
        for number in range(1001):
            (temporary / str(number)).touch()
    assert len(list((tmp_path / "many").iterdir())) == 1001


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "parent" / "folder"
    with pytest.raises(FileNotFoundError), whole_folder(place, "sign") as folder:
        (folder / "no such folder" / "sign").touch()
    assert list(place.parent.iterdir()) == []
    with whole_folder(place, "sign") as folder:
        (folder / "sign").write_text("first", encoding="utf-8")
        assert not place.exists()
    with whole_folder(place, "sign") as folder:  # as another process would have made it meanwhile
        (folder / "sign").write_text("second", encoding="utf-8")
    assert (place / "sign").read_text(encoding="utf-8") == "first"
    (place / "sign").rename(place / "rest")
    with whole_folder(place, "sign") as folder:
        (folder / "sign").write_text("third", encoding="utf-8")
    assert [path.name for path in place.iterdir()] == ["sign"]
    assert list(place.parent.iterdir()) == [place]


def test_no_csv_is_written_past_the_guard() -> None:
    package = Path(leafgraft.__file__).parent
    writers = {
        path for path in package.rglob("*.py") if re.search(r"csv\.(writer|DictWriter)|to_csv", path.read_text())
    }
    assert {path.name for path in writers} == {"files.py", "ledger.py"}
    for path in writers:  # each row goes through it
        assert re.search(r"writerows\(\{name: guarded\(value\) for", path.read_text(encoding="utf-8"))
