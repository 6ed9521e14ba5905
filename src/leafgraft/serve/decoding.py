"""Bytes to canvases in a few threads, so that the event loop never computes."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from leafgraft.machine import cores
from leafgraft.photos.decode import CANVAS_SHORT, UnreadablePhoto, canvas, decode, dimensions
from leafgraft.serve.refusal import Busy

Result = TypeVar("Result")

MEGAPIXELS = 100
"""Larger photos are refused: a service has less memory for each of its callers than a command has for its user."""

LARGE = 25
"""Photos of more megapixels than this are decoded one after another; one can take 16 bytes a pixel."""

THUMBNAIL = 320
"""Longer side of a thumbnail, in pixels."""

_one_large_photo = threading.Lock()


class Decoders:
    """A few threads, and a limit to what waits for them."""

    def __init__(self, most: int) -> None:
        """Start.

        Args:
            most: calls that wait or run at a time.
        """
        self._most, self._taken = most, 0
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="decode")

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Call a function in one of the threads.

        Raises:
            Busy: too much waits already.
        """
        if self._taken >= self._most:
            raise Busy
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *arguments))
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Finish what waits, and end the threads."""
        self._pool.shutdown()


def to_canvas(data: bytes) -> NDArray[np.uint8]:
    """Decode a photo to its canvas, as `leafgraft.photos.load_canvas` does.

    Raises:
        UnreadablePhoto: with the reason; it may also have more than `MEGAPIXELS`.
    """
    width, height = dimensions(data)
    if (megapixels := width * height / 10**6) > MEGAPIXELS:
        raise UnreadablePhoto(f"{round(megapixels)} megapixels: larger than the limit of {MEGAPIXELS} megapixels")
    with _one_large_photo if megapixels > LARGE else nullcontext():
        return canvas(decode(data, at_least=2 * CANVAS_SHORT)[0])


def thumbnail(data: bytes) -> bytes:
    """Shrink a photo to at most `THUMBNAIL` pixels.

    Returns:
        A JPEG.

    Raises:
        UnreadablePhoto: with the reason.
    """
    with _one_large_photo:
        image, _ = decode(data, at_least=THUMBNAIL)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
