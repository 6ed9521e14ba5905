"""A hub on loopback, which answers what the package of Hugging Face asks of it, with one data set, ``me/plants``."""

from __future__ import annotations

import hashlib
import http.server
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "c0ffee" * 6 + "beef"


class Hub(http.server.ThreadingHTTPServer):
    """Serves a folder as a data set; everything else it does not know. Keeps what it was asked for."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        address = urlparse(self.path)
        self.server.asked.append(address.path)
        parts = unquote(address.path).strip("/").split("/")
        match parts:
            case ["api", "datasets", "me", "plants", "tree", _, *inner] if (
                top := self.server.folder.joinpath(*inner)
            ).is_dir():
                deep = parse_qs(address.query).get("recursive") == ["true"]
                self._json([self._entry(path) for path in sorted(top.rglob("*") if deep else top.iterdir())])
            case ["api", "datasets", "me", "plants"] | ["api", "datasets", "me", "plants", "revision", _]:
                self._json({"id": "me/plants", "sha": COMMIT, "siblings": [], "private": False, "tags": []})
            case ["datasets", "me", "plants", "resolve", _, *inner] if (
                file := self.server.folder.joinpath(*inner)
            ).is_file():
                data = file.read_bytes()
                self._send(200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT})
            case _ if "plants" in parts[:4]:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            case _:
                self._send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _entry(self, path: Path) -> dict[str, Any]:
        kind, size = ("directory", 0) if path.is_dir() else ("file", path.stat().st_size)
        return {"type": kind, "path": path.relative_to(self.server.folder).as_posix(), "size": size, "oid": "0" * 40}

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass
