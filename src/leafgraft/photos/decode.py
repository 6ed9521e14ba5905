"""One photo file to pixels: upright RGB, the canvas that everything else works on, and its centre."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffTags, UnidentifiedImageError

from leafgraft.photos.limits import MEGAPIXELS, excess, too_many

CANVAS_SHORT = 256
"""Shorter side of a canvas, in pixels."""

CANVAS_LONG = 384
"""Largest longer side of a canvas, in pixels."""

SIDE = 224
"""Side of the square that the network sees, in pixels."""

SMALLEST_SIDE = 16
"""A photo with a side below this many pixels shows no plant."""

MEGABYTES = 500
"""Larger files are refused before reading."""

# Only these decoders are ever tried: Pillow's others include some that start programs (EPS) or were never hardened.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WebP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}

_OTHER_FILES = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"8BPS": "a Photoshop document",
    b"%!PS": "a PostScript document",
}

_STILLS = (b"avi", b"hei", b"hev", b"mif", b"msf")  # how the brands of HEIC and AVIF begin

_TAG_GROUPS = {*TiffTags.TAGS_V2_GROUPS}
_ORIENTATION = 0x0112  # EXIF tags
_CAMERA = 0x8769
_TAKEN = 0x9003

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_pillow_globals = threading.Lock()


class UnreadablePhoto(Exception):  # noqa: N818 - the name says what it means
    """A file that is no usable photo; the message is the plain reason, without the file's name."""


def open_photo(source: Path | BinaryIO, *, at_least: int | None = None) -> Image.Image:
    """Decode a photo completely.

    The format is recognised by content, whatever the name ends with: JPEG (and the MPO of phones), PNG, WebP, BMP, GIF
    and animated files (first frame), TIFF, HEIC and AVIF. Transparent parts turn white; 16-bit, 32-bit and float grey
    are scaled to 8 bits; CMYK and palettes are converted; the EXIF orientation is applied.

    Args:
        source: a path, or a binary file that is read from its current position to its end.
        at_least: when given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as the shorter side keeps
            this many pixels. All of the file is still read, so that damage is noticed.

    Returns:
        An upright image of mode "RGB".

    Raises:
        UnreadablePhoto: with the reason.
    """
    data = read_bytes(source) if isinstance(source, Path) else source.read()
    return decode(data, at_least=at_least)[0]


Picture = str | Path | BinaryIO | NDArray[np.uint8]
"""A photo as callers have it: a path, a binary file, or pixels in RGB, (h, w, 3)."""


def as_canvas(picture: Picture) -> NDArray[np.uint8]:
    """Bring a photo into the form of a canvas; pixels that may be one pass as they are.

    Raises:
        UnreadablePhoto: it is no photo; with the reason.
    """
    if not isinstance(picture, np.ndarray):
        return load_canvas(Path(picture) if isinstance(picture, str) else picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UnreadablePhoto(f"pixels must be uint8 (h, w, 3), not {picture.dtype} {picture.shape}")
    if min(picture.shape[:2]) in (SIDE, CANVAS_SHORT) and max(picture.shape[:2]) <= CANVAS_LONG:
        return picture
    return canvas(Image.fromarray(picture))


def load_canvas(source: Path | BinaryIO) -> NDArray[np.uint8]:
    """Decode a photo straight to its canvas, several times faster for large JPEGs than ``canvas(open_photo(source))``.

    Returns:
        uint8 (h, w, 3), as from `canvas`.

    Raises:
        UnreadablePhoto: with the reason.
    """
    # Twice the canvas leaves the last reduction to our own filter, which is sharper than the JPEG decoder's.
    return canvas(open_photo(source, at_least=2 * CANVAS_SHORT))


def canvas(image: Image.Image) -> NDArray[np.uint8]:
    """Shrink or enlarge a photo to the size that views are cut from.

    The shorter side becomes 256 pixels, the aspect is kept, and the longer side is cropped about its centre to at most
    384 pixels. Photos are shrunk by averaging areas, which takes a third of the time of the bicubic filter and served
    a probe as well (``docs/results.md``), and enlarged by the bicubic filter.

    Args:
        image: an upright image of mode "RGB", as from `open_photo`.

    Returns:
        uint8 (h, w, 3), C-contiguous, min(h, w) == 256, max(h, w) <= 384.
    """
    width, height = image.size
    scale = CANVAS_SHORT / min(width, height)
    # Cropping first keeps a long strip from being blown up to millions of pixels only to be cut away.
    size = (min(round(width * scale), CANVAS_LONG), min(round(height * scale), CANVAS_LONG))
    used = (min(size[0] / scale, width), min(size[1] / scale, height))
    left, top = (width - used[0]) / 2, (height - used[1]) / 2
    box = (left, top, left + used[0], top + used[1])
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    return np.array(image.resize(size, how, box=box, reducing_gap=3.0))


def centre(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut the central square out of a canvas.

    Args:
        canvas: uint8 (h, w, 3), both sides at least 224.

    Returns:
        uint8 (224, 224, 3), C-contiguous; the argument itself when it already has that shape.

    Raises:
        ValueError: a side is below 224.
    """
    height, width = canvas.shape[:2]
    if min(height, width) < SIDE:
        raise ValueError(f"a canvas of {width} x {height} pixels has no centre of {SIDE} x {SIDE}")
    if height == width == SIDE:
        return canvas
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    return np.ascontiguousarray(canvas[top : top + SIDE, left : left + SIDE])


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        UnreadablePhoto: it is missing, a folder, a device or a pipe, not permitted, or too large to be a photo.
    """
    try:
        if path.is_dir():
            raise UnreadablePhoto("is a folder")
        if path.exists() and not path.is_file():
            raise UnreadablePhoto("not a regular file")
        if (size := path.stat().st_size) > MEGABYTES * 10**6:
            raise UnreadablePhoto(f"{size // 10**6} MB: larger than the limit of {MEGABYTES} MB")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadablePhoto("no such file") from None
    except OSError as error:
        raise UnreadablePhoto(f"cannot be opened: {error.strerror or error}") from None
    except ValueError:  # a CSV may hold anything
        raise UnreadablePhoto("no such file: no file can have this name") from None


def decode(data: bytes, *, at_least: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Decode the bytes of a photo; see `open_photo`.

    Returns:
        The upright "RGB" image, and the upright (width, height) of the photo as stored, which is larger than the image
        when ``at_least`` allowed a reduced scale.

    Raises:
        UnreadablePhoto: with the reason.
    """
    image = _identify(data)
    width, height = image.size
    if reason := excess(image, data):
        raise UnreadablePhoto(reason)
    if min(width, height) < SMALLEST_SIDE:
        raise UnreadablePhoto(f"too small: {width}x{height}")
    try:
        if at_least:
            reduced = max(1, min(width, height) // at_least)
            image.draft(None, (max(1, width // reduced), max(1, height // reduced)))
        announced = image.size
        if image.format == "TIFF":  # else Pillow would read the tags while it loads, and warn of them
            with _quiet_pillow():
                exif = image.getexif()
                for group in _TAG_GROUPS & exif.keys():
                    exif.get_ifd(group)
        image.load()
        if image.size != announced:  # the box of a HEIC that tells the size is not where its decoder takes it from
            width, height = image.size
        with _quiet_pillow():
            turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
        rgb = _to_rgb(image)
    except (
        Exception
    ) as error:  # the decoders raise nearly everything: OSError, SyntaxError, struct.error, MemoryError...
        raise UnreadablePhoto(_why_not_decoded(error, image, data)) from None
    if turn is None:
        return rgb, (width, height)
    sideways = turn in (
        Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90
    )  # fmt: skip
    return rgb.transpose(turn), (height, width) if sideways else (width, height)


def dimensions(data: bytes) -> tuple[int, int]:
    """Width and height as a photo's header says, before the EXIF orientation; no pixel is decoded.

    Raises:
        UnreadablePhoto: with the reason.
    """
    width, height = _identify(data).size
    return width, height


def taken(data: bytes) -> float | None:
    """When the shutter was released, by the camera's clock, in seconds since 1970; None where the photo does not say.

    Args:
        data: the bytes of a photo that `decode` accepts.
    """
    try:
        image = _identify(data)
        with _quiet_pillow():
            text = str(image.getexif().get_ifd(_CAMERA).get(_TAKEN, ""))
        return datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except Exception:  # what cameras write there is anything but reliable
        return None


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings and set its size limit to ours while headers are parsed.

    Both are globals of the process, hence the lock and the short use; pixels are decoded outside.
    """
    with _pillow_globals, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MEGAPIXELS * 10**6  # Pillow warns above this and refuses above twice this
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _identify(data: bytes) -> ImageFile.ImageFile:
    """Read the header; the pixels stay undecoded."""
    if not data:
        raise UnreadablePhoto("empty file")
    formats = [*_FORMATS]
    try:
        with _quiet_pillow():
            if data[4:8] == b"ftyp" and data[8:12] not in (b"avif", b"avis"):
                from pi_heif import register_heif_opener

                register_heif_opener()
                formats.append("HEIF")
            return Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise UnreadablePhoto(_what_else(data)) from None
    except Image.DecompressionBombError as error:
        pixels = [int(word) for word in str(error).replace("(", " ").split() if word.isdigit()]
        raise UnreadablePhoto(too_many(pixels[0]) if pixels else "larger than the limit") from None
    except Exception as error:  # see decode
        raise UnreadablePhoto(_why_not_decoded(error, None, data)) from None


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to 8-bit RGB, transparency over white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_grey_to_bytes(image)).convert("RGB")
    if image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        if image.mode != "RGBA":
            image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))  # the same pixels as alpha_composite, in half of its memory
        return white
    return image.convert("RGB")


def _grey_to_bytes(image: Image.Image) -> NDArray[np.uint8]:
    """Scale 16-bit, 32-bit and float grey to 0-255.

    A 16-bit file uses the whole of 0-65535 by its definition. The 32-bit and float modes have no defined white, so the
    smallest of the usual ranges (0-1 for floats, 0-255, 0-65535) that holds all values is taken, and failing these the
    range of the values.
    """
    grey = np.asarray(image).astype(np.float32)
    np.nan_to_num(grey, copy=False, posinf=0.0, neginf=0.0)  # all in place: each copy is four bytes a pixel
    np.clip(grey, -1e38, 1e38, out=grey)  # so that differences fit into float32 too
    low, high = float(grey.min()), float(grey.max())
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    else:
        whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((white for white in whites if low >= 0.0 and high <= white), None)
        low, high = (low, high) if white is None else (0.0, white)
    grey -= low
    grey *= 255.0 / max(high - low, 1e-30)
    return np.rint(grey, out=grey).astype(np.uint8)


def _what_else(data: bytes) -> str:
    """Say what a file is that no decoder accepts."""
    for signature, name in _SIGNATURES.items():
        if data.startswith(signature):
            return f"damaged, cut off or an unusual kind of {name} file"
    for signature, name in _OTHER_FILES.items():
        if data.startswith(signature):
            return f"not an image: {name}"
    if data[4:8] == b"ftyp":
        kind = data[8:11]
        return "damaged or cut off HEIC or AVIF file" if kind in _STILLS else "not an image: a video"
    start = data[:2048]
    if not start.strip(b"\0"):
        return "not an image: only zero bytes"
    if b"<svg" in start:
        return "not a photo: a vector drawing (SVG)"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "not an image: a web page"
    text = start.decode("utf-8", errors="ignore")
    if b"\0" not in start and len(text.encode()) > len(start) - 4 and sum(map(str.isprintable, text)) > 0.7 * len(text):
        return "not an image: text"
    return "not an image, or of a format that is not read (JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC and AVIF are)"


def _why_not_decoded(error: Exception, image: Image.Image | None, data: bytes) -> str:
    """Put the failure of a decoder into plain words."""
    if isinstance(error, MemoryError):
        return "too large for the memory of this machine"
    text = " ".join(str(error).split())
    name = (
        image.format if image is not None else next((n for s, n in _SIGNATURES.items() if data.startswith(s)), "image")
    )
    if data.startswith(b"RIFF") and len(data) < (whole := int.from_bytes(data[4:8], "little") + 8):
        return f"cut off after {100 * len(data) // whole} % of its bytes"
    if any(sign in text.lower() for sign in ("truncated", "end of file", "not enough", "not large enough")):
        rows = _share_of_rows(image)
        return (
            f"cut off after {rows} % of the picture" if 0 < rows < 100 else f"cut off: the {name} file ends too early"
        )
    if "conversion" in text and "not supported" in text and image is not None:
        return f"colour mode {image.mode} cannot be read"
    return f"damaged {name} file" + (f": {text[:100]}" if text else "")


def _share_of_rows(image: Image.Image | None) -> int:
    """Percentage of rows that a failed decoder filled; rows after them are still zero."""
    core = getattr(image, "_im", None)  # the property `im` raises when there is none yet
    box = core.getbbox() if core is not None and hasattr(core, "getbbox") else None
    return 100 * box[3] // core.size[1] if core is not None and box else 0
