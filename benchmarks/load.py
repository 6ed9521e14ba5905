"""The service under load from another process: throughput, statuses, latency, memory, and a restart in the middle.

python -m benchmarks.load MODEL PHOTOS [--seconds 120] [--clients 64]

MODEL is the folder of a run; PHOTOS is a folder per species, of which some photos are enlarged, as phones take them.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import io
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
from PIL import Image

from benchmarks.common import machine

CLIENTS = 64
SECONDS = 120
PHOTOS = 48
SIDES = (500, 500, 500, 1000, 1000, 1600, 2400, 4000)
"""Longer sides of the photos that are sent, in pixels; in turn."""

OFFLINE_SECONDS = 20
PAUSE = 0.25
"""Seconds that a client waits after a 503 or a connection that was refused."""

_BORDER = "leafgraft-load"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load with 64 clients, the offline rate of the same photos, and a restart under load.

    Args:
        arguments: ``model``, a run; ``photos``, a folder per species; ``seconds``; ``clients``.
    """
    photos = _photos(arguments.photos)
    offline = _offline(arguments.model, photos)
    print(f"offline: {offline:.1f} photos/s", flush=True)
    with _free_port() as port:
        server = _serve(arguments.model, port)
        try:
            load = _loaded(port, photos, arguments.clients, arguments.seconds, lambda: _memory(server))
        finally:
            server.terminate()
            load_status = server.wait(90)
    load["ratio"] = load["throughput"] / offline
    print({key: value for key, value in load.items() if key != "memory_mb"}, flush=True)
    restart = _restarted(arguments.model, photos, arguments.clients)
    print(restart, flush=True)
    return {
        "machine": machine(),
        "photos": {"count": len(photos), "mb": sum(map(len, photos)) / 1e6, "sides": list(SIDES)},
        "clients": arguments.clients,
        "offline": offline,
        "load": load | {"exit_status": load_status},
        "restart": restart,
    }


def _photos(folder: Path) -> list[bytes]:
    """JPEGs of mixed size, made from photos of all species."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = found[:: max(1, len(found) // PHOTOS)][:PHOTOS]
    result = []
    for place, path in enumerate(chosen):
        side = SIDES[place % len(SIDES)]
        with Image.open(path) as file:
            image = file.convert("RGB")
            scale = side / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            buffer = io.BytesIO()
            image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        result.append(buffer.getvalue())
    return result


def _offline(model: Path, photos: list[bytes]) -> float:
    """Photos a second as ``leafgraft predict`` answers to many: decoded in threads, ahead of the engine."""
    from leafgraft.bundle import Bundle
    from leafgraft.engine.prefix import BATCH

    bundle = Bundle(model, batch=BATCH)

    def streams(count: int) -> Iterator[io.BytesIO]:
        for place in range(count):
            yield io.BytesIO(photos[place % len(photos)])

    bundle.answer(streams(len(photos)))
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < OFFLINE_SECONDS:
        bundle.answer(streams(2 * len(photos)))
        done += 2 * len(photos)
    return done / spent


@contextlib.contextmanager
def _free_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    yield port


def _serve(model: Path, port: int) -> subprocess.Popen[str]:
    """Start the service and wait until it says that it is there."""
    command = [sys.executable, "-m", "leafgraft", "serve", str(model), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    if not server.stdout.readline():
        raise RuntimeError(f"the service has not started; its status is {server.wait()}")
    return server


def _memory(server: subprocess.Popen[str]) -> float:
    return float(psutil.Process(server.pid).memory_info().rss / 1e6)


def _loaded(
    port: int, photos: list[bytes], clients: int, seconds: float, memory: Callable[[], float]
) -> dict[str, Any]:
    """Send photos from a process of its own while this one watches the memory."""
    watched = []
    with ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(_elsewhere, port, photos, clients, seconds)
        start = time.perf_counter()
        while not waiting.done():
            watched.append((round(time.perf_counter() - start, 1), round(memory(), 1)))
            time.sleep(min(5.0, seconds / 8))
        found = waiting.result()
    spent = [entry["ms"] for entry in found if entry["status"] == "200"]
    # The answers to what was asked last come after the end, when fewer and fewer are asking.
    within = sum(entry["status"] == "200" and entry["in_time"] for entry in found)
    cuts = quantiles(spent, n=100)
    return {
        "seconds": seconds,
        "throughput": within / seconds,
        "statuses": dict(collections.Counter(entry["status"] for entry in found)),
        "ms": {"median": median(spent), "p90": cuts[89], "p99": cuts[98], "max": max(spent)},
        "memory_mb": watched,
    }


def _elsewhere(port: int, photos: list[bytes], clients: int, seconds: float) -> list[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_hammer, (port, photos, clients, seconds))


def _hammer(port: int, photos: list[bytes], clients: int, seconds: float) -> list[dict[str, Any]]:
    return asyncio.run(_clients(port, photos, clients, seconds))


async def _clients(port: int, photos: list[bytes], clients: int, seconds: float) -> list[dict[str, Any]]:
    bodies = [_request(photo) for photo in photos]
    found: list[dict[str, Any]] = []
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_client(port, bodies, place, end, found) for place in range(clients)))
    return found


def _request(photo: bytes) -> bytes:
    head = f'--{_BORDER}\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'.encode()
    tail = f"\r\n--{_BORDER}--\r\n".encode()
    length = len(head) + len(photo) + len(tail)
    start = (
        f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BORDER}\r\n\r\n"
    ).encode()
    return start + head + photo + tail


async def _client(port: int, bodies: list[bytes], place: int, end: float, found: list[dict[str, Any]]) -> None:
    """Send one photo after another over one connection, and open another when it is closed.

    An HTTP client of a library would take as much of the processor as the service does.
    """
    reader, writer = None, None
    while time.perf_counter() < end:
        begun = time.perf_counter()
        sent = False
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            assert reader is not None
            writer.write(bodies[place % len(bodies)])
            sent = True
            await writer.drain()
            status, closing = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            # A connection that ends while a photo is on the way is a request that was lost.
            status, closing = ("lost" if sent else "refused"), True
        now = time.perf_counter()
        found.append({"status": status, "ms": 1000 * (now - begun), "at": time.time(), "in_time": now <= end})
        place += 1
        if closing and writer is not None:
            writer.close()
            writer = None
        if status != "200":
            await asyncio.sleep(PAUSE)
    if writer is not None:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bool]:
    """Status, and whether the connection ends; the content of a 200 must name a species."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    content = json.loads(await reader.readexactly(length))
    status = head.split(" ", 2)[1]
    if status == "200" and not content["photos"][0]["predictions"]:
        status = "empty"
    return status, "connection: close" in head


def _restarted(model: Path, photos: list[bytes], clients: int) -> dict[str, Any]:
    """End the service and start it again while clients go on asking."""
    with _free_port() as port:
        server = _serve(model, port)
        try:
            with ThreadPoolExecutor(1) as aside:
                waiting = aside.submit(_elsewhere, port, photos, clients, 20)
                time.sleep(8)
                start, told = time.perf_counter(), time.time()
                server.send_signal(signal.SIGTERM)
                status = server.wait(90)
                ended = time.perf_counter() - start
                server = _serve(model, port)
                back, there = time.perf_counter() - start, time.time()
                found = waiting.result()
        finally:
            server.terminate()
            server.wait(90)
    return {
        "exit_status": status,
        "seconds_to_end": ended,
        "seconds_to_return": back,
        "statuses": dict(collections.Counter(entry["status"] for entry in found)),
        "answered_after_the_signal": sum(
            entry["status"] == "200" and told < entry["at"] < told + ended for entry in found
        ),
        "answered_after_the_return": sum(entry["status"] == "200" and entry["at"] > there for entry in found),
    }


def main() -> None:
    """Measure and print; also to build/benchmarks/load.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    found = measure(parser.parse_args())
    target = Path("build/benchmarks/load.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(found, indent=2) + os.linesep, encoding="utf-8")


if __name__ == "__main__":
    main()
