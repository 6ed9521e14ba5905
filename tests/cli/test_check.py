"""``leafgraft check``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.plant import found

from conftest import Said
from faulty_garden import BAD, COUNTS, ODD, UNREADABLE, FaultyGarden, faulty_garden
from leafgraft.files import sha256, write_csv
from leafgraft.photos import scan
from leafgraft.photos.split import split

LOADED = """
import sys
from leafgraft.cli import main
try:
    main()
finally:
    print(sorted({"tensorflow", "keras"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def faulty(garden: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> FaultyGarden:
    return faulty_garden(tmp_path_factory.getbasetemp(), garden, weights)


@pytest.fixture(autouse=True)
def cache(faulty: FaultyGarden, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache whose bank has the features already."""
    monkeypatch.setenv("LEAFGRAFT_CACHE", str(faulty.cache))
    return faulty.cache


@pytest.fixture
def check(leafgraft: Callable[..., Said], faulty: FaultyGarden) -> Callable[..., Said]:
    def call(*arguments: object) -> Said:
        said = leafgraft("check", *arguments, "--weights", faulty.weights)
        assert said.status == 0, said
        return said

    return call


def listed(path: Path, rows: Iterable[tuple[Path, str, str, str]]) -> Path:
    """Write a CSV."""
    columns = ("path", "label", "split", "plot")
    write_csv(path, columns, (dict(zip(columns, (str(row[0]), *row[1:]), strict=True)) for row in rows))
    return path


def digests(folder: Path) -> dict[Path, str]:
    return {path: sha256(path) for path in folder.rglob("*") if path.is_file()}


def test_everything_at_once(check: Callable[..., Said], faulty: FaultyGarden, tmp_path: Path) -> None:
    before = digests(faulty.folder)
    page, listing = tmp_path / "check.html", tmp_path / "new" / "clean.csv"
    said = check(faulty.folder, "--json", "--html", page, "--fix", listing)
    assert digests(faulty.folder) == before

    content: dict[str, Any] = json.loads(said.out)
    assert set(content) == {
        "photos", "usable", "exact_duplicates", "near_duplicates", "across_labels", "across_splits", "bursts",
        "label_suspects", "outliers", "unreadable", "imbalance", "blurred", "dark", "tiny", "border_probe",
    }  # fmt: skip
    figures = found(faulty.truth, content)
    assert [kind["share"] for kind in figures["pairs"].values()] == [1.0] * 4
    assert figures["false_pairs"]["count"] == 0
    assert figures["swapped"]["found"] >= 2
    assert all(set(suspect) == {"path", "label", "suggested", "score"} for suspect in content["label_suspects"])
    assert {(Path(one["path"]).name, one["reason"]) for one in content["unreadable"]} == {
        ("empty.jpg", "empty file"), ("text.jpg", "not an image: text"),
    }  # fmt: skip
    assert {Path(name).name for name in ODD} <= {Path(one["path"]).name for one in content["outliers"]}
    assert set(content["border_probe"]) == {"accuracy", "chance"}
    assert set(content["imbalance"]) == {"counts", "ratio", "few"}
    assert content["across_labels"] == content["across_splits"] == []

    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "photos: what to see to" in html
    assert html.count("data:image/jpeg") > 2 * sum(COUNTS.values())
    assert all(Path(name).name in html for name in (*ODD, *BAD, *UNREADABLE))

    files, dropped = content["photos"], len(UNREADABLE) + sum(COUNTS.values()) - COUNTS["swapped"]
    assert f"{listing}: {files - dropped:,} of {files:,} files are for training; leafgraft train {listing}" in said.err
    photos = scan(listing)
    kept = [photo for photo in photos if not photo.problem]
    assert (len(photos), len(kept)) == (files, files - dropped)
    assert {photo.path.resolve() for photo in photos} == {path.resolve() for path in before}
    sides = split(kept, val=0.15, test=0.15)
    assert {photo.split for photo in sides} == {"train", "val", "test"}

    again = json.loads(check(listing, "--json").out)
    assert again["exact_duplicates"] == again["near_duplicates"] == []
    assert again["usable"] == files - dropped


def test_a_line_each_for_people(check: Callable[..., Said], faulty: FaultyGarden, tmp_path: Path) -> None:
    few = [photo for photo in faulty.photos() if photo.label in ("oak", "fern")]
    text = check(listed(tmp_path / "few.csv", ((photo.path, photo.label, "", "") for photo in few))).out
    first, *lines = text.splitlines()
    usable = sum(not photo.problem for photo in few)
    assert first.startswith(f"{usable} photos of 2 species. ")
    assert first.endswith(" to look at.")
    assert len(lines) == 13
    assert {line[:3] for line in lines} == {"   ", " ! ", " ? "}
    assert " ! Files that cannot be used: 2 files. They are left out of every training. Repair or remove them." in lines
    assert "   Copies with different labels: None." in lines
    assert any(line.startswith(" ? Below 112 pixels: 1 file. ") for line in lines)


def test_copies_across_labels_and_sides_and_groups_by_a_column(
    check: Callable[..., Said], faulty: FaultyGarden, tmp_path: Path
) -> None:
    (one, same), *_ = [[Path(path) for path in pair] for pair in faulty.truth["exact"]]
    (other, smaller), (third, small), *_ = [[Path(path) for path in pair] for pair in faulty.truth["resized"]]
    rows = [
        (one, "rose", "train", "a"), (same, "fern", "train", "b"),
        (other, "rose", "train", "c"), (smaller, "rose", "test", "d"),
        (third, "rose", "train", "e"), (small, "fern", "train", "f"),
    ]  # fmt: skip
    apart = [photo for photo in faulty.photos() if photo.label == "cactus" and not photo.problem][:4]
    rows += [(photo.path, "fern", "train", "one plot") for photo in apart[:2]]
    rows += [(photo.path, "rose", "train", "another plot") for photo in apart[2:]]
    source = listed(tmp_path / "photos.csv", rows)
    said = check(source, "--json", "--group-by", "plot", "--fix", tmp_path / "clean.csv")
    content = json.loads(said.out)
    assert [{Path(path) for path in group} for group in content["across_labels"]] == [{one, same}, {third, small}]
    assert [{Path(path) for path in group} for group in content["across_splits"]] == [{other, smaller}]
    kept = {photo.path.resolve(): photo for photo in scan(tmp_path / "clean.csv") if not photo.problem}
    assert {one, same, third, small, other}.isdisjoint(kept)
    assert kept[smaller.resolve()].split == "test"
    groups = [kept[photo.path.resolve()].group for photo in apart if photo.path.resolve() in kept]
    assert groups == ["one plot", "one plot", "another plot", "another plot"]


def test_bursts_are_one_group_in_the_list(check: Callable[..., Said], faulty: FaultyGarden, tmp_path: Path) -> None:
    content = json.loads(check(faulty.shots, "--json", "--fix", tmp_path / "clean.csv").out)
    assert content["bursts"]
    group = {photo.path.absolute().as_posix(): photo.group for photo in scan(tmp_path / "clean.csv")}
    for burst in content["bursts"]:
        assert len({group[path] for path in burst}) == 1
    whole = {tuple(burst) for burst in faulty.bursts}
    assert sum(tuple(burst) in whole for burst in content["bursts"]) >= len(content["bursts"]) - 1


def test_one_species_and_one_photo_are_looked_at_as_well(
    check: Callable[..., Said], faulty: FaultyGarden, tmp_path: Path
) -> None:
    photo = faulty.folder / "oak" / "oak_0001.jpg"
    source = listed(tmp_path / "one.csv", [(photo, "oak", "", "")])
    said = check(source, "--json", "--fix", tmp_path / "clean.csv", "--html", tmp_path / "page.html")
    assert json.loads(said.out)["imbalance"]["counts"] == {"oak": 1}
    assert json.loads(said.out)["border_probe"] is None
    assert check(source).out.startswith("1 photo of 1 species. ")


def test_no_tensorflow_is_loaded_where_the_bank_is_filled(faulty: FaultyGarden) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "check", faulty.shots, "--weights", faulty.weights, "--json"],
        capture_output=True, text=True, check=True, env=os.environ | {"LEAFGRAFT_CACHE": str(faulty.cache)},
    )  # fmt: skip
    assert json.loads(done.stdout)["photos"] == len(scan(faulty.shots))
    assert done.stderr.splitlines()[-1] == "[]"


def test_what_cannot_be_done_is_one_sentence(refused: Callable[..., str], faulty: FaultyGarden, tmp_path: Path) -> None:
    assert "no folder or CSV" in refused("check", tmp_path / "none")
    assert "is empty" in refused("check", tmp_path)
    assert "must end in .csv" in refused("check", faulty.folder, "--fix", tmp_path / "clean.txt")
    photo = faulty.folder / "oak" / "oak_0001.jpg"
    assert "must end in .html" in refused("check", faulty.folder, "--html", photo)
    source = listed(tmp_path / "photos.csv", [(photo, "oak", "", "")])
    assert f"--fix would replace {source}" in refused("check", source, "--fix", tmp_path / "x" / ".." / "photos.csv")
    assert "no engine 'int4'" in refused("check", faulty.folder, "--precision", "int4")
    assert "matches no path" in refused("check", faulty.folder, "--group-by", "plant(\\d+)")
    text = listed(tmp_path / "text.csv", [(faulty.folder / UNREADABLE[1], "oak", "", "")])
    assert "is a usable photo (the first problem: text.jpg: not an image: text)" in refused("check", text)


def test_weights_that_are_none_are_refused(refused: Callable[..., str], faulty: FaultyGarden, tmp_path: Path) -> None:
    (tmp_path / "weights.npz").write_bytes(b"no weights")
    assert "weights.npz" in refused("check", faulty.folder, "--weights", tmp_path / "weights.npz")
