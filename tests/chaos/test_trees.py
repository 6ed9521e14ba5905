from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import Said
from leafgraft.cli.train import plan_text
from leafgraft.errors import UserError
from leafgraft.photos import Photo, read_manifest, scan, write_manifest
from leafgraft.photos.split import split

ODD = (
    *(
        "rose",
        "Rose",
        "ROSE",
        "e\u0301",
        "\xe9",
        "\xdf",
        "SS",
        "\u0130",
        "i\u0307",
        "\ufb01",
        "\u212b",
    ),  # case and forms
    *(
        "\u05d5\u05e8\u05d3",
        "\u0648\u0631\u062f\u0629",
        "\u202egpj.exe",
        "\u200f",
        "\u200d",
        "\ufeffbom",
        "Z\u0351\u036b\u0343\u036a",
    ),
    *("\U0001f339", "\U0001f469\u200d\U0001f33e", ":rose:", "[bold]", "{0}", "%s", "\\", "$HOME", "~", "*?", "a:b"),
    *(
        "two\nlines",
        "two\r\nlines",
        "\r",
        "\n",
        "\t",
        " ",
        "\xa0",
        "\u3000",
        "\u2028",
        "\x7f",
        "\x1b[31m",
        "\x1c",
        "\x85",
    ),
    *("CON", "NUL", "aux.jpg", "com1", "LPT1.txt", "dot.", "space ", " space", "...", "-rf", "--help", "-"),
    *(
        "=1+1",
        "+1",
        "@SUM(A1)",
        "'",
        "'=1",
        "''-",
        '"',
        'a"b',
        "a,b",
        "a;b",
        "<script>alert(1)</script>",
        "&amp;",
        "NaN",
    ),
    *("x" * 255, "\u4e2d" * 85, "\udcff\udcfe", "r\udce9s\xe9", "\udcc3\udca9"),
    *("train", "test", "val", "Validation", "TRAIN", ".hidden", "Thumbs.db", "desktop.ini", "README", "icon\r"),
)
"""Names that people or machines gave to files, or might."""

LETTERS = st.characters(exclude_characters="/\0", exclude_categories=["Cs"]) | st.sampled_from(
    [chr(0xDC00 + byte) for byte in (0x80, 0xC3, 0xE9, 0xFF)]  # bytes that are no UTF-8
)
NAMES = (
    (st.sampled_from(ODD) | st.text(LETTERS, min_size=1, max_size=12))
    .filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) <= 255)
    .map(lambda name: os.fsdecode(os.fsencode(name)))  # as Python gets it from the disk
)
CONTENTS = st.integers(0, 9) | st.sampled_from(["empty", "text", "cut", "folder", "link", "circle"])
FRACTIONS = st.sampled_from([0.0, 0.15, 0.4])
GROUPS = st.none() | st.none() | st.sampled_from(["[^/]+$", r"\d+", "group", "plot", "label", "("])


def _photo() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).save(buffer, "JPEG")
    return buffer.getvalue()


PHOTO = _photo()


def write(path: Path, content: int | str) -> None:
    """Write a photo, which differs from those of other numbers, or something else; what no disk takes is left out."""
    with contextlib.suppress(OSError, UnicodeEncodeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if content == "folder":
            path.mkdir()
        elif content in ("link", "circle"):
            path.symlink_to("nothing" if content == "link" else path.name)
        elif isinstance(content, int):
            path.write_bytes(PHOTO + content.to_bytes(2, "big"))
        else:
            path.write_bytes({"empty": b"", "text": b"no photo", "cut": PHOTO[:-40]}[content])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where there is such a thing: thousands of trees are made and removed."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def plan(leafgraft: Callable[..., Said]) -> Callable[..., dict[str, Any] | None]:
    """What a training would do; None where it refuses, in a sentence."""

    def call(source: Path, val: float, test: float, group_by: str | None) -> dict[str, Any] | None:
        options = ["--val-fraction", val, "--test-fraction", test, *(["--group-by", group_by] if group_by else [])]
        said = leafgraft("train", source, "--dry-run", "--json", *options)
        assert "Traceback" not in said.err
        if said.status == 0:
            content: dict[str, Any] = json.loads(said.out)
            return content
        assert (said.status, said.out) == (2, ""), said
        assert said.err.startswith("leafgraft: "), said
        assert said.err.rstrip()[-1] in ".!?", said
        return None

    return call


def lawful(source: Path, val: float, test: float, group_by: str | None, manifest: Path) -> list[Photo] | None:
    """Look at photos and split them; None where one of the two is refused."""
    root = source if source.is_dir() else source.parent
    try:
        seen = scan(source, fewest=1, group_by=group_by, threads=1)
        assert len({(photo.path, photo.label) for photo in seen if not photo.problem}) == sum(
            not p.problem for p in seen
        )
        assert_kept(seen, manifest, root)
        parts = split(seen, val=val, test=test)
    except UserError:
        return None
    assert [replace(photo, split="", problem="") for photo in parts] == [replace(p, split="", problem="") for p in seen]
    given = {photo.group for photo in seen if photo.split and not photo.problem}
    sides: defaultdict[str, set[str]] = defaultdict(set)
    of_bytes: defaultdict[str, set[str]] = defaultdict(set)
    for before, photo in zip(seen, parts, strict=True):
        assert (photo.split in ("train", "val", "test")) != bool(photo.problem)
        assert photo.problem or photo.label
        assert photo.problem or before.split not in ("val", "test") or photo.split == before.split
        if not photo.problem:
            sides[photo.group].add(photo.split)
            of_bytes[photo.sha256].add(photo.split)
    assert all(len(side) == 1 for group, side in sides.items() if group not in given)
    assert all(len(side) == 1 or "train" not in side for side in of_bytes.values())
    assert {photo.label for photo in parts if photo.split} == {photo.label for photo in parts if photo.split == "train"}
    assert_kept(parts, manifest, root)
    return parts


def assert_kept(photos: list[Photo], manifest: Path, root: Path) -> None:
    """What is written reads back equal, in paths that begin with any name."""
    write_manifest(manifest, photos, root)
    assert read_manifest(manifest, root) == photos


def agrees(plan: dict[str, Any] | None, parts: list[Photo] | None) -> None:
    """A training also wants a second species, and otherwise takes what was split."""
    if plan is None or parts is None:
        species = {photo.label for photo in parts or () if not photo.problem}
        assert plan is None
        assert parts is None or len(species) < 2
        return
    counts = Counter((photo.label, photo.split) for photo in parts if not photo.problem)
    told = {(name, side): n for name, sides in plan["species"].items() for side, n in sides.items() if n}
    assert told == dict(counts)
    assert plan_text(plan, check=True).endswith("\nNothing was written.")
    assert plan["left_out"] == [{"path": str(p.path), "problem": p.problem} for p in parts if p.problem]


SPECIES = st.lists(
    st.tuples(NAMES, st.lists(st.tuples(NAMES, st.integers(0, 999)), min_size=3, max_size=6)), min_size=2, max_size=3
).map(lambda species: [([name], photos) for name, photos in species])
FOLDERS = st.lists(st.tuples(st.lists(NAMES, max_size=3), st.lists(st.tuples(NAMES, CONTENTS), max_size=4)), max_size=2)
SIDES = st.sampled_from([[""], [""], ["train"], ["train", "test"], ["training", "Val", "TEST"]])


def test_any_tree_of_folders_is_split_by_the_laws_or_refused_in_a_sentence(
    plan: Callable[..., dict[str, Any] | None],
    amount: Callable[[int, int], int],
    figures: Callable[[dict[str, Any]], None],
    place: Path,
) -> None:
    outcomes, numbers, begun = Counter[str](), itertools.count(), time.perf_counter()

    @settings(max_examples=amount(40, 5_000), deadline=None, suppress_health_check=list(HealthCheck))
    @given(NAMES, SIDES, SPECIES, FOLDERS, FRACTIONS, FRACTIONS, GROUPS)
    def holds(
        top: str, sides: list[str], species: Any, others: Any, val: float, test: float, group_by: str | None
    ) -> None:
        here = place / str(next(numbers))
        source = here / "photos" / top
        try:
            source.mkdir(parents=True)
            for path, files in [*species, *others]:
                for number, (name, content) in enumerate(files):
                    write(source.joinpath(sides[number % len(sides)], *path, name), content)
            before = sorted(map(str, here.rglob("*")))
            told = plan(source, val, test, group_by)
            assert sorted(map(str, here.rglob("*"))) == before
            agrees(told, lawful(source, val, test, group_by, here / "kept" / "manifest.csv"))
        finally:
            shutil.rmtree(here, ignore_errors=True)
        outcomes["split" if told else "refused"] += 1

    holds()
    figures({"examples": outcomes.total(), "seconds": round(time.perf_counter() - begun), **outcomes})


COLUMNS = st.permutations(["path", "label"]) | st.permutations(["path", "label", "split", "group", "width", "Plot "])
PLAIN = st.fixed_dictionaries(
    {
        "path": st.integers(0, 40).map("photo {}.jpg".format),
        "label": st.integers(0, 9),
        "split": st.sampled_from(["", "", "", "train", " Val", "TEST", "validation"]),
        "group": st.sampled_from(["", "", "", "a", "b"]),
        "width": st.sampled_from(["", "16", "-1", "\u0663"]),
        "Plot ": st.sampled_from(["1", "2", "3", "4", "=5"]),
    }
)
STRANGE = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["none.jpg", "", "..", "x" * 5000, "photo 1.jpg/", "nul\0"]) | NAMES,
        "label": st.integers(0, 9) | st.sampled_from(["", " ", " oak "]),
        "split": st.sampled_from(["", "", "test", "later"]),
        "group": NAMES,
        "width": st.sampled_from(["", "", "", "1e3", "9" * 5000]),
        "Plot ": NAMES,
    }
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Lines of a CSV about the photos that there are, and some about others."""
    columns = draw(COLUMNS)
    species = draw(st.lists(NAMES, min_size=2, max_size=3))
    rows: list[dict[str, Any]] = draw(st.lists(PLAIN, min_size=8, max_size=24, unique_by=lambda row: row["path"]))
    rows += draw(st.just([]) | st.lists(STRANGE, max_size=3))
    for row in rows:
        row["label"] = row["label"] if isinstance(row["label"], str) else species[row["label"] % len(species)]
    return [columns, *[[row[column] for column in columns] for row in rows]]


ENCODINGS = st.sampled_from([*["utf-8"] * 6, "utf-8-sig", "utf-16", "latin-1"])


def test_any_list_of_photos_is_split_by_the_laws_or_refused_in_a_sentence(
    plan: Callable[..., dict[str, Any] | None],
    amount: Callable[[int, int], int],
    figures: Callable[[dict[str, Any]], None],
    place: Path,
) -> None:
    outcomes, begun = Counter[str](), time.perf_counter()
    for number in range(40):
        write(place / "photos" / f"photo {number}.jpg", number if number % 10 else "cut")
    source = place / "photos" / "list.csv"

    @settings(max_examples=amount(40, 5_000), deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        tables(),
        st.sampled_from(",,,;\t"),
        ENCODINGS,
        st.just(b"") | st.just(b"") | st.binary(max_size=3),
        st.integers(0),
        FRACTIONS,
        FRACTIONS,
        GROUPS,
    )
    def holds(
        table: Any, comma: str, encoding: str, noise: bytes, where: int, val: float, test: float, group_by: str | None
    ) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=comma).writerows(table)
        errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
        data = text.getvalue().encode(encoding, errors)
        where %= len(data)
        source.write_bytes(data[:where] + noise + data[where:])
        told = plan(source, val, test, group_by)
        agrees(told, lawful(source, val, test, group_by, place / "kept" / "manifest.csv"))
        outcomes["split" if told else "refused"] += 1

    holds()
    figures({"examples": outcomes.total(), "seconds": round(time.perf_counter() - begun), **outcomes})
