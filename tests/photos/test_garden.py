from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leafgraft.errors import UserError
from leafgraft.photos.garden import SPECIES, STRANGERS, draw, grow
from leafgraft.photos.garden.lsystem import rewrite, walk


def test_ten_species_and_two_strangers_have_distinct_folder_names() -> None:
    names = SPECIES + STRANGERS
    assert (len(SPECIES), len(STRANGERS)) == (10, 2)
    assert len(set(names)) == 12
    assert all(name.isalpha() and name.islower() for name in names)


@pytest.mark.parametrize("species", SPECIES + STRANGERS)
def test_same_seed_same_photo_other_seed_other_photo(species: str) -> None:
    first = draw(species, 7)
    assert first.tobytes() == draw(species, 7).tobytes()
    other = draw(species, 8, first.size)
    assert np.abs(np.asarray(first, float) - np.asarray(other, float)).mean() > 5


def test_another_process_draws_the_same() -> None:
    code = (
        "import hashlib; from leafgraft.photos.garden import draw;"
        "print(hashlib.sha256(draw('fern', 3).tobytes()).hexdigest())"
    )
    # -I: independent of this process's environment, in particular of its hash seed.
    there = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert there == hashlib.sha256(draw("fern", 3).tobytes()).hexdigest()


@pytest.mark.parametrize("species", SPECIES + STRANGERS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 64), (301, 33)])
def test_small_and_odd_sizes(species: str, size: tuple[int, int]) -> None:
    image = draw(species, 1, size)
    assert (image.size, image.mode) == (size, "RGB")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SPECIES + STRANGERS), st.integers(0, 2**63), st.integers(24, 200), st.integers(24, 200))
def test_any_seed_gives_a_picture(species: str, seed: int, width: int, height: int) -> None:
    image = draw(species, seed, (width, height))
    assert (image.size, image.mode) == ((width, height), "RGB")
    assert np.asarray(image).std() > 1


def test_photos_differ_in_shape_and_brightness() -> None:
    photos = [draw("rose", seed) for seed in range(24)]
    assert len({photo.size for photo in photos}) > 3
    assert np.std([np.asarray(photo).mean() for photo in photos]) > 10


def test_colour_does_not_tell_the_species() -> None:
    """The mean colour, the poorest of cues, must not come near naming one of ten."""
    colours = np.array([[np.asarray(draw(s, k, (64, 64))).mean((0, 1)) for k in range(30)] for s in SPECIES])
    train, test = colours[:, :20], colours[:, 20:]
    distance = np.linalg.norm(test[:, :, None] - train.mean(1)[None, None], axis=-1)
    right = (distance.argmin(-1) == np.arange(10)[:, None]).mean()
    assert right < 0.4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("triffid", 0), "triffid"), (("rose", -1), "-1"), (("rose", 0, (0, 20)), "0 x 20")],
)
def test_draw_refuses_what_it_cannot_draw(arguments: tuple[str, int], named: str) -> None:
    with pytest.raises(UserError, match=named):
        draw(*arguments)


def test_grow_writes_the_tree_and_reports_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = grow(
        tmp_path / "new" / "garden", per_species=2, seed=5, progress=lambda done, total: seen.append((done, total))
    )
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {str(Path(s) / f"{s}_000{k}.jpg") for s in SPECIES for k in (1, 2)} | {"garden.json"}
    assert seen == [(k, 20) for k in range(1, 21)]
    with Image.open(folder / "oak" / "oak_0001.jpg") as photo:
        assert (photo.format, photo.mode) == ("JPEG", "RGB")
    marker = json.loads((folder / "garden.json").read_text())
    assert (marker["seed"], marker["per_species"], marker["finished"]) == (5, 2, True)


def test_a_finished_garden_is_used_again_and_another_is_grown_anew(tmp_path: Path) -> None:
    grow(tmp_path, per_species=2, strangers=True)
    photo = tmp_path / "tulip" / "tulip_0001.jpg"
    photo.write_bytes(b"recognisable")
    grow(tmp_path, per_species=2, strangers=True)
    assert photo.read_bytes() == b"recognisable"

    grow(tmp_path, per_species=1, seed=1, strangers=True)
    assert photo.read_bytes() != b"recognisable"
    assert sorted(path.name for path in tmp_path.rglob("*.jpg")) == ["pineapple_0001.jpg", "tulip_0001.jpg"]


def test_a_garden_with_a_lost_photo_or_broken_off_is_grown_again(tmp_path: Path) -> None:
    grow(tmp_path, per_species=1, strangers=True)
    whole = (tmp_path / "tulip" / "tulip_0001.jpg").read_bytes()
    (tmp_path / "tulip" / "tulip_0001.jpg").unlink()
    grow(tmp_path, per_species=1, strangers=True)
    assert (tmp_path / "tulip" / "tulip_0001.jpg").read_bytes() == whole

    class Stop(Exception):  # noqa: N818
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        grow(tmp_path, per_species=1, seed=9, strangers=True, progress=stop)
    assert not json.loads((tmp_path / "garden.json").read_text())["finished"]
    grow(tmp_path, per_species=1, strangers=True)
    assert (tmp_path / "tulip" / "tulip_0001.jpg").read_bytes() == whole


def test_gardens_of_different_seeds_share_no_photo(tmp_path: Path) -> None:
    one, two = (grow(tmp_path / str(s), per_species=3, seed=s, strangers=True) for s in (0, 1))
    photos = [path.read_bytes() for folder in (one, two) for path in folder.rglob("*.jpg")]
    assert len(set(photos)) == len(photos) == 12


def test_grow_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match="something other than a garden"):
        grow(tmp_path, per_species=1)
    with pytest.raises(UserError, match="is a file"):
        grow(tmp_path / "holiday.jpg", per_species=1)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_grow_never_removes_a_file_that_it_did_not_draw(tmp_path: Path) -> None:
    grow(tmp_path, per_species=1, strangers=True)
    mine = tmp_path / "tulip" / "mine.jpg"
    mine.write_bytes(b"mine")
    with pytest.raises(UserError, match="tulip holds files"):
        grow(tmp_path, per_species=2, strangers=True)
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(("per_species", "seed", "named"), [(0, 0, "0"), (10_000, 0, "10000"), (1, -3, "-3")])
def test_grow_refuses_numbers_out_of_range(tmp_path: Path, per_species: int, seed: int, named: str) -> None:
    with pytest.raises(UserError, match=f"is {named};"):
        grow(tmp_path / "garden", per_species, seed)
    assert not (tmp_path / "garden").exists()


def test_rewriting_gives_lindenmayers_algae() -> None:
    """The first example of the book: the lengths are Fibonacci's numbers."""
    assert [rewrite("B", {"A": "AB", "B": "A"}, n) for n in range(5)] == ["B", "A", "AB", "ABA", "ABAAB"]


def test_the_turtle_returns_to_the_branching_point() -> None:
    skeleton = walk("F[+FL]FX", np.random.default_rng(0), heading=0.0, step=1.0, angle=1.0, shrink=0.5)
    (x0, y0, x1, y1, _), branch, (x2, y2, x3, y3, length) = skeleton.segments
    assert (x0, y0, x1, y1) == (0, 0, 1, 0)
    assert branch[:2] == (1, 0)
    assert (x2, y2, x3, y3, length) == (1, 0, 1.5, 0, 0.5)
    assert skeleton.organs["X"] == [(1.5, 0, 0.0, 0.25)]
    assert len(skeleton.organs["L"]) == 1
