from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leafgraft.errors import UserError
from leafgraft.photos import Augmentation, Photo, scan
from leafgraft.photos.dataset import CENTRE, Dataset

pytestmark = pytest.mark.quick


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two species of three photos of noise each."""
    chance = np.random.default_rng(0)
    for name in ("iris", "rose"):
        (tmp_path / name).mkdir()
        for number in range(3):
            noise = chance.integers(0, 256, (40, 60, 3), np.uint8)
            Image.fromarray(noise).resize((300, 200)).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_labels_follow_the_classes(folder: Path) -> None:
    data = Dataset.of_photos(scan(folder), ["rose", "iris"])
    assert data.labels.tolist() == [1, 1, 1, 0, 0, 0]
    part = data.subset(np.array([4, 0]))
    assert part.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(part.canvas(0), data.canvas(4))


def test_a_view_is_determined_by_content_and_number(folder: Path) -> None:
    data = Dataset.of_photos(scan(folder), ["iris", "rose"])
    again = Dataset.of_photos(scan(folder)[::-1], ["iris", "rose"])
    a = data.views(0, [CENTRE, 0, 1], Augmentation())
    b = again.views(5, [1, 0, CENTRE], Augmentation())
    for view, same in zip(a, b[::-1], strict=True):
        np.testing.assert_array_equal(view, same)
    assert not np.array_equal(a[1], a[2])
    assert not np.array_equal(a[1], data.views(1, [0], Augmentation())[0])


def test_a_photo_that_changed_or_went_is_named(folder: Path) -> None:
    data = Dataset.of_photos(scan(folder), ["iris", "rose"])
    Image.new("RGB", (50, 50)).save(folder / "iris" / "0.png")
    with pytest.raises(UserError, match=r"0\.png has changed since it was scanned"):
        data.canvas(0)
    (folder / "iris" / "1.png").unlink()
    with pytest.raises(UserError, match=r"1\.png cannot be read any more \(no such file\)"):
        data.canvas(1)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=40),
    fraction=st.floats(0.05, 0.6),
    seed=st.integers(0, 5),
)
def test_dividing_keeps_groups_whole(groups: list[tuple[int, int]], fraction: float, seed: int) -> None:
    groups = [*groups, (0, 10), (0, 11), (1, 10), (1, 11)]
    photos = [
        Photo(Path(str(i)), "ab"[label], sha256=str(i), group=f"{label} {group}")
        for i, (label, group) in enumerate(groups)
    ]
    data = Dataset.of_photos(photos, ["a", "b"])
    rest, part = data.divide(fraction, seed)
    assert not set(rest.groups) & set(part.groups)
    assert sorted(rest.keys + part.keys) == sorted(data.keys)
    assert set(rest.labels) == set(part.labels) == {0, 1}


def test_a_single_group_cannot_be_divided() -> None:
    data = Dataset.of_arrays(np.zeros((2, 224, 224, 3), np.uint8), np.array([0, 1]), ["a", "b"])
    with pytest.raises(UserError, match="a has too few photos for a part of them to be held out"):
        data.divide(0.5, 0)
