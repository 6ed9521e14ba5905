"""A visit to the page in a real browser, and the service behind it."""

from __future__ import annotations

import http.client
import http.server
import io
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ENOUGH = 60  # seconds, for anything that the page waits for

SERVE = (sys.executable, "-m", "leafgraft", "serve")

DROP = """
const transfer = new DataTransfer();
const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
transfer.items.add(new File([bytes], arguments[1], { type: "image/png" }));
const options = { bubbles: true, cancelable: true };
const event = arguments[2] === "drop"
  ? new DragEvent("drop", { ...options, dataTransfer: transfer })
  : new ClipboardEvent("paste", { ...options, clipboardData: transfer });
document.getElementById("drop").dispatchEvent(event);
"""


@contextmanager
def served(model: Path, folder: Path, *options: str) -> Iterator[str]:
    """The service in a process of its own, ended as a service manager would end it; its address."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    command = [*SERVE, str(model), "--port", str(port), *options]
    with (folder / f"log-{port}.txt").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        address = f"http://127.0.0.1:{port}/"
        try:
            _await_ready(address, process)
            yield address
        finally:
            process.terminate()
            assert process.wait(ENOUGH) in (0, -signal.SIGTERM)


def _await_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(10 * ENOUGH):
        assert process.poll() is None, "the service has ended"
        try:
            with urllib.request.urlopen(f"{address}readyz"):
                return
        except urllib.error.HTTPError as error:
            error.close()  # it is starting
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.1)
    raise AssertionError("the service was never ready")


class Visit:
    """The page, open in a browser."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.chromium, self.address = chromium, address

    def open(self, *, width: int = 1280, height: int = 900, dark: bool = False, language: str = "en-GB") -> None:
        """Come to the page for the first time."""
        tell = self.chromium.execute_cdp_cmd
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        tell("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tell("Emulation.setEmulatedMedia", {"features": [scheme]})
        agent = self.chromium.execute_script("return navigator.userAgent")
        tell("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": language})
        tell("Storage.clearDataForOrigin", {"origin": self.address.rstrip("/"), "storageTypes": "all"})
        self.chromium.get(self.address)
        self.until("return document.getElementById('limits').textContent !== '' || document.querySelector('[open]')")

    def until(self, script: str, *arguments: object) -> Any:
        """Wait for a script to return something true."""
        for _ in range(20 * ENOUGH):
            if result := self.chromium.execute_script(script, *arguments):
                return result
            time.sleep(0.05)
        raise AssertionError(f"{script} never came true; the page shows: {self.find('main').text}")

    def find(self, selector: str) -> Any:
        return self.chromium.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.chromium.find_elements("css selector", selector)
        return found

    def text(self, selector: str) -> str:
        text: str = self.find(selector).text
        return text.replace("\u2068", "").replace("\u2069", "").replace("\u00a0", " ")

    def give(self, *paths: Path) -> None:
        """Choose files as a person does in the dialog of the system."""
        self.find("#files").send_keys("\n".join(map(str, paths)))

    def title(self) -> str:
        """The heading of the answer to a single photo, when it and its pictures are there."""
        self.until("return !document.getElementById('one').hidden && document.activeElement.id === 'one-title'")
        self.until("return ['picture', 'blank'].some((id) => !document.getElementById(id).hidden)")
        return self.text("#one-title")

    def done(self) -> None:
        """Wait for the answers to many photos."""
        self.until("return /^(Done|Готово)/.test(document.getElementById('status').textContent)")

    def press(self, *keys: str) -> Any:
        """Press keys wherever the focus is, and return what then has the focus."""
        self.chromium.switch_to.active_element.send_keys(*keys)
        return self.chromium.switch_to.active_element

    def requests(self, path: str = "") -> list[str]:
        """Addresses of what the page has asked for."""
        script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        return [name for name in self.chromium.execute_script(script) if path in name]

    def faults(self) -> list[str]:
        """What axe finds serious or worse."""
        from axe_selenium_python import Axe  # type: ignore[import-untyped]

        axe = Axe(self.chromium)
        axe.inject()
        found = axe.run()["violations"]
        return [f"{fault['id']}: {fault['nodes']}" for fault in found if fault["impact"] in ("serious", "critical")]

    def too_wide(self) -> int:
        """How many pixels of the page are beyond the right edge of the screen."""
        script = "return document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.chromium.execute_script(script))

    def pixels(self, selector: str) -> NDArray[np.int64]:
        """What is on the screen of an element."""
        picture = Image.open(io.BytesIO(self.find(selector).screenshot_as_png))
        return np.asarray(picture.convert("RGB")).astype(np.int64)


class Busy(http.server.ThreadingHTTPServer):
    """Stands before the service, and is busy when it is asked for the first two answers."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.behind, self.posts = address.removeprefix("http://").rstrip("/"), 0
        super().__init__(("127.0.0.1", 0), _Relay)


class _Relay(http.server.BaseHTTPRequestHandler):
    server: Busy

    def do_GET(self) -> None:
        self._pass_on(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts += 1
        if self.server.posts < 3:
            self.send_response(503)
            self.send_header("Retry-After", "1")
            self.end_headers()
        else:
            self._pass_on(body)

    def _pass_on(self, body: bytes | None) -> None:
        connection = http.client.HTTPConnection(self.server.behind, timeout=ENOUGH)
        wanted = {name: self.headers[name] for name in ("Content-Type",) if name in self.headers}
        connection.request(self.command, self.path, body, wanted)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Security-Policy"):
            if value := answer.headers[name]:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keeps the test's output clean."""
