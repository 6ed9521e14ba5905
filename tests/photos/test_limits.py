from __future__ import annotations

import struct

import pytest
from PIL import Image

from leafgraft.photos.decode import UnreadablePhoto
from leafgraft.photos.limits import MEGAPIXELS
from photos_broken import encoded, opened, png_header


def test_size_is_refused_from_the_header_alone_and_pillow_keeps_its_own_limit() -> None:
    before = Image.MAX_IMAGE_PIXELS
    for width in (300_000, 90_000, 20_001):  # above, between and just above Pillow's thresholds and ours
        with pytest.raises(UnreadablePhoto, match=f"limit of {MEGAPIXELS} megapixels"):
            opened(png_header(width, 10_000))
    assert before == Image.MAX_IMAGE_PIXELS
    with pytest.raises(UnreadablePhoto, match=r"cut off|damaged PNG"):  # 100 are tried, and Pillow does not warn
        opened(png_header(10_000, 10_000) + bytes(100_000))


@pytest.mark.parametrize("name", ["GIF", "WEBP", "AVIF", "PNG"])
def test_a_large_picture_of_nothing_in_a_few_bytes_is_not_decoded(name: str) -> None:
    options = {"lossless": True} if name == "WEBP" else {}
    small, large = (encoded(Image.new("L", (4100, height)), name, **options) for height in (3900, 4100))
    assert opened(small).size == (4100, 3900)
    with pytest.raises(UnreadablePhoto, match=rf"^17 megapixels in only {len(large)} bytes: damaged or blank$"):
        opened(large)


def test_a_jpeg_of_countless_scans_is_not_decoded() -> None:
    data = encoded(Image.linear_gradient("L").resize((64, 48)).convert("RGB"), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert opened(data[:-2] + 80 * last + data[-2:]).size == (64, 48)
    with pytest.raises(UnreadablePhoto, match="more than 100 scans"):
        opened(data[:-2] + 100 * last + data[-2:])
    assert opened(data + 100 * last).size == (64, 48)  # what lies behind the photo is no part of it
    whole = encoded(Image.linear_gradient("L").resize((64, 48)).convert("RGB"), "JPEG")
    first = whole.rindex(b"\xff\xda")
    apart = b"\xff\xda\0\x08\1\1\0\0\x3f\0\xd2\xcf"  # one colour, as good as nothing
    with pytest.raises(UnreadablePhoto, match="more than 100 scans"):
        opened(whole[:first] + 101 * apart + b"\xff\xd9")
    maker = b"\xff\xe1" + (402).to_bytes(2, "big") + 200 * b"\xff\xda"  # what a camera wrote for itself
    assert opened(data[:2] + maker + data[2:]).size == (64, 48)


def test_a_large_bmp_in_runs_is_not_decoded() -> None:
    def bitmap(width: int, height: int, runs: bytes) -> bytes:
        sizes = (0, 0, 1078, 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
        header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", *sizes)
        return header + bytes(1024) + runs + b"\0\1"

    assert opened(bitmap(64, 16, b"\x40\1\0\0" * 16)).size == (64, 16)
    for large in (bitmap(2001, 2000, b"\x40\1"), bitmap(64, 16, b"\1\1" * 2_000_000)):
        with pytest.raises(UnreadablePhoto, match="a large BMP in run-length encoding"):
            opened(large)
