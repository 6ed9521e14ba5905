from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from conftest import Said

# What `python -m leafgraft` does, and what was loaded by the end.
WATCHED = """
import sys
from leafgraft.cli import main
try:
    main()
finally:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print(sorted(loaded & {"tensorflow", "keras", "sklearn", "matplotlib", "h5py"}), file=sys.stderr)
"""


@contextmanager
def process(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``leafgraft serve`` as a process, and the address that it says."""
    started = subprocess.Popen(
        [sys.executable, "-c", WATCHED, "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip
    assert started.stdout is not None
    try:
        line = started.stdout.readline()
        assert line.startswith("Leafgraft answers at http://"), started.communicate()
        yield started, line.split()[3]
    finally:
        started.kill()
        started.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_lets_it_finish_what_it_has_begun(trained_run: Path, garden: Path, how: signal.Signals) -> None:
    photos = sorted((garden / "fern").iterdir())
    files = [("photos", (path.name, path.read_bytes())) for path in photos * 4]
    with (
        process(trained_run) as (started, address),
        httpx.Client(base_url=address, timeout=60, trust_env=False) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        assert client.get("/readyz").status_code == 200
        accepted = [pool.submit(client.post, "/v1/predict", files=files) for _ in range(4)]
        while "leafgraft_queue_photos 0.0" in client.get("/metrics").text:
            time.sleep(0.002)
        time.sleep(0.1)
        started.send_signal(how)
        answers = [future.result() for future in accepted]
        out, err = started.communicate(timeout=60)
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(200) >= 1
        # Whoever was still sending when the signal came may be refused, but nobody is cut off.
        assert set(statuses) <= {200, 503}
        assert all(len(answer.json()["photos"]) == len(files) for answer in answers if answer.status_code == 200)
        assert started.returncode == 0
        assert out == ""
        assert err == "[]\n"  # no warning, and none of what answers have no use for


def test_the_token_comes_from_the_environment(trained_run: Path) -> None:
    with process(trained_run, "--host", "0.0.0.0", LEAFGRAFT_TOKEN="geheim") as (_, address):
        here = address.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{here}/v1/model", trust_env=False).status_code == 401
        allowed = httpx.get(f"{here}/v1/model", headers={"Authorization": "Bearer geheim"}, trust_env=False)
        assert allowed.status_code == 200


def test_what_cannot_be_served(
    refused: Callable[..., str], trained_run: Path, garden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEAFGRAFT_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        assert "a token is needed" in refused("serve", trained_run, "--host", host)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = refused("serve", trained_run, "--port", port)
        assert text == f"leafgraft: The port {port} of 127.0.0.1 is in use; name another with --port."
    assert "has no address" in refused("serve", trained_run, "--host", "192.0.2.1", "--insecure", "--port", 0)
    assert "has no address" in refused("serve", trained_run, "--host", "none.invalid", "--insecure", "--port", 0)
    assert "choose another" in refused("serve", trained_run, "--token", "ü")
    assert "raise --queue" in refused("serve", trained_run, "--port", 0, "--queue", 3)
    assert "no folder" in refused("serve", trained_run, "--port", 0, "--corrections", tmp_path / "no" / "c.db")
    assert "has no saved classifier" in refused("serve", garden, "--port", 0)


def test_without_the_extra_it_says_how_to_get_it(trained_run: Path) -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None; sys.argv = ['leafgraft', 'serve', 'none'];"
        "from leafgraft.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "leafgraft: fastapi is not installed; run: pip install 'leafgraft[serve]'.\n"


def test_corrections_from_the_service_to_the_commands(
    leafgraft: Callable[..., Said], trained_run: Path, garden: Path, tmp_path: Path
) -> None:
    file = tmp_path / "corrections.db"
    photo = next((garden / "rose").iterdir())
    with process(trained_run, "--corrections", file) as (_, address):
        answer = httpx.post(
            f"{address}/v1/corrections", files={"photo": photo.read_bytes()}, data={"species": "rose"}, trust_env=False
        )
        assert answer.status_code == 201
        # Another process reads while the service has it open.
        assert json.loads(leafgraft("corrections", "list", file, "--json").out)["corrections"][0]["species"] == "rose"
    assert leafgraft("corrections", "export", file, "-o", tmp_path / "more").status == 0
    (copy,) = (tmp_path / "more" / "rose").iterdir()
    assert copy.read_bytes() == photo.read_bytes()
