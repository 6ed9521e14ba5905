from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leafgraft.errors import UserError
from leafgraft.photos.folder import scan
from leafgraft.photos.manifest import write_manifest
from leafgraft.photos.photo import Photo
from photos_broken import PROBLEMS, write_broken

pytestmark = pytest.mark.quick


def draw(path: Path, seed: int, size: tuple[int, int] = (48, 32)) -> Path:
    """Write a small photo that no other seed has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    """Two species of three photos each."""
    for seed, (species, name) in enumerate((s, n) for s in ("rose", "tulip") for n in "abc"):
        draw(tmp_path / "garden" / species / f"{name}.png", seed)
    return tmp_path / "garden"


def seen(photos: list[Photo], root: Path) -> dict[str, tuple[str, str, str]]:
    return {p.path.relative_to(root).as_posix(): (p.label, p.split, p.problem) for p in photos}


def test_a_folder_per_species(garden: Path) -> None:
    photos = scan(garden)
    assert [p.path for p in photos] == [garden / s / f"{n}.png" for s in ("rose", "tulip") for n in "abc"]
    first = photos[0]
    digest = hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first == Photo(garden / "rose/a.png", "rose", "", digest, digest[:16], 48, 32)
    assert scan(garden, threads=1) == photos == scan(garden, threads=7)


def test_size_is_that_of_the_upright_photo(garden: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1600, 1200), "green").save(garden / "rose" / "a.jpg", exif=exif)
    photo = next(p for p in scan(garden) if p.path.name == "a.jpg")
    assert (photo.width, photo.height) == (1200, 1600)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "Testing"), ("train", "validation")])
def test_a_given_split_is_read_from_the_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    for i, side in enumerate(names):
        for j, species in enumerate(("rose", "tulip")):
            draw(tmp_path / side / species / "a.png", 10 * i + j)
    draw(tmp_path / names[0] / "loose.png", 99)
    draw(tmp_path / "extra" / "rose" / "b.png", 98)
    photos = seen(scan(tmp_path), tmp_path)
    for side, ours in zip(names, ("train", "val", "test"), strict=False):
        assert photos[f"{side}/rose/a.png"] == ("rose", ours, "")
    assert photos[f"{names[0]}/loose.png"] == ("", "train", "not in a species folder")
    assert photos["extra/rose/b.png"] == ("", "", "not in train, val or test")


def test_everything_odd_is_listed_and_junk_is_not(garden: Path) -> None:
    draw(garden / "rose" / "red" / "2024" / "deep.png", 20)
    draw(garden / "loose.png", 21)
    (garden / "rose" / "notes.txt").write_text("cut in March\n", encoding="utf-8")
    (garden / "rose" / "empty").mkdir()
    (garden / "lily").mkdir()
    for junk in (
        ".DS_Store",
        "rose/.hidden.png",
        "rose/Thumbs.db",
        "desktop.ini",
        "garden.json",
        "__MACOSX/rose/._a.png",
    ):
        (garden / junk).parent.mkdir(parents=True, exist_ok=True)
        (garden / junk).write_bytes(b"junk")
    for paper in ("README.md", "LICENSE", "manifest.csv", "citation.cff"):
        (garden / paper).write_text("text", encoding="utf-8")
    photos = seen(scan(garden), garden)
    assert {name: what for name, what in photos.items() if what[2] or "deep" in name} == {
        "rose/red/2024/deep.png": ("rose", "", ""),
        "loose.png": ("", "", "not in a species folder"),
        "rose/notes.txt": ("rose", "", "not an image: text"),
        "rose/empty": ("rose", "", "is a folder, and empty"),
        "lily": ("lily", "", "is a folder, and empty"),
    }
    assert len(photos) == 6 + 5


def test_broken_files_keep_their_place_in_the_list(garden: Path) -> None:
    write_broken(garden / "rose", Image.open(garden / "rose" / "a.png").resize((300, 200)))
    photos = {p.path.name: p for p in scan(garden) if p.label == "rose"}
    for name, problem in PROBLEMS.items():
        assert photos[name].problem.startswith(problem)
        assert bool(photos[name].problem) == bool(problem)
    assert photos["cut_off.jpg"].sha256  # the bytes were read, if not understood
    assert (photos["cmyk.jpg"].width, photos["cmyk.jpg"].height) == (300, 200)


def test_links_do_not_lead_out_of_the_folder(garden: Path, tmp_path: Path) -> None:
    outside = draw(tmp_path / "private" / "secret.png", 30)
    within = garden / "rose" / "within.png"
    links = {
        garden / "rose" / "outside.png": outside,
        garden / "rose" / "nothing.png": tmp_path / "nothing.png",
        garden / "rose" / "loop.png": garden / "rose" / "loop.png",
        garden / "rose" / "round": garden,
        garden / "iris": outside.parent,
        within: garden / "rose" / "a.png",
    }
    for link, target in links.items():
        link.symlink_to(target)
    photos = seen(scan(garden), garden)
    assert photos["rose/outside.png"][2] == "a link that leaves the folder; --follow-links takes it"
    assert photos["rose/nothing.png"][2] == "a link to nothing"
    assert photos["rose/loop.png"][2] == "a link to nothing"
    assert photos["rose/round"][2] == "a link to a folder"
    assert photos["iris"] == ("", "", "a link that leaves the folder; --follow-links takes it")
    assert photos["rose/within.png"] == ("rose", "", "")
    assert not any("secret" in name for name in photos)
    (tmp_path / "shortcut").symlink_to(garden)  # the source itself may be a link
    assert len(scan(tmp_path / "shortcut")) == len(photos)


def test_links_are_followed_on_request_and_each_folder_once(garden: Path, tmp_path: Path) -> None:
    outside = draw(tmp_path / "elsewhere" / "iris" / "far.png", 30).parent
    draw(tmp_path / "elsewhere" / "loose.png", 31)
    links = {
        garden / "iris": outside,
        garden / "lily": outside,
        garden / "rose" / "file.png": tmp_path / "elsewhere" / "loose.png",
        garden / "rose" / "nothing.png": tmp_path / "nothing.png",
        garden / "rose" / "round": garden,
        garden / "rose" / "up": tmp_path,
        garden / "tulip" / "roses": garden / "rose",
        outside / "back": garden / "tulip",
        outside / "circle": outside,
    }
    for link, target in links.items():
        link.symlink_to(target)
    photos = seen(scan(garden, follow_links=True), garden)
    assert {
        name: what for name, what in photos.items() if name.rsplit("/", 1)[-1] not in ("a.png", "b.png", "c.png")
    } == {
        "iris/far.png": ("iris", "", ""),
        "iris/back": ("iris", "", "a link to a folder"),
        "iris/circle": ("iris", "", "a folder that is listed already"),
        "lily": ("lily", "", "a folder that is listed already"),
        "rose/file.png": ("rose", "", ""),
        "rose/nothing.png": ("rose", "", "a link to nothing"),
        "rose/round": ("rose", "", "a link to a folder"),
        "rose/up/elsewhere/iris": ("rose", "", "a folder that is listed already"),
        "rose/up/elsewhere/loose.png": ("rose", "", ""),
        "rose/up/garden": ("rose", "", "a folder that is listed already"),
        "tulip/roses": ("tulip", "", "a link to a folder"),
    }
    assert len(photos) == 11 + 6


def test_followed_links_may_be_the_sides_of_a_split(garden: Path, tmp_path: Path) -> None:
    (tmp_path / "sides").mkdir()
    for side in ("train", "test"):
        (tmp_path / "sides" / side).symlink_to(garden)
    assert {p.split for p in scan(tmp_path / "sides", follow_links=True) if not p.problem} == {"test"}
    with pytest.raises(UserError, match="None of the 2 files"):
        scan(tmp_path / "sides")


def test_a_species_that_a_terminal_would_obey_stays_out(garden: Path) -> None:
    draw(garden / "li\x1b[2Jly" / "a.png", 30)
    photo = next(p for p in scan(garden) if p.label.startswith("li"))
    assert photo.problem == "a species with control characters in its name"


def test_copies_share_a_group_and_contradicting_copies_stay_out(garden: Path) -> None:
    shutil.copy(garden / "rose" / "a.png", garden / "rose" / "copy.png")
    shutil.copy(garden / "rose" / "b.png", garden / "tulip" / "wrong.png")
    photos = {p.path.relative_to(garden).as_posix(): p for p in scan(garden)}
    assert photos["rose/a.png"].group == photos["rose/copy.png"].group
    assert not photos["rose/copy.png"].problem
    assert photos["rose/b.png"].problem == "same bytes as tulip/wrong.png, labelled tulip"
    assert photos["tulip/wrong.png"].problem == "same bytes as rose/b.png, labelled rose"
    usable = [p for p in photos.values() if not p.problem]
    assert len({p.group for p in usable}) == len(usable) - 1


def test_names_in_any_script_and_either_normal_form(tmp_path: Path) -> None:
    for seed, species in enumerate(("薔薇", "Ro\u0308schen", "тюльпан 🌷")):
        draw(tmp_path / species / "ä.png", seed)
    assert {p.label for p in scan(tmp_path)} == {"薔薇", "R\u00f6schen", "тюльпан 🌷"}
    assert {p.label for p in scan(tmp_path, classes=["Ro\u0308schen", "薔薇"])} == {"薔薇", "R\u00f6schen"}


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
@pytest.mark.parametrize("name", [" ", "\u3000", "\r"])
def test_a_folder_without_a_name_is_no_species(garden: Path, name: str) -> None:
    draw(garden / name / "a.jpg", 77)
    (garden / name / "b.jpg").mkdir()
    assert {photo.problem for photo in scan(garden) if not photo.label} == {
        "in a folder whose name is blank",
        "is a folder, and empty",
    }


def test_a_name_that_is_no_unicode_at_all(garden: Path) -> None:
    odd = os.fsdecode(b"r\xf6se.png")
    draw(garden / "rose" / "plain.png", 40).rename(garden / "rose" / odd)
    assert [p.problem for p in scan(garden) if p.path.name == odd] == [""]


def test_only_the_wanted_species(garden: Path) -> None:
    draw(garden / "lily" / "a.png", 50)
    assert {p.label for p in scan(garden, classes=["lily", "rose"])} == {"lily", "rose"}
    with pytest.raises(UserError, match=r'no species "Roses" in .*did you mean rose'):
        scan(garden, classes=["Roses", "lily"])
    with pytest.raises(UserError, match=r'no species "xyz" in .*it has lily, rose, tulip'):
        scan(garden, classes=["xyz"])


def test_progress_counts_to_the_end(garden: Path) -> None:
    draw(garden / "loose.png", 60)  # known to be out of place without reading it
    calls: list[tuple[int, int]] = []
    scan(garden, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 6) for i in range(1, 7)]


def test_an_interrupt_is_not_held_up(garden: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(garden, progress=stop)


def test_a_table_of_photos(garden: Path) -> None:
    table = garden / "list.csv"
    table.write_text(
        "path,label,split,group\n"
        "rose/a.png,Rosa,train,plant 1\n"
        "rose/b.png,Rosa,val,\n"
        "rose/b.png,Rosa,val,\n"
        "tulip/a.png,Tulipa,,\n"
        "tulip/missing.png,Tulipa,,\n"
        f'"{garden / "tulip" / "b.png"}",Tulipa,test,\n'
        "tulip/c.png,,,\n",
        encoding="utf-8-sig",
    )
    photos = scan(table)
    assert [(p.path.name, p.label, p.split, p.problem) for p in photos] == [
        ("a.png", "Rosa", "train", ""),
        ("b.png", "Rosa", "val", ""),
        ("b.png", "Rosa", "val", "listed twice"),
        ("a.png", "Tulipa", "", ""),
        ("missing.png", "Tulipa", "", "no such file"),
        ("b.png", "Tulipa", "test", ""),
        ("c.png", "", "", "no label"),
    ]
    assert photos[0].group == "plant 1"
    assert photos[1].group == photos[1].sha256[:16]


def test_a_manifest_can_be_scanned_again(garden: Path, tmp_path: Path) -> None:
    shutil.copy(garden / "rose" / "b.png", garden / "tulip" / "wrong.png")
    photos = scan(garden)
    for place in (garden / "list.csv", tmp_path / "run.csv"):
        write_manifest(place, photos)
        assert scan(place) == photos


def groups(photos: list[Photo], root: Path) -> dict[str, str]:
    return {photo.path.relative_to(root).as_posix(): photo.group for photo in photos}


def test_photos_belong_together_by_what_an_expression_finds_in_their_paths(garden: Path) -> None:
    draw(garden / "rose" / "bed 7" / "x.png", 70)
    draw(garden / "tulip" / "bed 7 y.png", 71)
    plain = groups(scan(garden), garden)
    found = groups(scan(garden, group_by=r"bed \d"), garden)
    beds = {"rose/bed 7/x.png": "bed 7", "tulip/bed 7 y.png": "bed 7"}
    assert found == plain | beds  # where nothing is found, a photo stays alone
    assert groups(scan(garden, group_by=r"bed (\d)"), garden) == plain | dict.fromkeys(beds, "7")
    apart = groups(scan(garden, group_by=r"(.*)/bed \d"), garden)
    assert apart == plain | {"rose/bed 7/x.png": "rose", "tulip/bed 7 y.png": "tulip"}


def test_a_group_that_an_expression_finds_empty_counts_as_none(garden: Path) -> None:
    plain = groups(scan(garden), garden)
    found = groups(scan(garden, group_by=r"rose/(b|c)?"), garden)
    assert found == plain | {"rose/b.png": "b", "rose/c.png": "c"}


def test_an_expression_sees_nothing_above_the_photos(garden: Path) -> None:
    with pytest.raises(UserError, match="matches no path in"):
        scan(garden, group_by="garden")


def test_a_column_of_a_table_says_what_belongs_together(garden: Path) -> None:
    table = garden / "list.csv"
    table.write_text(
        "path,label,group,Plant\nrose/a.png,Rosa,g,p1\nrose/b.png,Rosa,g,p2\ntulip/a.png,Tulipa,h,p1\ntulip/b.png,Tulipa,,\n",
        encoding="utf-8",
    )
    photos = scan(table)
    alone = photos[3].sha256[:16]
    assert [photo.group for photo in photos] == ["g", "g", "h", alone]
    for name in ("plant", " PLANT "):
        assert [photo.group for photo in scan(table, group_by=name)] == ["p1", "p2", "p1", alone]
    assert [photo.group for photo in scan(table, group_by="^rose")] == ["rose", "rose", "h", alone]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("plant(", r"--group-by 'plant\(' is neither a column nor a regular expression \(.*unterminated"),
        ("plant", "--group-by 'plant' is no column of a CSV and matches no path in .*, for instance rose/a.png; write"),
        ("", "matches no path"),
    ],
)
def test_what_is_neither_a_column_nor_found_in_a_path_is_refused(garden: Path, what: str, message: str) -> None:
    write_manifest(garden / "list.csv", scan(garden))
    for source in (garden, garden / "list.csv"):
        with pytest.raises(UserError, match=message):
            scan(source, group_by=what)


def test_sources_that_cannot_be_used_are_named(tmp_path: Path, garden: Path) -> None:
    with pytest.raises(UserError, match=r"no folder or CSV .*nowhere"):
        scan(tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="void is empty"):
        scan(tmp_path / "void")
    with pytest.raises(UserError, match="no column path"):
        scan(garden / "rose" / "a.png")
    with pytest.raises(UserError, match=r"None of the 3 files .*a.png: not in a species folder"):
        scan(garden / "rose")
    with pytest.raises(UserError, match=r"single folder, garden, .* did you mean .*garden"):
        scan(tmp_path)
    shutil.rmtree(garden / "tulip")
    with pytest.raises(UserError, match=r"single species, rose: .* at least two"):
        scan(garden)
    (garden / "tulip").mkdir()
    (garden / "tulip" / "a.png").touch()
    with pytest.raises(UserError, match=r"single species, rose \(the first problem: a.png: empty file\)"):
        scan(garden)
