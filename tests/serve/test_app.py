from __future__ import annotations

import base64
import http.client
import io
import json
import re
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import SPECIES
from leafgraft import run
from leafgraft.bundle import Bundle
from leafgraft.errors import UserError
from leafgraft.photos import centre, load_canvas
from leafgraft.serve.app import PAGE, create_app
from leafgraft.serve.corrections import Corrections
from leafgraft.serve.gate import SECURITY
from leafgraft.serve.reading import Limits
from leafgraft.serve.service import Settings
from photos_broken import png_header, write_broken
from serve.conftest import Live

Start = Callable[[Settings], Live]


@pytest.fixture(scope="module")
def photos(garden: Path, trained_run: Path) -> list[Path]:
    return [path for name in SPECIES for path in sorted((garden / name).iterdir())]


def form(*paths: Path) -> list[tuple[str, tuple[str, bytes]]]:
    return [("photos", (path.name, path.read_bytes())) for path in paths]


def one(data: bytes, name: str = "a.jpg") -> list[tuple[str, tuple[str, bytes]]]:
    return [("photos", (name, data))]


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_many_photos_are_answered_as_the_bundle_answers(
    plain: Live, photos: list[Path], bundles: tuple[Bundle, Bundle]
) -> None:
    answer = plain.client.post("/v1/predict", files=form(*photos), params={"top": 2, "heat": True, "similar": True})
    assert answer.status_code == 200
    bundle = bundles[0]
    expected = bundle.answer(photos)
    crops = np.stack([centre(load_canvas(path)) for path in photos])
    assert bundle.calibration.strangers is not None
    heat = bundle.heat(crops, expected.probabilities.argmax(axis=1))
    found = answer.json()["photos"]
    assert [entry["name"] for entry in found] == [path.name for path in photos]
    for place, entry in enumerate(found):
        assert set(entry) == {"name", "unknown", "strangeness", "predictions", "heat", "similar"}
        row = expected.probabilities[place]
        best = row.argsort()[::-1][:2]
        assert [named["species"] for named in entry["predictions"]] == [bundle.classes[i] for i in best]
        assert [named["probability"] for named in entry["predictions"]] == pytest.approx(row[best].tolist(), abs=1e-4)
        strange, threshold = float(expected.strangeness[place]), bundle.calibration.strangers.threshold
        assert entry["strangeness"] == pytest.approx(strange, abs=1e-3)
        if abs(strange - threshold) > 1e-3:  # the photo that the threshold was found on lies on it, give or take a bit
            assert entry["unknown"] == bool(expected.unknown[place])
        assert np.array(entry["heat"]) == pytest.approx(heat[place], abs=1e-3)
        assert [alike["photo"] for alike in entry["similar"]] == [
            f"/v1/similar/{i}.jpg" for i in expected.nearest[place]
        ]


def test_json_with_base64_gives_the_same(plain: Live, photos: list[Path]) -> None:
    body = {"photos": [{"name": p.name, "data": base64.b64encode(p.read_bytes()).decode()} for p in photos[:3]]}
    sent = plain.client.post("/v1/predict", json=body)
    assert sent.status_code == 200
    for ours, other in zip(
        sent.json()["photos"],
        plain.client.post("/v1/predict", files=form(*photos[:3])).json()["photos"],
        strict=True,
    ):
        assert set(ours) == {"name", "unknown", "strangeness", "predictions"}
        assert ours["name"] == other["name"]
        assert ours["predictions"][0]["species"] == other["predictions"][0]["species"]
    odd = {"photos": [{"name": "\ud800\n<b>", "data": body["photos"][0]["data"]}]}
    answer = plain.client.post("/v1/predict", content=json.dumps(odd), headers={"Content-Type": "application/json"})
    assert answer.json()["photos"][0]["name"] == "?\n<b>"


def test_many_callers_at_once_get_their_own_answers(plain: Live, photos: list[Path]) -> None:
    alone = {path: plain.client.post("/v1/predict", files=form(path)).json()["photos"][0] for path in photos}
    with ThreadPoolExecutor(12) as pool:
        for path, answer in zip(
            photos * 3, pool.map(lambda p: plain.client.post("/v1/predict", files=form(p)), photos * 3), strict=True
        ):
            entry = answer.json()["photos"][0]
            assert entry["name"] == path.name
            assert entry["strangeness"] == pytest.approx(alone[path]["strangeness"], abs=1e-3)
            assert entry["predictions"][0]["species"] == alone[path]["predictions"][0]["species"]
    batches = re.search(r"^leafgraft_batch_photos_bucket\{le=\"1.0\"\} (\S+)", plain.client.get("/metrics").text, re.M)
    every = re.search(r"^leafgraft_batch_photos_count (\S+)", plain.client.get("/metrics").text, re.M)
    assert batches
    assert every
    assert float(batches[1]) < float(every[1])  # some came together


def test_a_broken_file_among_others_and_alone(plain: Live, photos: list[Path], tmp_path: Path) -> None:
    broken = write_broken(tmp_path / "broken", photos[0])
    for name in ("cut_off.jpg", "empty.jpg", "text.jpg", "bomb.png", "one_pixel.png"):
        answer = plain.client.post("/v1/predict", files=form(broken[name], photos[0]))
        assert answer.status_code == 200
        first, second = answer.json()["photos"]
        assert set(first) == {"name", "problem"}
        assert second["name"] == photos[0].name
        assert "predictions" in second
        alone = plain.client.post("/v1/predict", files=form(broken[name]))
        assert (alone.status_code, alone.json()) == (422, {"detail": f"{name}: {first['problem']}"})
    readable = [broken[name] for name in ("wrong_ending.jpg", "animated.gif", "cmyk.jpg", "grey16.png")]
    assert all(
        "predictions" in entry for entry in plain.client.post("/v1/predict", files=form(*readable)).json()["photos"]
    )


def test_bombs_polyglots_and_truncated_files_are_refused_and_the_service_lives(plain: Live, photos: list[Path]) -> None:
    jpeg = photos[0].read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")
    start = time.monotonic()
    bad = {
        "bomb": png_header(50_000, 50_000),
        "flat bomb": png_header(12_000, 12_000),
        "zero bytes": b"",
        "zeros": b"\0" * 10_000,
        "cut off": jpeg[: len(jpeg) // 2],
        "head alone": jpeg[:4],
        "page": b"<!doctype html><script>alert(1)</script>",
        "drawing": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "archive before a photo": archive.getvalue() + jpeg,
        "script": b"%!PS\n(a) run" + jpeg,
    }
    for name, data in bad.items():
        answer = plain.client.post("/v1/predict", files=one(data, name))
        assert answer.status_code == 422, name
        assert answer.json()["detail"].startswith(f"{name}: ")
    assert time.monotonic() - start < 30
    for tail in (archive.getvalue(), b"<script>alert(1)</script>"):  # a photo all the same
        assert plain.client.post("/v1/predict", files=one(jpeg + tail)).status_code == 200
    assert plain.client.get("/readyz").status_code == 200


def test_limits_content_types_and_parameters(live: Start, photos: list[Path]) -> None:
    service = live(Settings(Limits(megabytes=1, files=2, stall=0.5), queue=4))
    noise = png(np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8))
    assert len(noise) > 10**6
    answer = service.client.post("/v1/predict", files=one(noise, "big.png"))
    assert (answer.status_code, answer.json()) == (413, {"detail": "big.png is larger than 1 MB."})
    assert service.client.post("/v1/predict", files=one(b"0" * 15_000_000)).status_code == 413
    assert service.client.post("/v1/predict", files=form(*photos[:3])).status_code == 413
    text = service.client.post("/v1/predict", content=b"a", headers={"Content-Type": "text/plain"})
    assert text.status_code == 415
    for query in ({"top": 0}, {"top": 101}, {"top": "x"}, {"heat": "perhaps"}):
        answer = service.client.post("/v1/predict", files=form(photos[0]), params=query)
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(f"{next(iter(query))}: ")
    assert service.client.get("/v1/predict").json() == {"detail": "Method Not Allowed."}
    assert service.client.get("/nothing").json() == {"detail": "There is nothing at /nothing."}
    top = service.client.post("/v1/predict", files=form(photos[0]), params={"top": 1})
    assert len(top.json()["photos"][0]["predictions"]) == 1


def test_a_slow_upload_is_ended(live: Start) -> None:
    service = live(Settings(Limits(stall=0.3)))
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as slow:
        slow.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert answer.status == 408
        assert answer.getheader("Connection") == "close"
        assert "too slow" in json.loads(answer.read())["detail"]


def test_who_asks_before_sending_too_much_is_told_at_once(live: Start) -> None:
    service = live(Settings(Limits(megabytes=1)))
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as polite:
        polite.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000000\r\nExpect: 100-continue\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        answer = http.client.HTTPResponse(polite)
        answer.begin()
        assert answer.status == 413


def test_a_full_queue_is_said_and_passes(live: Start, photos: list[Path], bundles: tuple[Bundle, Bundle]) -> None:
    service = live(Settings(Limits(files=8), queue=8))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.client.post("/v1/predict", files=form(*photos[:6])), range(16)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["detail"].endswith(".")
    assert service.client.post("/v1/predict", files=form(*photos[:8])).status_code == 200
    with pytest.raises(UserError, match="raise --queue"):
        create_app(bundles[0], Settings(queue=8))


def test_the_end_finishes_what_was_accepted_and_refuses_the_rest(live: Start, photos: list[Path]) -> None:
    service = live(Settings())
    host = "127.0.0.1"
    idle = http.client.HTTPConnection(host, service.port, timeout=30)
    idle.request("GET", "/readyz")
    assert idle.getresponse().read()
    with ThreadPoolExecutor(6) as pool:
        accepted = [pool.submit(service.client.post, "/v1/predict", files=form(*photos)) for _ in range(6)]
        while service.service.metrics.photos._value.get() < 1:
            time.sleep(0.001)
        service.stop()
        idle.request("GET", "/readyz")
        ready = idle.getresponse()
        assert ready.status == 503
        assert ready.getheader("Connection") == "close"
        assert ready.read()
        late = service.client.post("/v1/predict", files=form(photos[0]))
        assert late.status_code == 503
        assert late.headers["Retry-After"] == "5"
        assert [future.result().status_code for future in accepted] == [200] * 6
        assert all(len(future.result().json()["photos"]) == len(photos) for future in accepted)


def test_the_token(live: Start, photos: list[Path]) -> None:
    client = live(Settings(token="geheim")).client
    for path in ("/v1/model", "/v1/similar/0.jpg", "/metrics"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer other"}).status_code == 401
        assert client.get(path, headers={"Authorization": "Basic geheim"}).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer geheim"}).status_code == 200
    refused = client.post("/v1/predict", files=form(photos[0]))
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.json()["detail"].endswith(".")
    assert client.post("/v1/predict", files=form(photos[0]), headers={"Authorization": "bearer geheim"}).is_success
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_headers_on_every_answer(plain: Live) -> None:
    for path in ("/", "/healthz", "/docs", "/v1/model", "/v1/similar/0.jpg", "/nothing", "/metrics"):
        answer = plain.client.get(path)
        assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY, path
    other = plain.client.post("/v1/predict", headers={"Sec-Fetch-Site": "cross-site"})
    assert other.status_code == 403
    assert plain.client.get("/").status_code == (200 if (PAGE / "index.html").is_file() else 404)
    docs = plain.client.get("/docs").text
    assert "/v1/predict" in docs
    assert "http" not in docs  # nothing from elsewhere
    assert "<script" not in docs


def test_the_model_is_described(plain: Live, trained: run.Trained, trained_run: Path) -> None:
    found = plain.client.get("/v1/model").json()
    assert found["name"] == trained_run.name
    assert found["species"] == list(SPECIES)
    assert found["card"] == (trained_run / "model" / "card.md").read_text(encoding="utf-8")
    assert found["figures"]["test"]["accuracy"] == pytest.approx(trained.metrics["test"]["accuracy"])
    assert found["knows_strangers"] == (Bundle(trained_run).calibration.strangers is not None)
    assert found["corrections"] is False
    assert found["limits"] == {"max_mb": 20, "max_files": 64, "max_request_mb": 200, "megapixels": 100}


def test_thumbnails_of_what_was_learned_from(plain: Live, bundles: tuple[Bundle, Bundle]) -> None:
    answer = plain.client.get("/v1/similar/0.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.format == "JPEG"
        assert max(image.size) <= 320
    count = len(bundles[0].known.paths)
    for gone in (count, -1, 10**30):
        assert plain.client.get(f"/v1/similar/{gone}.jpg").status_code == 404
    assert plain.client.get("/v1/similar/x.jpg").status_code == 422


def test_corrections_are_kept_if_that_was_asked_for(
    plain: Live, live: Start, photos: list[Path], tmp_path: Path
) -> None:
    photo = [("photo", ("a.jpg", photos[0].read_bytes()))]
    assert plain.client.post("/v1/corrections", files=photo, data={"species": "rose"}).status_code == 404
    client = live(Settings(corrections=tmp_path / "c.db")).client
    assert client.get("/v1/model").json()["corrections"] is True
    answer = client.post("/v1/corrections", files=photo, data={"species": "  Rosa   canina "})
    assert (answer.status_code, answer.json()) == (201, {"id": 1})
    (kept,) = Corrections(tmp_path / "c.db").all()
    assert kept.species == "Rosa canina"
    assert kept.answer in (*SPECIES, "unknown")
    for species in ("", "x" * 101, "a\0b"):
        assert client.post("/v1/corrections", files=photo, data={"species": species}).status_code == 422
    text = [("photo", ("a.jpg", b"no photo"))]
    refused = client.post("/v1/corrections", files=text, data={"species": "rose"})
    assert (refused.status_code, refused.json()) == (422, {"detail": "a.jpg: not an image: text"})
    assert len(Corrections(tmp_path / "c.db").all()) == 1


def test_metrics_count_what_happened(live: Start, photos: list[Path]) -> None:
    client = live(Settings()).client
    client.post("/v1/predict", files=form(*photos[:3]))
    client.post("/v1/predict", files=one(b""))
    text = client.get("/metrics").text
    assert 'leafgraft_requests_total{status="200"} 1.0' in text
    assert 'leafgraft_requests_total{status="422"} 1.0' in text
    assert "leafgraft_photos_total 3.0" in text
    assert "leafgraft_unreadable_photos_total 1.0" in text
    assert "leafgraft_decode_seconds_count 3.0" in text
    assert "leafgraft_queue_photos 0.0" in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.slow
def test_no_request_that_fits_the_description_makes_it_fail(live: Start, tmp_path: Path) -> None:
    service = live(Settings(corrections=tmp_path / "c.db"))
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{service.port}/openapi.json",
            "--checks", "not_a_server_error", "--max-examples", "40", "--seed", "1", "--max-time", "50",
            "--generation-database", "none", "--continue-on-failure", "--no-color",
        ],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    counts = re.findall(r'^leafgraft_requests_total\{status="(\d+)"\} (\S+)', service.client.get("/metrics").text, re.M)
    assert sum(float(count) for _, count in counts) > 100
    assert not [status for status, _ in counts if status.startswith("5")]
