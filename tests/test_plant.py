from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.plant import FIRST, found, plant, plant_bursts
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image

from leafgraft.files import sha256
from leafgraft.photos.garden.plot import SIZES

COUNTS = {"exact": 4, "resized": 6, "mirrored": 3, "cropped": 3, "swapped": 5}
ROOT = Path(__file__).parent.parent


def pixels(path: str) -> NDArray[np.float64]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float64)


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*.jpg")}


def relative(truth: dict[str, Any], folder: Path) -> str:
    return json.dumps(truth).replace(folder.as_posix(), "")


@pytest.fixture(scope="module")
def planted(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("planted") / "photos"
    return folder, plant(garden, folder, 3, COUNTS)


def test_the_copy_has_the_data_set_and_the_faults_and_no_more(
    garden: Path, planted: tuple[Path, dict[str, Any]]
) -> None:
    folder, truth = planted
    assert {kind: len(faults) for kind, faults in truth.items()} == COUNTS
    before, after = files(garden), files(folder)
    moved = {Path(swap["path"]).relative_to(folder).as_posix() for swap in truth["swapped"]}
    added = {
        Path(copy).relative_to(folder).as_posix() for kind in COUNTS if kind != "swapped" for _, copy in truth[kind]
    }
    assert moved | added == after.keys() - before.keys()
    assert len(before.keys() - after.keys()) == COUNTS["swapped"]
    assert all(after[name] == before[name] for name in before.keys() & after.keys())


def test_every_fault_has_a_photo_of_its_own(planted: tuple[Path, dict[str, Any]]) -> None:
    _, truth = planted
    sources = [original for kind in COUNTS if kind != "swapped" for original, _ in truth[kind]]
    digests = [sha256(Path(path)) for path in [*sources, *(swap["path"] for swap in truth["swapped"])]]
    assert len(set(digests)) == len(digests) == sum(COUNTS.values())


def test_exact_copies_are_the_same_bytes_in_the_same_folder(planted: tuple[Path, dict[str, Any]]) -> None:
    for original, copy in planted[1]["exact"]:
        assert original != copy
        assert Path(original).parent == Path(copy).parent
        assert Path(original).read_bytes() == Path(copy).read_bytes()


def test_resized_copies_are_smaller_and_show_the_same(planted: tuple[Path, dict[str, Any]]) -> None:
    scales = []
    for original, copy in planted[1]["resized"]:
        with Image.open(original) as large, Image.open(copy) as small:
            scales.append(small.width / large.width)
            again = np.asarray(small.resize(large.size), np.float64)
        assert np.corrcoef(again.ravel(), pixels(original).ravel())[0, 1] > 0.9
    assert all(0.39 < scale < 0.81 for scale in scales)
    assert len(set(scales)) > 1


def test_mirrored_copies_are_mirrored(planted: tuple[Path, dict[str, Any]]) -> None:
    for original, copy in planted[1]["mirrored"]:
        assert np.abs(pixels(copy)[:, ::-1] - pixels(original)).mean() < 6


def test_cropped_copies_are_a_part_of_nine_tenths(planted: tuple[Path, dict[str, Any]]) -> None:
    places = set()
    for original, copy in planted[1]["cropped"]:
        whole, part = pixels(original), pixels(copy)
        height, width = part.shape[:2]
        assert (height, width) == (round(0.9 * whole.shape[0]), round(0.9 * whole.shape[1]))
        differences = {
            (top, left): np.abs(whole[top : top + height : 4, left : left + width : 4] - part[::4, ::4]).mean()
            for top in range(whole.shape[0] - height + 1)
            for left in range(whole.shape[1] - width + 1)
        }
        place = min(differences, key=differences.__getitem__)
        assert differences[place] < 6
        places.add(place)
    assert len(places) > 1


def test_swapped_photos_lie_in_another_species_folder(garden: Path, planted: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = planted
    for swap in truth["swapped"]:
        assert swap["label"] != swap["true"]
        assert Path(swap["path"]).parent == folder / swap["label"]
        assert sha256(Path(swap["path"])) in {sha256(path) for path in (garden / swap["true"]).iterdir()}


def test_names_follow_those_of_the_folder_and_do_not_follow_each_other(planted: tuple[Path, dict[str, Any]]) -> None:
    truth = planted[1]
    added = [Path(copy) for kind in COUNTS if kind != "swapped" for _, copy in truth[kind]]
    added += [Path(swap["path"]) for swap in truth["swapped"]]
    assert all(re.fullmatch(rf"{path.parent.name}_[7-9]\d\d\d\.jpg", path.name) for path in added)
    numbers = sorted(int(path.stem[-4:]) for path in added)
    assert all(after - before > 1 for before, after in pairwise(numbers))


def test_the_seed_decides_everything(garden: Path, planted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, truth = planted
    again = plant(garden, tmp_path / "again", 3, COUNTS)
    assert relative(again, tmp_path / "again") == relative(truth, folder)
    assert files(tmp_path / "again") == files(folder)
    other = plant(garden, tmp_path / "other", 4, COUNTS)
    assert relative(other, tmp_path / "other") != relative(truth, folder)


def test_other_names_are_followed_as_they_are(tmp_path: Path) -> None:
    for label in ("rose", "tulip"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i, name in enumerate(("IMG_0998 (2).png", f"{label}.JPG", f"{10**20}.jpg")):
            Image.new("RGB", (40, 30), (i * 50, len(label) * 20, 0)).save(tmp_path / "photos" / label / name)
    truth = plant(tmp_path / "photos", tmp_path / "out", 0, {"exact": 2, "resized": 2, "swapped": 2})
    names = {Path(path).name for kind in ("exact", "resized") for pair in truth[kind] for path in pair}
    names |= {Path(swap["path"]).name for swap in truth["swapped"]}
    assert len(list((tmp_path / "out").rglob("*.*"))) == 10
    assert all(re.fullmatch(r"(IMG_\d+ \(\d+\)|rose(_\d+)?|tulip(_\d+)?|\d+)\.(png|JPG|jpg)", name) for name in names)


def test_too_few_photos_and_a_full_folder_are_refused(garden: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="81 faults need as many different photos; there are 80"):
        plant(garden, tmp_path / "many", 0, {"exact": 81})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").touch()
    with pytest.raises(ValueError, match="not empty"):
        plant(garden, tmp_path / "full", 0, COUNTS)
    with pytest.raises(ValueError, match="at least two"):
        plant(tmp_path / "full", tmp_path / "new", 0, COUNTS)
    with pytest.raises(ValueError, match="has 8 photos"):
        plant_bursts(garden, tmp_path / "new", 0, plants=8)


def test_the_command_writes_the_truth_beside_the_photos(garden: Path, tmp_path: Path) -> None:
    photos = tmp_path / "source"
    for label in ("rose", "tulip"):  # the default counts need 90 photos
        (photos / label).mkdir(parents=True)
        for i in range(50):
            Image.new("RGB", (32, 24), (5 * i, 100, 10 * len(label))).save(photos / label / f"{label}_{i:03d}.png")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.plant", photos, tmp_path / "out", "--seed", "1"],
        check=True, cwd=ROOT, capture_output=True,
    )  # fmt: skip
    truth = json.loads((tmp_path / "out" / "planted.json").read_text(encoding="utf-8"))
    assert {kind: len(faults) for kind, faults in truth.items()} == {
        "exact": 25, "resized": 25, "mirrored": 10, "cropped": 10, "swapped": 20,
    }  # fmt: skip
    assert len([path for path in (tmp_path / "out" / "photos").rglob("*.*") if path.is_file()]) == 170


TRUTH: dict[str, Any] = {
    "exact": [["/a", "/b"]],
    "resized": [["/d", "/c"], ["/e", "/f"]],
    "mirrored": [],
    "swapped": [{"path": "/x", "label": "rose", "true": "iris"}, {"path": "/y", "label": "iris", "true": "rose"}],
}


def report(**changes: Any) -> dict[str, Any]:
    return {"exact_duplicates": [], "near_duplicates": [], "across_labels": [], "label_suspects": []} | changes


def test_what_is_reported_is_found() -> None:
    suspects = [{"path": "/x", "suggested": "iris"}, {"path": "/q", "suggested": "iris"}]
    suspects += [{"path": f"/{i}", "suggested": "iris"} for i in range(FIRST - 2)]
    figures = found(
        TRUTH,
        report(
            exact_duplicates=[["/b", "/a"]],
            near_duplicates=[["/c", "/d"]],
            across_labels=[["/e", "/f"]],
            label_suspects=[*suspects, {"path": "/y", "suggested": "rose"}],
        ),
    )
    assert figures["pairs"] == {
        "exact": {"planted": 1, "found": 1, "share": 1.0},
        "resized": {"planted": 2, "found": 2, "share": 1.0},
    }
    assert figures["missed"] == {"exact": [], "resized": [], "mirrored": []}
    assert figures["reported_pairs"] == 3
    assert figures["false_pairs"] == {"count": 0, "share": 0.0, "list": []}
    assert figures["swapped"] == {"planted": 2, "among": FIRST, "found": 1, "right": 1}


def test_what_is_not_reported_is_missed_and_what_is_not_planted_is_false() -> None:
    figures = found(
        TRUTH,
        report(
            near_duplicates=[["/a", "/b", "/z"], ["/e", "/c"]], label_suspects=[{"path": "/y", "suggested": "fern"}]
        ),
    )
    assert figures["pairs"]["exact"]["share"] == 1.0
    assert figures["pairs"]["resized"] == {"planted": 2, "found": 0, "share": 0.0}
    assert figures["missed"]["resized"] == [["/c", "/d"], ["/e", "/f"]]
    assert figures["reported_pairs"] == 4
    assert figures["false_pairs"] == {"count": 3, "share": 0.75, "list": [["/a", "/z"], ["/b", "/z"], ["/c", "/e"]]}
    assert figures["swapped"] == {"planted": 2, "among": FIRST, "found": 1, "right": 0}


def test_an_empty_report_has_no_false_pairs() -> None:
    assert found(TRUTH, report())["false_pairs"] == {"count": 0, "share": 0.0, "list": []}


@given(st.lists(st.lists(st.integers(0, 30).map(lambda i: f"/{i}"), min_size=2, max_size=2, unique=True)))
def test_copies_of_copies_are_no_false_pairs(pairs: list[list[str]]) -> None:
    groups: list[set[str]] = []
    for pair in pairs:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touched] + [set(pair).union(*touched)]
    figures = found({"exact": pairs}, report(near_duplicates=[sorted(group) for group in groups]))
    assert figures["false_pairs"]["count"] == 0
    assert figures["missed"]["exact"] == []
    everything = sorted(set().union(*groups, {"/new"}))
    false = found({"exact": pairs}, report(near_duplicates=[everything]))["false_pairs"]["count"]
    assert false == len(list(combinations(everything, 2))) - sum(len(group) * (len(group) - 1) // 2 for group in groups)


@pytest.fixture(scope="module")
def bursts(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    folder = tmp_path_factory.mktemp("bursts") / "out"
    return folder, plant_bursts(garden, folder, 5, plants=3, shots=4)["bursts"]


def test_a_data_set_of_bursts_has_few_plants_and_many_shots(garden: Path, bursts: tuple[Path, list[list[str]]]) -> None:
    folder, groups = bursts
    shots = [path for group in groups for path in group]
    assert Counter(map(len, groups)) == {4: 30}
    assert {path.as_posix() for path in (folder / "photos").rglob("*.jpg")} == set(shots)
    assert Counter(Path(group[0]).parent.name for group in groups) == {path.name: 3 for path in garden.glob("*/")}
    assert [Path(path).name for path in shots] == [f"IMG_{number:04d}.jpg" for number in range(1, 121)]
    fresh = files(folder / "fresh")
    assert len(fresh) == 50
    assert fresh.items() < files(garden).items()


def test_shots_are_seconds_apart_and_plants_minutes(bursts: tuple[Path, list[list[str]]]) -> None:
    times = []
    for group in bursts[1]:
        for path in group:
            with Image.open(path) as image:
                text = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal]
            times.append(datetime.strptime(text, "%Y:%m:%d %H:%M:%S"))
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    within = [gap for i, gap in enumerate(gaps, 1) if i % 4]
    assert all(1 <= gap <= 4 for gap in within)
    assert all(gap >= 180 for gap in gaps[3::4])


def test_shots_of_a_plant_differ_and_yet_are_alike(bursts: tuple[Path, list[list[str]]]) -> None:
    def small(path: str) -> NDArray[np.float64]:
        with Image.open(path) as image:
            return np.asarray(image.convert("L").resize((16, 16)), np.float64).ravel()

    seen = [np.array([small(path) for path in group]) for group in bursts[1]]
    inside = [np.corrcoef(shots)[np.triu_indices(4, 1)].mean() for shots in seen]
    across = [np.corrcoef(one[0], other[0])[0, 1] for one, other in combinations(seen, 2)]
    assert np.mean(inside) > np.mean(across) + 0.2
    digests = {sha256(Path(path)) for group in bursts[1] for path in group}
    assert len(digests) == 120
    with Image.open(bursts[1][0][0]) as shot:
        shares = {shot.width * shot.height / (width * height) for width, height in SIZES}
    assert any(0.79 < share < 0.96 for share in shares)


def test_the_seed_decides_the_bursts(garden: Path, bursts: tuple[Path, list[list[str]]], tmp_path: Path) -> None:
    plant_bursts(garden, tmp_path, 5, plants=3, shots=4)
    assert files(tmp_path) == files(bursts[0])
