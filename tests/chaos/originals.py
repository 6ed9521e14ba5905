"""Small healthy pictures in every kind of file that is read, for mutants to come from."""

from __future__ import annotations

import functools
import io
import struct
import zlib

import numpy as np
from PIL import Image

from photos_broken import HEIC


@functools.cache
def originals() -> dict[str, bytes]:
    """The files by name, which begins with the format; always the same for the same Pillow."""
    grain = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    rgb = Image.fromarray(grain).resize((48, 40), Image.Resampling.BICUBIC)
    grey, clear = rgb.convert("L"), rgb.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:17 09:30:15"
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    real = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    return {
        "JPEG": _saved(rgb, "JPEG"),
        "JPEG large": _saved(rgb.resize((960, 800), Image.Resampling.BICUBIC), "JPEG", quality=10),
        "JPEG progressive": _saved(rgb, "JPEG", progressive=True, exif=exif),
        "JPEG CMYK": _saved(rgb.convert("CMYK"), "JPEG"),
        "JPEG grey": _saved(grey, "JPEG", restart_marker_blocks=2),
        "JPEG MPO": _saved(rgb, "MPO", save_all=True, append_images=turned(rgb)),
        "PNG": _saved(rgb, "PNG", exif=exif),
        "PNG clear": _saved(clear, "PNG"),
        "PNG palette": _saved(clear.quantize(16), "PNG"),
        "PNG bits": _saved(rgb.convert("1"), "PNG", transparency=0),
        "PNG 16": _saved(deep, "PNG"),
        "PNG animated": _saved(rgb, "PNG", save_all=True, append_images=turned(rgb)),
        "PNG interlaced": _interlaced(np.asarray(grey)),
        "WebP": _saved(rgb, "WEBP", exif=exif),
        "WebP lossless": _saved(rgb.quantize(8).convert("RGB"), "WEBP", lossless=True),
        "WebP clear": _saved(clear, "WEBP"),
        "WebP animated": _saved(clear, "WEBP", save_all=True, append_images=turned(rgb)),
        "GIF": _saved(rgb, "GIF"),
        "GIF animated": _saved(clear, "GIF", save_all=True, append_images=turned(rgb), disposal=2),
        "BMP": _saved(rgb, "BMP"),
        "BMP palette": _saved(rgb.quantize(16), "BMP"),
        "BMP bits": _saved(rgb.convert("1"), "BMP"),
        "BMP clear": _saved(clear, "BMP"),
        "BMP runs": _run_lengths(),
        "TIFF": _saved(rgb, "TIFF", exif=exif),
        "TIFF LZW": _saved(rgb, "TIFF", compression="tiff_lzw"),
        "TIFF deflate": _saved(clear, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF JPEG": _saved(rgb, "TIFF", compression="jpeg"),
        "TIFF PackBits": _saved(rgb.quantize(16), "TIFF", compression="packbits"),
        "TIFF fax": _saved(rgb.convert("1"), "TIFF", compression="group4"),
        "TIFF CMYK": _saved(rgb.convert("CMYK"), "TIFF"),
        "TIFF 16": _saved(deep, "TIFF", big_tiff=True),
        "TIFF float": _saved(real, "TIFF"),
        "TIFF pages": _saved(rgb, "TIFF", save_all=True, append_images=turned(rgb)),
        "AVIF": _saved(rgb, "AVIF", exif=exif),
        "AVIF clear": _saved(clear, "AVIF"),
        "AVIF animated": _saved(rgb, "AVIF", save_all=True, append_images=turned(rgb)),
        "HEIC": HEIC,
        "HEIC other brand": HEIC[:8] + b"mif1" + HEIC[12:],
    }


def turned(image: Image.Image) -> list[Image.Image]:
    """More frames; new ones each time, as Pillow keeps the settings of one format in them for the next."""
    return [image.rotate(90), image.rotate(180)]


def _saved(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _interlaced(grey: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """A PNG in the seven passes of Adam7, which Pillow reads but does not write."""
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    lines = (b"\0" + line.tobytes() for y, down, x, across in passes for line in grey[y::down, x::across])
    height, width = grey.shape
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)),
        (b"IDAT", zlib.compress(b"".join(lines))),
    ]
    body = (
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _run_lengths() -> bytes:
    """A BMP in run-length encoding, which Pillow reads but does not write: 32 x 32 pixels, line by line."""
    pixels = b"".join(bytes([20, line * 8, 0, 4, 1, 2, 3, 4, 8, 255, 0, 0]) for line in range(32)) + b"\0\1"
    palette = b"".join(bytes([shade, 255 - shade, 128, 0]) for shade in range(256))
    start = 54 + len(palette)
    header = struct.pack("<2sIII", b"BM", start + len(pixels), 0, start)
    return header + struct.pack("<IiiHHIIiiII", 40, 32, 32, 1, 8, 1, len(pixels), 0, 0, 256, 0) + palette + pixels
