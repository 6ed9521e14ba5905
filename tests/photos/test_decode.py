from __future__ import annotations

import io
import os
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from leafgraft.photos.decode import (
    CANVAS_SHORT,
    SIDE,
    UnreadablePhoto,
    canvas,
    centre,
    decode,
    dimensions,
    load_canvas,
    open_photo,
    taken,
)
from photos_broken import HEIC, PROBLEMS, encoded, opened, png_header, write_broken

DATA = Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    return Image.open(DATA / "chelsea.png").convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())


FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {"quality": 95}),
    ("JPEG", {"quality": 95, "progressive": True}),
    ("MPO", {"quality": 95, "save_all": True, "append_images": [Image.new("RGB", (64, 64))]}),
    ("PNG", {}),
    ("WEBP", {"quality": 95}),
    ("WEBP", {"lossless": True}),
    ("BMP", {}),
    ("GIF", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "jpeg"}),
    ("AVIF", {"quality": 90}),
]


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_every_format_shows_the_same_cat(cat: Image.Image, name: str, options: dict[str, Any]) -> None:
    image = opened(encoded(cat, name, **options))
    assert image.mode == "RGB"
    assert difference(image, cat) < 5


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_a_file_cut_off_in_the_middle_is_never_half_a_photo(
    cat: Image.Image, name: str, options: dict[str, Any]
) -> None:
    data = encoded(cat, name, **options)
    if name == "MPO":  # cut within the first picture; what follows it is of no interest
        data = data[: data.index(b"\xff\xd9\xff\xd8")]
    with pytest.raises(UnreadablePhoto, match=r"cut off|damaged"):
        opened(data[: len(data) * 6 // 10])


def test_heic_of_phones_is_read_and_its_truncation_noticed() -> None:
    image = opened(HEIC)
    assert image.size == (29, 100)
    assert np.abs(np.asarray(image)[:, :, 1].mean(axis=1) - np.linspace(0, 255, 100)).max() < 4
    with pytest.raises(UnreadablePhoto, match="cut off"):
        opened(HEIC[:800])


def test_a_heic_is_as_large_as_its_pixels_whatever_its_header_says() -> None:
    height = HEIC.index(b"clap") + 12  # of the part that is to be shown, in a picture of 64 x 100
    forged = HEIC[:height] + (200).to_bytes(4, "big") + HEIC[height + 4 :]
    assert dimensions(forged) == (29, 200)
    image, told = decode(forged)
    assert image.size == told == (29, 100)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(cat: Image.Image, mode: str) -> None:
    small = cat.resize((90, 60))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(small.convert("L")).astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(np.asarray(small.convert("L")).astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(np.asarray(small.convert("L")).astype(np.float32) / 255)
    else:
        image = small.convert("RGBA" if mode == "PA" else "RGB").convert(mode)
    read = opened(encoded(image, "PNG" if mode in ("1", "L", "P", "LA", "RGBA", "I;16") else "TIFF"))
    assert read.mode == "RGB"
    grey = mode in ("1", "L", "LA", "I;16", "I", "F")
    expected = small.convert("L").convert("RGB") if grey else small
    # One bit and a palette are coarse, but the picture as a whole stays as bright.
    assert difference(read.resize((6, 4), Image.Resampling.BOX), expected.resize((6, 4), Image.Resampling.BOX)) < 6


@pytest.mark.parametrize("values", [(0, 1000, 70000), (-5, 0, 5), (7, 7, 7), (0, 0, 0)])
def test_integers_of_any_range_stay_within_a_byte(values: tuple[int, ...]) -> None:
    image = Image.fromarray(np.resize(np.array(values, np.int32), (20, 20)))
    read = np.asarray(opened(encoded(image, "TIFF")))[0, :3, 0]
    assert list(np.argsort(read, kind="stable")) == [0, 1, 2]


def test_floats_that_are_no_numbers_turn_black() -> None:
    grey = np.full((20, 20), 0.5, np.float32)
    grey[0, :3] = np.nan, np.inf, -np.inf
    read = np.asarray(opened(encoded(Image.fromarray(grey), "TIFF")))[:, :, 0]
    assert read[0, :3].tolist() == [0, 0, 0]
    assert read[1, 1] == 128


@pytest.mark.parametrize("values", [(-3e38, 0.0, 3e38), (-3e38, 3e38, 3e38), (-1e-45, 0.0, 0.0), (-2.0, 3.0, 8.0)])
def test_floats_of_any_range_stay_within_a_byte(values: tuple[float, ...]) -> None:
    image = Image.fromarray(np.resize(np.array(values, np.float32), (20, 21)))
    read = np.asarray(opened(encoded(image, "TIFF")))[0, :3, 0]
    assert list(np.argsort(read, kind="stable")) == [0, 1, 2]


def test_transparency_turns_white(cat: Image.Image) -> None:
    image = cat.resize((40, 40)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 20, 40))
    for data in (
        encoded(image, "PNG"),
        encoded(image, "WEBP", lossless=True),
        encoded(image.convert("LA"), "PNG"),
        encoded(image.quantize(32), "PNG"),
        encoded(Image.new("L", (40, 40)), "PNG", transparency=0),
    ):
        assert np.asarray(opened(data))[:, :20].min() == 255


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured(cat: Image.Image, orientation: int, name: str) -> None:
    small = cat.resize((90, 60))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(small, name, exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    image, size = decode(data, at_least=30)
    assert size == upright.size == ((90, 60) if orientation < 5 else (60, 90))
    assert difference(image.resize(size), upright) < 8
    assert difference(opened(data), upright) < 1


def test_an_orientation_that_does_not_exist_is_ignored(cat: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert opened(encoded(cat, "JPEG", exif=exif)).size == cat.size


@pytest.mark.parametrize("name", PROBLEMS)
def test_broken_files_are_read_or_named(tmp_path: Path, cat: Image.Image, name: str) -> None:
    path = write_broken(tmp_path, cat)[name]
    if PROBLEMS[name]:
        with pytest.raises(UnreadablePhoto, match=f"^{PROBLEMS[name]}"):
            load_canvas(path)
    else:
        expected = cat.convert("L").convert("RGB") if name == "grey16.png" else cat
        assert difference(open_photo(path), expected) < 6
        assert load_canvas(path).shape == (CANVAS_SHORT, 384, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"PK\x03\x04 ...", "a ZIP archive"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "a PostScript"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (bytes(4096), "only zero bytes"),
        (bytes(range(256)) * 8, "not an image"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"", "empty file"),
    ],
)
def test_what_is_no_photo_is_called_by_its_name(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePhoto, match=reason):
        opened(data)


def test_the_share_that_is_left_of_a_photo_is_told(cat: Image.Image) -> None:
    data = encoded(cat, "PNG")
    with pytest.raises(UnreadablePhoto) as caught:
        opened(data[: len(data) * 7 // 10])
    share = int(str(caught.value).removeprefix("cut off after ").removesuffix(" % of the picture"))
    assert 50 < share < 90


def test_transparency_over_white_is_the_sum_of_both() -> None:
    values = np.zeros((256, 256, 4), np.uint8)  # every shade with every opacity
    values[..., :3] = np.arange(256)[None, :, None]
    values[..., 3] = np.arange(256)[:, None]
    image = Image.fromarray(values)
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert difference(opened(encoded(image, "PNG")), expected) == 0


def test_warnings_of_pillow_do_not_reach_the_user(cat: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(cat, "JPEG", exif=exif)
    spoilt = data.replace(exif.tobytes()[-12:], b"\xff" * 12, 1)
    assert spoilt != data
    with pytest.warns(UserWarning, match="Tag data"):
        Image.open(io.BytesIO(spoilt)).getexif()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        opened(spoilt)
    assert not seen


def test_warnings_of_tags_that_are_read_with_the_pixels_do_not_reach_the_user_either(cat: Image.Image) -> None:
    data = bytearray(encoded(cat, "TIFF", description="a cat", compression="tiff_lzw"))
    place = data.index(struct.pack("<HHI", 270, 2, 6)) + 4
    data[place : place + 4] = b"\xff\xff\xff\x7f"  # characters of the description
    with pytest.warns(UserWarning, match="Tag data"):
        Image.open(io.BytesIO(data)).load()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert difference(opened(bytes(data)), cat) == 0
    assert not seen


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePhoto, match="no such file"):
        load_canvas(tmp_path / "missing.jpg")
    with pytest.raises(UnreadablePhoto, match="is a folder"):
        load_canvas(tmp_path)
    with pytest.raises(UnreadablePhoto, match="cannot be opened: File name too long"):
        load_canvas(tmp_path / ("x" * 5000))
    with pytest.raises(UnreadablePhoto, match="no file can have this name"):
        load_canvas(tmp_path / "nul\0.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(UnreadablePhoto, match="not a regular file"):
            load_canvas(tmp_path / "pipe.jpg")


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"
    with path.open("wb") as file:
        file.truncate(10**10)  # sparse: takes no room
    with pytest.raises(UnreadablePhoto, match="10000 MB: larger than the limit"):
        load_canvas(path)


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"]),
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    share=st.floats(0, 1),
)
def test_no_damage_raises_anything_else(name: str, places: list[tuple[float, int]], share: float) -> None:
    data = bytearray(encoded(Image.linear_gradient("L").resize((40, 30)).convert("RGB"), name))
    for place, value in places:
        data[int(place * len(data))] = value
    try:
        image = opened(bytes(data[: round(share * len(data))]))
    except UnreadablePhoto:
        return
    assert image.mode == "RGB"


@settings(deadline=None, max_examples=60)
@given(width=st.integers(16, 900), height=st.integers(16, 900))
def test_a_canvas_has_its_size_and_keeps_the_aspect(width: int, height: int) -> None:
    result = canvas(Image.new("RGB", (width, height), (10, 200, 30)))
    tall, wide = result.shape[:2]
    assert result.dtype == np.uint8
    assert result.flags["C_CONTIGUOUS"]
    assert min(tall, wide) == CANVAS_SHORT
    assert max(tall, wide) <= 384
    assert abs(max(tall, wide) - min(384, CANVAS_SHORT * max(width, height) / min(width, height))) <= 0.5
    assert (result == (10, 200, 30)).all()


def test_a_long_strip_is_cropped_about_its_centre() -> None:
    strip = np.zeros((20, 20_000, 3), np.uint8)
    strip[:, 9_990:10_010] = 255
    result = canvas(Image.fromarray(strip))
    assert result.shape == (256, 384, 3)
    assert (result == result[:, ::-1]).all()
    assert result[128, 192].min() > 250
    assert result[128, 10].max() == 0


def test_a_reduced_jpeg_gives_nearly_the_same_canvas(tmp_path: Path, cat: Image.Image) -> None:
    large = cat.resize((2706, 1800), Image.Resampling.BICUBIC)
    path = tmp_path / "large.jpg"
    large.save(path, quality=95)
    image, size = decode(path.read_bytes(), at_least=512)
    assert size == large.size
    assert 512 <= min(image.size) < 1800
    whole = canvas(open_photo(path)).astype(np.float32)
    assert np.abs(load_canvas(path) - whole).mean() < 1.0


def test_centre_cuts_the_middle_and_leaves_a_finished_view_alone() -> None:
    array = np.random.default_rng(0).integers(0, 256, (256, 341, 3), dtype=np.uint8)
    assert (centre(array) == array[16:240, 58:282]).all()
    assert centre(array).flags["C_CONTIGUOUS"]
    view = np.ascontiguousarray(array[:SIDE, :SIDE])
    assert centre(view) is view
    with pytest.raises(ValueError, match="100 x 300"):
        centre(np.zeros((300, 100, 3), np.uint8))


def shot(when: str | None, name: str = "JPEG", camera: int = 0x9003) -> bytes:
    """A photo whose camera wrote when it was taken."""
    exif = Image.Exif()
    exif[0x0132] = "2001:01:01 00:00:00"  # when the file was last changed, which says nothing
    if when is not None:
        exif.get_ifd(0x8769)[camera] = when
    return encoded(Image.new("RGB", (32, 24), "green"), name, exif=exif)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_when_a_photo_was_taken_is_read_from_its_exif(name: str) -> None:
    expected = datetime(2024, 5, 17, 9, 30, 15, tzinfo=UTC).timestamp()
    assert taken(shot("2024:05:17 09:30:15", name)) == expected
    assert taken(shot("2024:05:17 09:30:45", name)) == expected + 30


@pytest.mark.parametrize(
    "when",
    [None, "", " ", "0000:00:00 00:00:00", "    :  :     :  :  ", "2024-05-17", "yesterday", "2024:13:45 99:00:00"],
)
def test_a_camera_that_does_not_know_the_time_is_not_believed(when: str | None) -> None:
    assert taken(shot(when)) is None


def test_what_some_cameras_add_to_the_time_does_no_harm() -> None:
    assert taken(shot("2024:05:17 09:30:15\0 ")) == taken(shot(" 2024:05:17 09:30:15")) == 1715938215


def test_when_a_file_was_scanned_is_not_when_its_photo_was_taken() -> None:
    assert taken(shot("2024:05:17 09:30:15", camera=0x9004)) is None


@pytest.mark.parametrize("data", [b"", b"no photo", png_header(30, 20)])
def test_what_is_no_photo_was_never_taken(data: bytes) -> None:
    assert taken(data) is None
    assert taken(shot("2024:05:17 09:30:15")[:100]) is None


def test_many_threads_decode_at_once(tmp_path: Path, cat: Image.Image) -> None:
    paths = list(write_broken(tmp_path, cat).values())

    def outcome(path: Path) -> str:
        try:
            return str(load_canvas(path).sum())
        except UnreadablePhoto as reason:
            return str(reason)

    alone = [outcome(path) for path in paths]
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, paths * 5)) == alone * 5
    assert list(warnings.filters) == filters
