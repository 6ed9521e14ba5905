"""The body of a request to photos in memory: nothing of it touches the disk, and all of it has limits.

The form parser of Starlette moves large files to the disk, so the parser below it is used directly.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from leafgraft.serve.refusal import Busy, Refused

# A malformed form is the sender's affair, and the answer says so.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

FIELDS = 16
"""Parts of a form besides the photos, at most."""

REQUEST = 10
"""A whole request may be as large as this many of the largest files."""


@dataclass(frozen=True)
class Limits:
    """What a request may bring.

    Attributes:
        megabytes: of a file.
        files: of a request.
        stall: seconds in which nothing comes.
        seconds: of the whole upload.
    """

    megabytes: int = 20
    files: int = 64
    stall: float = 10.0
    seconds: float = 120.0

    @property
    def file_bytes(self) -> int:
        """The largest file."""
        return self.megabytes * 10**6

    @property
    def request_bytes(self) -> int:
        """The largest body."""
        return REQUEST * self.file_bytes


@dataclass
class Upload:
    """A file that was sent.

    Attributes:
        name: as the sender calls it, at most 255 characters, all of them Unicode.
        data: its bytes.
    """

    name: str
    data: bytes

    def __post_init__(self) -> None:
        self.name = self.name.encode("utf-8", "replace").decode("utf-8")[:255]

    def taken(self) -> bytes:
        """The bytes, which are not kept here any longer: a queue of photos would hold them all."""
        data, self.data = self.data, b""
        return data


class Room:
    """Memory for the bodies of all requests together."""

    def __init__(self, most: int) -> None:
        """Have room for as many bytes."""
        self._most, self.held = most, 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Let a request hold memory until the end of the block.

        Yields:
            A function that is told of more bytes, or of fewer (negative); it raises `Busy` when there is no room.
        """
        mine = 0

        def hold(count: int) -> None:
            nonlocal mine
            if count > 0 and self.held + count > self._most:
                raise Busy
            self.held += count
            mine += count

        try:
            yield hold
        finally:
            self.held -= mine


Run = Callable[..., Awaitable[Any]]
"""Calls a function with arguments, elsewhere than in the event loop."""


async def photos(request: Request, limits: Limits, hold: Callable[[int], None], run: Run) -> list[Upload]:
    """Read the photos of a request, a form with parts called "photos" or JSON with base64.

    Args:
        request: whose body nobody has read yet.
        limits: what it may bring.
        hold: from `Room.share`.
        run: where JSON is parsed, which takes a while.

    Returns:
        At least one.

    Raises:
        Refused: 400, 408, 413, 415 or 422, with the reason.
        Busy: other requests hold too much memory.
    """
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind == b"multipart/form-data":
        form = await _form(request, limits, hold, "photos")
        if not form.files:
            others = f'; it has "{form.others[0][0]}"' if form.others else ""
            raise Refused(422, f'The form has no file called "photos"{others}.')
        return form.files
    if kind == b"application/json":
        body: list[bytes] = []
        await _poured(request, limits, hold, body.append)
        found: list[Upload] = await run(_from_json, b"".join(body), limits)
        return found
    raise Refused(
        415,
        "Photos have to come as multipart/form-data or application/json, not as "
        f"{kind.decode('latin-1')[:100] or 'something without a content type'}.",
    )


async def correction(request: Request, limits: Limits, hold: Callable[[int], None]) -> tuple[Upload, str]:
    """Read a form with a file "photo" and a text "species".

    Raises:
        Refused: 400, 408, 413, 415 or 422, with the reason.
        Busy: other requests hold too much memory.
    """
    kind, _ = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise Refused(415, "A correction has to come as multipart/form-data with a file photo and a text species.")
    form = await _form(request, limits, hold, "photo")
    species = [text for name, text in form.others if name == "species"]
    if len(form.files) != 1 or len(species) != 1:
        raise Refused(422, 'A correction has exactly one file "photo" and one text "species".')
    return form.files[0], species[0]


async def _poured(request: Request, limits: Limits, hold: Callable[[int], None], sink: Callable[[bytes], None]) -> None:
    """Hand each piece of the body on as it comes."""
    too_large = Refused(413, f"The request is larger than {limits.request_bytes // 10**6} MB; send fewer at a time.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limits.request_bytes:
        raise too_large
    loop = asyncio.get_running_loop()
    end = loop.time() + limits.seconds
    read = 0
    while True:
        try:
            async with asyncio.timeout_at(min(loop.time() + limits.stall, end)):
                message = await request.receive()
        except TimeoutError:
            raise Refused(408, "The upload was too slow; send it again, or fewer photos at a time.") from None
        if message["type"] == "http.disconnect":
            raise Refused(400, "The upload was broken off.")
        chunk = message.get("body", b"")
        read += len(chunk)
        if read > limits.request_bytes:
            raise too_large
        if chunk:
            hold(len(chunk))
            sink(chunk)
        if not message.get("more_body"):
            return


class _Form:
    """Takes the parts of a form from the parser.

    Attributes:
        files: the parts with the name that photos have.
        others: name and text of the other parts.
        ended: whether the end of the form has come.
    """

    def __init__(self, limits: Limits, wanted: str) -> None:
        self.files: list[Upload] = []
        self.others: list[tuple[str, str]] = []
        self.ended = False
        self._limits, self._wanted = limits, wanted
        self._parts = 0
        self.on_part_begin()

    def on_part_begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = bytearray(), bytearray()
        self._chunks: list[bytes] = []
        self._size = 0
        self._name = self._file = ""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")[:100]
        self._file = options.get(b"filename", b"").decode("utf-8", "replace")
        if self._name == self._wanted:
            if len(self.files) == self._limits.files:
                raise Refused(413, f"There are more than {self._limits.files} photos; send fewer at a time.")
        else:
            self._parts += 1
            if self._parts > FIELDS:
                raise Refused(413, f"The form has more than {FIELDS} parts that are no photos.")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._limits.file_bytes:
            name = Upload(self._file or self._name, b"").name
            raise Refused(413, f"{name} is larger than {self._limits.megabytes} MB.")
        self._chunks.append(data[start:end])

    def on_part_end(self) -> None:
        data = b"".join(self._chunks)
        if self._name != self._wanted:
            self.others.append((self._name, data[:10_000].decode("utf-8", "replace")))
        elif data or self._file:  # a page sends a nameless empty part when no file was chosen
            self.files.append(Upload(self._file or f"photo {len(self.files) + 1}", data))
        self._chunks = []

    def on_end(self) -> None:
        self.ended = True


async def _form(request: Request, limits: Limits, hold: Callable[[int], None], wanted: str) -> _Form:
    _, options = parse_options_header(request.headers.get("content-type"))
    form = _Form(limits, wanted)
    try:
        parser = MultipartParser(
            options.get(b"boundary", b""),
            {
                "on_part_begin": form.on_part_begin,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_part_data": form.on_part_data,
                "on_part_end": form.on_part_end,
                "on_end": form.on_end,
            },
        )
        if not options.get(b"boundary"):
            raise Refused(400, "The content type multipart/form-data names no boundary.")
        await _poured(request, limits, hold, lambda chunk: (parser.write(chunk), None)[1])
    except FormParserError:
        raise Refused(400, "The form is malformed.") from None
    if not form.ended:
        raise Refused(400, "The form breaks off before its end.")
    return form


def _from_json(body: bytes, limits: Limits) -> list[Upload]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is not JSON.") from None
    photos = content.get("photos") if isinstance(content, dict) else None
    if not isinstance(photos, list) or not photos or not all(map(_is_photo, photos)):
        raise Refused(422, 'The body has to be {"photos": [{"name": "a.jpg", "data": "base64"}]} with a photo or more.')
    if len(photos) > limits.files:
        raise Refused(413, f"There are more than {limits.files} photos; send fewer at a time.")
    return [
        Upload(name, _from_base64(photo["data"], Upload(name, b"").name, limits))
        for number, photo in enumerate(photos, start=1)
        for name in [photo.get("name") or f"photo {number}"]
    ]


def _is_photo(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("data"), str) and isinstance(value.get("name", ""), str)


def _from_base64(text: str, name: str, limits: Limits) -> bytes:
    if len(text) > (limits.file_bytes + 2) // 3 * 4:
        raise Refused(413, f"{name} is larger than {limits.megabytes} MB.")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(400, f"The data of {name} is not base64.") from None
