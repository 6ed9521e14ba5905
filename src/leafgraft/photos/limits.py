"""Pictures that would take too much memory or time to decode, recognised by their headers."""

from __future__ import annotations

import re

from PIL import ImageFile

MEGAPIXELS = 200
"""Larger photos are refused; the largest phone cameras reach 200 megapixels."""

EMPTY_MEGAPIXELS = 16
"""Larger photos are refused if they have fewer bytes than one for a thousand pixels."""

# A camera's file has a byte for some ten pixels, and the worst one of use for some hundred; what claims thousands is
# blank, or made to fill the memory: an animated WebP of 2 KB with a forged size took 3 GB.
PIXELS_PER_BYTE = 1000

SCANS = 100
"""JPEGs of more scans are refused, as libtiff does: each takes a pass over all of the picture, of a few bytes."""

RUNS = 4 * 10**6
"""BMPs in run-length encoding of more pixels or bytes are refused: Pillow decodes them in Python, run by run."""

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # kinds of markers in a JPEG
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_END = 0xD9
_SCAN = 0xDA
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # with a length behind it


def excess(image: ImageFile.ImageFile, data: bytes) -> str:
    """Say why a picture is not to be decoded.

    Args:
        image: what Pillow made of the header.
        data: the file.

    Returns:
        The reason in plain words; "" if it may be decoded.
    """
    pixels = image.size[0] * image.size[1]
    if pixels > MEGAPIXELS * 10**6:
        return too_many(pixels)
    if pixels > max(EMPTY_MEGAPIXELS * 10**6, PIXELS_PER_BYTE * len(data)):
        return f"{round(pixels / 1e6)} megapixels in only {len(data)} bytes: damaged or blank"
    if data.startswith(b"\xff\xd8") and _scans(data) > SCANS:
        return f"a JPEG of more than {SCANS} scans, which would take too long"
    if "bmp_rle" in {tile[0] for tile in image.tile} and max(pixels, len(data)) > RUNS:
        return "a large BMP in run-length encoding, which would take too long"
    return ""


def too_many(pixels: int) -> str:
    """Say that there are more pixels than are decoded."""
    return f"{round(pixels / 1e6)} megapixels: larger than the limit of {MEGAPIXELS} megapixels"


def _scans(data: bytes) -> int:
    """How many scans the first picture of a JPEG has that are decoded; only more than `SCANS` are counted exactly."""
    scans, place, components, several = 0, 2, b"", False
    while (marker := _MARKER.search(data, place)) and data[marker.start() + 1] != _END:
        kind, place = data[marker.start() + 1], marker.end()
        if kind in _FRAMES:
            components, several = data[place + 7 : place + 8], kind in _PROGRESSIVE
        elif kind == _SCAN:
            scans += 1
            several |= data[place + 2 : place + 3] != components
            # Nearly all photos have a single scan with all colours. Of others the pairs of bytes that look like the
            # beginning of a scan are counted, which is fast, and the film behind the photo of a phone may have many.
            if scans == 1 and (not several or data.count(b"\xff\xda", place) < SCANS):
                return 1
        place += int.from_bytes(data[place : place + 2], "big")
    return scans
