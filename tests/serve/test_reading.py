from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from leafgraft.serve import reading
from leafgraft.serve.reading import Limits, Room, Upload
from leafgraft.serve.refusal import Busy, Refused

pytestmark = pytest.mark.quick

SMALL = Limits(megabytes=1, files=3)
FORM = "multipart/form-data; boundary=x"

Files = list[tuple[str, tuple[str, bytes]]]


async def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


def encoded(files: Files, **fields: str) -> tuple[dict[str, str], bytes]:
    """A form as httpx writes it."""
    request = httpx.Request("POST", "http://localhost", files=files, data=fields)
    return {"content-type": request.headers["content-type"]}, request.read()


def request(headers: dict[str, str], chunks: list[bytes], *, ended: bool = True, delay: float = 0.0) -> Request:
    messages: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": chunk, "more_body": not ended or place + 1 < len(chunks)}
            for place, chunk in enumerate(chunks)
        ]
    )

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(delay)
        return next(messages, {"type": "http.disconnect"})

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


def read(made: Request, limits: Limits = SMALL, room: Room | None = None) -> list[Upload]:
    async def whole() -> list[Upload]:
        with (room or Room(10**9)).share() as hold:
            return await reading.photos(made, limits, hold, _here)

    return asyncio.run(whole())


def refused(made: Request, limits: Limits = SMALL) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        read(made, limits)
    assert refusal.value.detail[-1] == "."
    return refusal.value.status, refusal.value.detail


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 80))
def test_a_form_gives_back_its_files_however_it_is_cut_into_pieces(contents: list[bytes], piece: int) -> None:
    headers, body = encoded([("photos", (f"{place}.jpg", data)) for place, data in enumerate(contents)])
    chunks = [body[start : start + piece] for start in range(0, len(body), piece)]
    assert read(request(headers, chunks)) == [Upload(f"{place}.jpg", data) for place, data in enumerate(contents)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=100)), min_size=1, max_size=3))
def test_json_gives_back_its_files(files: list[tuple[str, bytes]]) -> None:
    photos = [{"name": name, "data": base64.b64encode(data).decode()} for name, data in files]
    body = json.dumps({"photos": photos}).encode()
    found = read(request({"content-type": "application/json; charset=utf-8"}, [body]))
    assert found == [Upload(name, data) for name, data in files]


def test_a_photo_larger_than_the_spool_of_the_usual_parser_never_touches_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 12_000  # 3 MB
    headers, body = encoded([("photos", ("a.jpg", data))])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is none"))  # whoever makes a file fails
    with pytest.raises(FileNotFoundError):
        tempfile.mkdtemp()
    assert read(request(headers, [body]), Limits(megabytes=4)) == [Upload("a.jpg", data)]


def test_names_that_nobody_gave_and_files_that_nobody_chose() -> None:
    headers, body = encoded([("photos", ("a.jpg", b"1"))])
    unnamed = body.replace(b'; filename="a.jpg"', b"")
    assert read(request(headers, [unnamed])) == [Upload("photo 1", b"1")]
    empty = body.replace(b'filename="a.jpg"', b'filename=""').replace(b"\r\n1\r\n", b"\r\n\r\n")
    assert refused(request(headers, [empty])) == (422, 'The form has no file called "photos".')
    unnamed = b'{"photos": [{"data": "MQ=="}]}'
    assert read(request({"content-type": "application/json"}, [unnamed])) == [Upload("photo 1", b"1")]
    assert Upload("\ud800" * 300, b"").name == "?" * 255


def test_limits_on_bytes_and_files() -> None:
    headers, body = encoded([("photos", ("big.jpg", b"0" * (10**6 + 1)))])
    assert refused(request(headers, [body])) == (413, "big.jpg is larger than 1 MB.")
    headers, body = encoded([("photos", (f"{n}.jpg", b"1")) for n in range(4)])
    assert refused(request(headers, [body])) == (413, "There are more than 3 photos; send fewer at a time.")
    headers, body = encoded([("photos", ("a.jpg", b"1"))], **{f"field{n}": "x" for n in range(reading.FIELDS + 1)})
    assert refused(request(headers, [body]))[0] == 413
    too_large = (413, "The request is larger than 10 MB; send fewer at a time.")
    assert refused(request({"content-type": FORM, "content-length": str(10**7 + 1)}, [])) == too_large
    kind = {"content-type": "application/json"}
    assert refused(request(kind, [b" " * 10**6] * 11)) == too_large  # without saying so before
    large = base64.b64encode(b"0" * (10**6 + 3)).decode()
    body = json.dumps({"photos": [{"name": "big.jpg", "data": large}]}).encode()
    assert refused(request(kind, [body])) == (413, "big.jpg is larger than 1 MB.")
    body = json.dumps({"photos": [{"data": ""}] * 4}).encode()
    assert refused(request(kind, [body])) == (413, "There are more than 3 photos; send fewer at a time.")


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"", 400),
        ("application/json", b"{", 400),
        ("application/json", b"\xff\xfe\xfd", 400),
        ("application/json", b"[" * 100_000, 400),
        ("application/json", b"1" * 10_000, 400),
        ("application/json", b'{"photos": [{"data": "~~~~"}]}', 400),
        ("application/json", '{"photos": [{"data": "ü"}]}'.encode(), 400),
        ("application/json", b"[]", 422),
        ("application/json", b'{"photos": []}', 422),
        ("application/json", b'{"photos": "a"}', 422),
        ("application/json", b'{"photos": [1]}', 422),
        ("application/json", b'{"photos": [{"data": 1}]}', 422),
        ("application/json", b'{"photos": [{"data": "", "name": 1}]}', 422),
        ("multipart/form-data", b"", 400),
        (FORM, b"", 400),
        (FORM, b"nonsense", 400),
        (FORM, b"--x\r\nnonsense\r\n\r\n1\r\n--x--\r\n", 400),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="photos"\r\n\r\n1', 400),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\n1\r\n--x--\r\n', 422),
        (FORM + "x" * 300, b"", 400),
        ("image/jpeg", b"", 415),
        ("", b"", 415),
        ("text/plain; charset=multipart/form-data", b"", 415),
    ],
)
def test_malformed_bodies(kind: str, body: bytes, status: int) -> None:
    assert refused(request({"content-type": kind}, [body]))[0] == status


def test_slow_uploads_and_those_that_end_early() -> None:
    headers, body = encoded([("photos", ("a.jpg", b"1" * 50))])
    pieces = [body[start : start + 10] for start in range(0, len(body), 10)]
    assert refused(request(headers, pieces, delay=30), Limits(1, 3, stall=0.05))[0] == 408
    assert refused(request(headers, pieces, delay=0.02), Limits(1, 3, stall=5, seconds=0.1))[0] == 408
    assert refused(request(headers, [body[:40]], ended=False)) == (400, "The upload was broken off.")


def test_bodies_share_the_memory() -> None:
    room = Room(1000)
    headers, body = encoded([("photos", ("a.jpg", b"1" * 500))])
    with room.share() as hold:
        hold(600)
        with pytest.raises(Busy):
            read(request(headers, [body]), room=room)
        hold(-500)
        assert read(request(headers, [body]), room=room)[0].name == "a.jpg"
        assert room.held == 100
    assert room.held == 0


def test_a_correction_has_one_photo_and_one_name() -> None:
    def correction(headers: dict[str, str], body: bytes) -> tuple[Upload, str]:
        return asyncio.run(reading.correction(request(headers, [body]), SMALL, lambda count: None))

    headers, body = encoded([("photo", ("a.jpg", b"1"))], species="Гинкго")
    assert correction(headers, body) == (Upload("a.jpg", b"1"), "Гинкго")
    one: Files = [("photo", ("a.jpg", b"1"))]
    wrong: list[tuple[Files, dict[str, str]]] = [
        ([("other", ("a", b""))], {"species": "a"}),
        (one, {}),
        (one * 2, {"species": "a"}),
    ]
    for files, fields in wrong:
        headers, body = encoded(files, **fields)
        with pytest.raises(Refused) as refusal:
            correction(headers, body)
        assert refusal.value.status == 422
    with pytest.raises(Refused) as refusal:
        correction({"content-type": "application/json"}, b"{}")
    assert refusal.value.status == 415
