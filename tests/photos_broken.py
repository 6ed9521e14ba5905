"""Files that go wrong, or look as if they would, in real folders of photos; and one as phones write them."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from leafgraft.photos.decode import open_photo

PROBLEMS = {
    "cut_off.jpg": "cut off after",
    "wrong_ending.jpg": "",
    "empty.jpg": "empty file",
    "text.jpg": "not an image: text",
    "bomb.png": "2500 megapixels: larger than the limit",
    "one_pixel.png": "too small: 1x1",
    "animated.gif": "",
    "cmyk.jpg": "",
    "grey16.png": "",
    "folder.jpg": "is a folder",
}
"""How the problem of each file begins; "" for those that are read."""


# A ramp of 29 x 100 pixels, 10-bit grey, from the tests of pillow-heif (BSD-3-Clause); nothing here can write HEIC.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAWNtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAA5waXRtAA"
    "AAAAABAAAAImlsb2MAAAAAREAAAQABAAAAAAGHAAEAAAAAAAACZQAAACNpaW5mAAAAAAABAAAAFWluZmUCAAAAAAEAAGh2YzEAAAAA42lwcnAA"
    "AADEaXBjbwAAAHJodmNDAQQIAAAAAAAAAAAA//AA/Pz6+gAADwMgAAEAF0ABDAH//wQIAAADAJ34AAADAAD/ugJAIQABACdCAQEECAAAAwCd+A"
    "AAAwAA/8CCBp8rZbqrprmwIAAAAwAgAAADACEiAAEABkQBwXGLEgAAABRpc3BlAAAAAAAAAEAAAABkAAAAKGNsYXAAAAAdAAAAAQAAAGQAAAAB"
    "////3QAAAAIAAAAAAAAAAgAAAA5waXhpAAAAAAEKAAAAF2lwbWEAAAAAAAAAAQABBIECgwQAAAJtbWRhdAAAAmEoAa4LZz47VmxnySx7NDMf//"
    "5AIcnwscN5McCRsE35DNDPQJfYVCES+NVol9kS+NVpEohdAD/E/T9+XXOiK7QmO5Mae7K1JoAASTw61utEEsxQkOP6yvmUQAAdBZm/Zn0F1tmK"
    "7d/ZV5NuVM7XooAMrQAADtJI3EHeuGAxKF7i2LClgAAQ0HDGPdoT/Ua+ABjtS4s5OwA94oqLnaHFKWetmCflWUAAzUVHJGk483bEC2EI0gHrQA"
    "B0lB74EwLXZHflVeTo7GNPNT0NFr8AAD1IQVsGjyNmOVfl8yfYxcAANE+XvhWoqNsH2cdc3quXsjgDUvrY+ci9w1yFUW5pXUQAJ9seR68OaEVl"
    "UJfvO/WEQADiMj49P8E9/ebxMwEFPcfo2G2sIZEAAHGW4xkZFnX43djkGh4HDoADsJXnPIGiQNMUXHc/c2ychgCWHUv1G6tctq9pdZPu6gAUjU"
    "4c90Xbe5SPbjhW4+sYACxW+BYl3PpmwmNClWxIZvrEvGAipQAAlvRPfE1s97oJVHKm5kt7gAXipYHwVlZwAdIdDc/i1AmAASBexR9Bw4FFdgx7"
    "bfbZIAAew4gsIYWFSMPNaHl1extgAWm2+GQzM+OyNqkteSx3/4AAbeEB61RtugfMpd6Let5duCngAADgMIpTOECKhiGlVmlxKOMADJRb9QZzv0"
    "+AxwmN6IZHbzwA0UP3c1v559DlReA//oAAw83jjPv7S6dY1Cy3A/kdwALxRu9+BK/l66RAA5+5p4wEAOOoMRL4/iFsMNMX+NWfQnIAAbhodP6B"
    "kmaYbFQoefAmPsijW9I="
)


def write_broken(folder: Path, start: Path | Image.Image) -> dict[str, Path]:
    """Write the ten into a folder.

    Args:
        folder: where to; made if need be.
        start: the photo that the readable and the damaged ones show.

    Returns:
        The path for each key of `PROBLEMS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = (Image.open(start) if isinstance(start, Path) else start).convert("RGB")
    grey16 = np.asarray(image.convert("L")).astype(np.uint16) * 257
    whole = _encoded(image, "JPEG", quality=95)
    contents = {
        "cut_off.jpg": whole[: len(whole) * 6 // 10],
        "wrong_ending.jpg": _encoded(image, "PNG"),
        "empty.jpg": b"",
        "text.jpg": "Die Rose blüht im Juni.\n".encode() * 20,
        "bomb.png": png_header(50_000, 50_000),
        "one_pixel.png": _encoded(image.resize((1, 1)), "PNG"),
        "animated.gif": _encoded(image, "GIF", save_all=True, append_images=[image.rotate(90), image.rotate(180)]),
        "cmyk.jpg": _encoded(image.convert("CMYK"), "JPEG", quality=95),
        "grey16.png": _encoded(Image.fromarray(grey16), "PNG"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.jpg").mkdir()
    return {name: folder / name for name in PROBLEMS}


def png_header(width: int, height: int) -> bytes:
    """Build a valid RGB PNG of the given size that holds hardly any pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 1_000_000)),
        (b"IEND", b""),
    ]
    body = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _encoded(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    """An image as the bytes of a file in some format."""
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    """What is made of the bytes of a file."""
    return open_photo(io.BytesIO(data))
