"""What is seen of photos: drawn ones, and plain ones whose look is known."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter, ImageOps

from leafgraft.audit.looks import looks
from leafgraft.errors import UserError
from leafgraft.photos.garden import draw

pytestmark = pytest.mark.quick


def saved(folder: Path, *images: Image.Image) -> list[Path]:
    """Write images without loss."""
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return paths


def test_a_plain_photo_is_plain(tmp_path: Path) -> None:
    seen = looks(saved(tmp_path, Image.new("RGB", (300, 200), (200, 100, 50)), Image.new("RGB", (40, 90))))
    grey = Image.new("RGB", (1, 1), (200, 100, 50)).convert("L").getpixel((0, 0))
    assert seen.grey.shape == (2, 64, 64)
    assert (seen.grey[0] == grey).all()
    assert (seen.border[0] == (200, 100, 50)).all()
    assert seen.brightness.tolist() == [grey, 0]
    assert seen.sharpness.tolist() == [0, 0]
    assert np.isnan(seen.taken).all()
    assert [array.dtype for array in (seen.grey, seen.border, seen.sharpness, seen.brightness, seen.taken)] == [
        np.uint8, np.float32, np.float32, np.float32, np.float64,
    ]  # fmt: skip


def test_the_border_is_seen_from_the_left_and_from_the_top(tmp_path: Path) -> None:
    image = draw("rose", 3, (320, 256))
    whole = looks(
        saved(tmp_path, image, ImageOps.mirror(image), ImageOps.flip(image), image.transpose(Image.Transpose.TRANSPOSE))
    )
    top, bottom, left, right = np.split(whole.border[0], 4)
    np.testing.assert_allclose(whole.border[1], np.concatenate([top[::-1], bottom[::-1], right, left]), atol=0.01)
    np.testing.assert_allclose(whole.border[2], np.concatenate([bottom, top, left[::-1], right[::-1]]), atol=0.01)
    np.testing.assert_allclose(whole.border[3], np.concatenate([left, right, top, bottom]), atol=0.01)
    pixels = np.asarray(image, np.float32)
    np.testing.assert_allclose(top[1], pixels[:16, 80:160].mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(right[3], pixels[192:, -16:].mean(axis=(0, 1)), rtol=1e-4)


def test_the_middle_of_a_photo_is_no_border(tmp_path: Path) -> None:
    image = draw("oak", 5, (256, 256))
    changed = image.copy()
    changed.paste((255, 0, 0), (16, 16, 240, 240))
    seen = looks(saved(tmp_path, image, changed))
    np.testing.assert_array_equal(seen.border[0], seen.border[1])
    assert (seen.grey[0] != seen.grey[1]).any()


def test_blur_is_seen_and_a_soft_ground_behind_a_sharp_plant_is_none(tmp_path: Path) -> None:
    sharp = draw("fern", 7, (320, 256))
    soft = sharp.filter(ImageFilter.GaussianBlur(4))
    half = sharp.copy()
    half.paste(soft.crop((0, 0, 200, 256)))
    seen = looks(saved(tmp_path, sharp, half, soft)).sharpness.tolist()
    assert seen[2] < 0.1 * seen[0]
    assert seen[1] > 0.5 * seen[0]


def test_sharpness_does_not_depend_on_the_size_of_the_file(tmp_path: Path) -> None:
    small = draw("dahlia", 2, (320, 256)).filter(ImageFilter.GaussianBlur(1.5))
    seen = looks(saved(tmp_path, small, small.resize((1280, 1024), Image.Resampling.BICUBIC))).sharpness
    assert seen[1] == pytest.approx(seen[0], rel=0.2)


def test_the_time_is_that_of_the_camera(tmp_path: Path) -> None:
    moments = [datetime(2024, 5, 4, 9, 0, 0), datetime(2024, 5, 4, 9, 1, 30), None, "0000:00:00 00:00:00"]
    paths = []
    for number, moment in enumerate(moments):
        exif = Image.Exif()
        if moment is not None:
            text = f"{moment:%Y:%m:%d %H:%M:%S}" if isinstance(moment, datetime) else moment
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = text
        paths.append(tmp_path / f"{number}.jpg")
        Image.new("RGB", (64, 48), "green").save(paths[-1], exif=exif)
    taken = looks(paths).taken
    assert taken[1] - taken[0] == 90
    assert np.isnan(taken[2:]).all()


def test_a_photo_is_looked_at_upright(tmp_path: Path) -> None:
    image = draw("sunflower", 4, (320, 256))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(tmp_path / "upright.png")
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    seen = looks([tmp_path / "upright.png", tmp_path / "turned.png"])
    np.testing.assert_array_equal(seen.grey[0], seen.grey[1])
    np.testing.assert_array_equal(seen.border[0], seen.border[1])


def test_strips_and_small_photos_are_seen_as_well(tmp_path: Path) -> None:
    strip = draw("maple", 1, (1600, 256)).resize((6000, 16))
    seen = looks(saved(tmp_path, strip, strip.transpose(Image.Transpose.ROTATE_90), draw("maple", 1, (16, 16))))
    assert (seen.sharpness > 0).all()
    assert (seen.brightness > 0).all()


def test_every_photo_counts_and_none_is_nothing(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    looks(saved(tmp_path, *[Image.new("RGB", (32, 32))] * 5), lambda *call: calls.append(call))
    assert calls == [("Looking at the photos", done, 5) for done in range(1, 6)]
    nothing = looks([], lambda *call: calls.append(call))
    assert len(calls) == 5
    assert [len(array) for array in (nothing.grey, nothing.border, nothing.taken)] == [0, 0, 0]


def test_a_photo_that_has_vanished_or_is_none_any_more_is_named(tmp_path: Path) -> None:
    paths = saved(tmp_path, *[Image.new("RGB", (32, 32))] * 3)
    paths[1].unlink()
    with pytest.raises(UserError) as vanished:
        looks(paths)
    assert str(vanished.value) == f"{paths[1]} cannot be read any more (no such file); run the command again."
    paths[1].write_text("Here was a photo.\n" * 20)
    with pytest.raises(UserError, match="not an image: text"):
        looks(paths)
