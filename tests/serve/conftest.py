"""The service around the one real training, on a real port."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from leafgraft.bundle import Bundle
from leafgraft.serve.app import create_app
from leafgraft.serve.asking import MANY
from leafgraft.serve.run import bound, server
from leafgraft.serve.service import Service, Settings


@dataclass(frozen=True)
class Live:
    """A service that answers.

    Attributes:
        port: on loopback.
        client: of httpx, for its address.
        service: what answers.
        stop: begins its end, as the signal TERM does.
    """

    port: int
    client: httpx.Client
    service: Service
    stop: Callable[[], None]


@pytest.fixture(scope="session")
def bundles(trained_run: Path) -> tuple[Bundle, Bundle]:
    """The trained classifier, for one photo and for many."""
    return Bundle(trained_run), Bundle(trained_run, batch=MANY)


@contextmanager
def running(bundles: tuple[Bundle, Bundle], settings: Settings) -> Iterator[Live]:
    """Run a service in a thread."""
    app = create_app(bundles[0], settings, bundles[1])
    there = threading.Event()
    with bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        running = server(app, there.set)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        assert there.wait(60)

        def stop() -> None:
            running.handle_exit(signal.SIGTERM, None)

        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                yield Live(port, client, app.state.service, stop)
        finally:
            if not app.state.service.stopping:
                stop()
            thread.join(90)
            assert not thread.is_alive()


@pytest.fixture
def live(bundles: tuple[Bundle, Bundle]) -> Iterator[Callable[[Settings], Live]]:
    """Start services with settings of the test's own."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(running(bundles, settings))


@pytest.fixture(scope="module")
def plain(bundles: tuple[Bundle, Bundle]) -> Iterator[Live]:
    """A service with the default settings."""
    with running(bundles, Settings()) as service:
        yield service
