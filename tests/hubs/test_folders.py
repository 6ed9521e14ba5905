"""Names of folders for labels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leafgraft.hubs.folders import LONGEST, Folders, plain_name

# Besides any text, labels that are nearly the same, and what systems have their own ideas of.
NEAR = st.text("aAbB./\\: é´\u0301ßsCONcon1", max_size=6)
LABELS = st.lists(st.one_of(st.text(max_size=300), NEAR), unique=True, max_size=12)


@given(LABELS)
@example(["Rose", "rose", "ROSE", "rose (2)"])
@example(["a/b", "a\\b", "a:b", "a_b"])
@example(["é", "e\u0301", "É"])
@example([" .0", ". .0", " "])
@example(["con", "CON", "_con", "nul.txt", "", ".", ".."])
@example(["\ud800", "\udfff", "x" * 400, "x" * 401])
def test_different_labels_have_folders_that_every_system_keeps_apart(labels: list[str]) -> None:
    folders = Folders()
    names = [folders(label) for label in labels]
    assert [folders(label) for label in labels] == names
    assert len({normalize("NFC", name).casefold() for name in names}) == len(labels)
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            (Path(place) / name).mkdir()
        assert sorted(path.name for path in Path(place).iterdir()) == sorted(names)
    for name in names:
        assert not set(name) & set('<>:"/\\|?*\0\n')
        assert not name.startswith(".")
        assert name == name.rstrip(" .")
        assert len(name.encode()) <= LONGEST + 10


@given(st.text(max_size=300))
def test_what_has_become_a_name_is_one(label: str) -> None:
    assert plain_name(plain_name(label)) == plain_name(label)


@pytest.mark.parametrize("label", ["rose", "Rosa × alba", "日々草", "lily-of-the-valley", "console", "a.b", "com10"])
def test_a_label_survives_where_it_may_be_a_folder(label: str) -> None:
    folders = Folders()
    folders("another")
    assert folders(label) == label


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("a/b", "a_b"),
        ("..", "_"),
        (".hidden", "_hidden"),
        ("CON", "_CON"),
        ("lpt1.x", "_lpt1.x"),
        ("COM¹", "_COM¹"),
        ("rose ", "rose"),
        ("Rosa alba L.", "Rosa alba L"),
        ("", "_"),
    ],
)
def test_what_a_system_would_misread_is_changed(label: str, name: str) -> None:
    assert plain_name(label) == name


def test_small_letters_and_capitals_make_two_folders() -> None:
    folders = Folders()
    assert [folders(label) for label in ("Rose", "rose", "Rose")] == ["Rose", "rose (2)", "Rose"]
