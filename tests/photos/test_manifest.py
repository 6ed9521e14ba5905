from __future__ import annotations

import csv
import io
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leafgraft.errors import UserError
from leafgraft.photos.manifest import COLUMNS, columns, read_manifest, write_manifest
from leafgraft.photos.photo import Photo

pytestmark = pytest.mark.quick

# Quotes, separators, formula signs and letters of several scripts; no NUL, no slash, no surrogates.
texts = st.text(st.sampled_from(string.ascii_letters + string.digits + " =+-@'\",;\t\n\r#äßé日本🌹"), max_size=20)
names = texts.map(str.strip).filter(lambda text: text not in ("", ".", ".."))
photos = st.lists(
    st.builds(
        Photo,
        path=st.lists(names, min_size=1, max_size=3).map(lambda parts: Path("/photos", *parts)),
        label=names,
        split=st.sampled_from(["", "train", "val", "test"]),
        sha256=st.text(string.hexdigits.lower(), max_size=64),
        group=texts,
        width=st.integers(0, 10_000),
        height=st.integers(0, 10_000),
        problem=texts,
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=150)
@given(rows=photos)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, rows: list[Photo]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.csv"
    write_manifest(path, rows)
    assert read_manifest(path) == rows


def test_paths_below_the_root_are_relative_and_others_absolute(tmp_path: Path) -> None:
    rows = [Photo(tmp_path / "rose" / "a.jpg", "rose"), Photo(Path("/elsewhere/b.jpg"), "rose")]
    path = tmp_path / "run" / "manifest.csv"
    path.parent.mkdir()
    write_manifest(path, rows, root=tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1].startswith("rose/a.jpg,rose,")
    assert lines[2].startswith("/elsewhere/b.jpg,")
    assert read_manifest(path, root=tmp_path) == rows


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, [Photo(tmp_path / "=cmd|'!A1.jpg", "-rose", group="+1", problem="@now")])
    assert path.read_text(encoding="utf-8").splitlines()[1] == "'=cmd|'!A1.jpg,'-rose,,,'+1,0,0,'@now"


def test_a_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    rows = [Photo(tmp_path / b"r\xf6se.jpg".decode("utf-8", "surrogateescape"), "rose")]
    write_manifest(tmp_path / "manifest.csv", rows)
    assert read_manifest(tmp_path / "manifest.csv") == rows


def test_a_failed_write_leaves_the_old_manifest_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(path, [Photo(tmp_path / "a.jpg", "rose")])
    before = path.read_bytes()

    def interrupted() -> Iterator[Photo]:
        yield Photo(tmp_path / "b.jpg", "tulip")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, interrupted())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_tables_as_spreadsheets_save_them(tmp_path: Path, separator: str, mark: bytes) -> None:
    rows = [
        ["Path", "Label ", "SPLIT"],
        ["a, b;c\td.jpg", "Ro\u0308schen", "Validation"],
        [],
        ["b.jpg", " tulip ", ""],
    ]
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    (tmp_path / "list.csv").write_bytes(mark + text.getvalue().encode())
    assert read_manifest(tmp_path / "list.csv") == [
        Photo(tmp_path / "a, b;c\td.jpg", "R\u00f6schen", "val"),
        Photo(tmp_path / "b.jpg", "tulip"),
    ]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_another_column_may_say_what_belongs_together(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(mark + b"Path;label;Group;Bed \na.jpg;rose;g;'=1\nb.jpg;rose;g;\nc.jpg;tulip\n")
    assert columns(path) == ["path", "label", "group", "bed"]
    assert [row.group for row in read_manifest(path)] == ["g", "g", ""]
    assert [row.group for row in read_manifest(path, group_by=" BED")] == ["=1", "", ""]
    assert read_manifest(path, group_by="plant") == read_manifest(path)


def test_a_table_of_nothing_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "list.csv").touch()
    assert columns(tmp_path / "list.csv") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column path and no column label"),
        (b"path,species\na.jpg,rose\n", "no column label"),
        (b"path,label,split\na.jpg,rose,dev\n", 'line 2: the split "dev"'),
        (b"path,label\na.jpg,rose\n,rose\n", "line 3: the path is empty"),
        (b"path,label,width\na.jpg,rose,wide\n", "whole numbers"),
        (b"\xff\xd8\xff\xe0JFIF", "no column path"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_manifest(tmp_path / "list.csv")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*list.csv"):
        read_manifest(tmp_path / "list.csv")


def test_a_row_without_a_label_is_kept_with_its_problem(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\na.jpg\n", encoding="utf-8")
    assert read_manifest(tmp_path / "list.csv") == [Photo(tmp_path / "a.jpg", "", problem="no label")]
