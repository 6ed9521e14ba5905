"""The service without HTTP: what is done for each request, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.bundle import Bundle
from leafgraft.errors import UserError
from leafgraft.photos.decode import CANVAS_SHORT, UnreadablePhoto, read_bytes
from leafgraft.serve import decoding
from leafgraft.serve.asking import Question, Reply, asking, said
from leafgraft.serve.batcher import Batcher
from leafgraft.serve.corrections import Corrections, tidy
from leafgraft.serve.decoding import Decoders
from leafgraft.serve.metrics import Metrics
from leafgraft.serve.reading import Limits, Room, Upload
from leafgraft.serve.refusal import Busy, Refused

AT_ONCE = 16
"""Photos in a batch, at most; a photo that comes while it is worked on waits for about as many."""


@dataclass(frozen=True)
class Settings:
    """How a service is run.

    Attributes:
        limits: of a request.
        queue: photos that are taken on at a time.
        token: what callers have to name; None if all are answered.
        corrections: the file that keeps them; None if there are none.
    """

    limits: Limits = field(default_factory=Limits)
    queue: int = 256
    token: str | None = None
    corrections: Path | None = None


class Service:
    """Answers to whatever has been read from a request.

    Attributes:
        settings: how it is run.
        metrics: what it counts.
        room: memory for bodies.
        decoders: threads for what takes a while.
        stopping: whether nothing new is taken on.
        active: requests that are being read or answered.
    """

    def __init__(self, one: Bundle, settings: Settings, many: Bundle | None = None) -> None:
        """Open what is needed; nothing is answered before `start`.

        Args:
            one: the classifier, with all cores for a photo.
            settings: how to run it.
            many: the same classifier for several photos at a time.

        Raises:
            UserError: the settings contradict each other, or the corrections cannot be kept.
        """
        if settings.queue < settings.limits.files:
            raise UserError(
                f"A queue of {settings.queue} photos would never have room for a request of {settings.limits.files}; "
                "raise --queue or lower --max-files."
            )
        self.settings = settings
        self.metrics = Metrics()
        self.room = Room(2 * settings.limits.request_bytes)
        self.stopping = False
        self.active = 0
        self.decoders = Decoders(settings.queue + settings.limits.files)
        self._bundle = one
        self._work = asking(one, many, self.metrics)
        self._corrections = Corrections(settings.corrections, create=True) if settings.corrections else None
        self._batcher: Batcher[Question, Reply] | None = None
        self._thumbnail = lru_cache(maxsize=256)(self._shrunk)

    @property
    def ready(self) -> bool:
        """Whether a photo would be answered to."""
        return not self.stopping and self._batcher is not None and self._batcher.alive

    async def start(self) -> None:
        """Answer to an empty photo in each of the ways, so that no caller waits for the engine to warm up."""
        blank = Question(np.zeros((CANVAS_SHORT, CANVAS_SHORT, 3), np.uint8))
        for count in (1, AT_ONCE):
            await asyncio.to_thread(self._work, [blank] * count)
        self._batcher = Batcher(self._work, places=self.settings.queue, most=AT_ONCE)
        self.metrics.watch(lambda: self._batcher.taken if self._batcher else 0)

    async def close(self) -> None:
        """Finish what was taken on, then end the threads."""
        self.stopping = True
        if self._batcher:
            await asyncio.to_thread(self._batcher.close)
        await asyncio.to_thread(self.decoders.close)

    async def predict(
        self, uploads: list[Upload], *, top: int, heat: bool, similar: bool
    ) -> dict[str, list[dict[str, Any]]]:
        """Name the plants on photos.

        Raises:
            Refused: 422, none of them is a photo.
            Busy: there is too much to do.
        """
        self._reserve(len(uploads))
        found = await asyncio.gather(*(self._one(upload, heat) for upload in uploads))
        if all(isinstance(reply, UnreadablePhoto) for reply in found):
            raise Refused(422, f"{uploads[0].name}: {found[0]}")
        photos: list[dict[str, Any]] = []
        for upload, reply in zip(uploads, found, strict=True):
            if isinstance(reply, UnreadablePhoto):
                photos.append({"name": upload.name, "problem": str(reply)})
                continue
            photos.append(said(upload.name, reply, self._bundle.classes, top))
            if similar:
                alike = await self.decoders.run(self._similar, reply.nearest)
                photos[-1]["similar"] = alike
        return {"photos": photos}

    async def correct(self, upload: Upload, species: str) -> int:
        """Keep what somebody says a photo shows.

        Returns:
            The number of the correction.

        Raises:
            Refused: 404 if corrections are not kept, 422 if the photo or the name is none.
            Busy: there is too much to do, or the disk is full.
        """
        if self._corrections is None:
            raise Refused(404, "This service keeps no corrections; start it with --corrections FILE.")
        try:
            name = tidy(species)
        except ValueError as error:
            raise Refused(422, str(error)) from None
        photo = upload.data
        self._reserve(1)
        reply = await self._one(upload, heat=False)
        if isinstance(reply, UnreadablePhoto):
            raise Refused(422, f"{upload.name}: {reply}")
        answer = "unknown" if reply.unknown else self._bundle.classes[int(reply.probabilities.argmax())]
        try:
            return await self.decoders.run(self._corrections.add, name, answer, photo)
        except sqlite3.Error as error:
            raise Busy(f"The correction could not be kept ({error}); try it again later.") from error

    async def thumbnail(self, position: int) -> bytes:
        """A photo that was learned from, small, as a JPEG.

        Raises:
            Refused: 404, it is gone.
            Busy: there is too much to do.
        """
        if not 0 <= position < len(self._bundle.known.paths):
            raise Refused(404, f"There is no photo {position} that was learned from.")
        try:
            return await self.decoders.run(self._thumbnail, position)
        except UnreadablePhoto:
            raise Refused(404, f"The photo {position} that was learned from is gone.") from None

    def model(self) -> dict[str, Any]:
        """What there is to know of the classifier."""
        limits, bundle = self.settings.limits, self._bundle
        # A bundle lies in its run's folder, whose name says more than "model".
        folder = bundle.folder.resolve()
        return {
            "name": folder.parent.name if folder.name == "model" else folder.name,
            "species": list(bundle.classes),
            "card": bundle.card,
            "figures": _plain(bundle.figures),
            "knows_strangers": bundle.calibration.strangers is not None,
            "corrections": self._corrections is not None,
            "limits": {
                "max_mb": limits.megabytes,
                "max_files": limits.files,
                "max_request_mb": limits.request_bytes // 10**6,
                "megapixels": decoding.MEGAPIXELS,
            },
            "version": metadata.version("leafgraft"),
        }

    def _reserve(self, count: int) -> None:
        if self._batcher is None:
            raise Busy
        self._batcher.reserve(count)

    async def _one(self, upload: Upload, heat: bool) -> Reply | UnreadablePhoto:
        """Answer to a photo for which a place is reserved."""
        assert self._batcher is not None
        try:
            canvas = await self.decoders.run(self._decoded, upload.taken())
        except BaseException as error:
            self._batcher.give_back()
            if isinstance(error, UnreadablePhoto):
                self.metrics.unreadable.inc()
                return error
            raise
        reply = await asyncio.wrap_future(self._batcher.submit(Question(canvas, heat)))
        self.metrics.photos.inc()
        return reply

    def _decoded(self, data: bytes) -> NDArray[np.uint8]:
        start = time.perf_counter()
        canvas = decoding.to_canvas(data)
        self.metrics.decoding.observe(time.perf_counter() - start)
        return canvas

    def _similar(self, nearest: NDArray[np.int64]) -> list[dict[str, str | None]]:
        known = self._bundle.known
        return [
            {
                "species": self._bundle.classes[known.labels[place]],
                "photo": f"/v1/similar/{place}.jpg"
                if known.paths[place] and Path(known.paths[place]).is_file()
                else None,
            }
            for place in nearest.tolist()
        ]

    def _shrunk(self, position: int) -> bytes:
        if not (path := self._bundle.known.paths[position]):
            raise UnreadablePhoto("was no file")
        return decoding.thumbnail(read_bytes(Path(path)))


def _plain(value: Any) -> Any:
    """Without the numbers that JSON does not know."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
