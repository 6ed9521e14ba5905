"""Runs the service until it is told to end, and then lets it finish what it has begun."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from leafgraft.errors import UserError

NOTICE = 0.5
"""Seconds in which callers with an open connection are told that the service ends, instead of being cut off."""

LONGEST = 60
"""Seconds after which the end does not wait any longer for what was begun."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bound(host: str, port: int) -> socket.socket:
    """Take a port; callers wait from now on.

    Raises:
        UserError: the port is taken or forbidden, or this machine has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        # asyncio looks for the protocol by number: without it, it leaves Nagle's algorithm on, which costs 40 ms.
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere the option lets two processes share a port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except BaseException:
            listening.close()
            raise
        return listening
    except socket.gaierror:
        raise UserError(f"This machine has no address {host!r}; name another with --host.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"The port {port} of {host} is in use; name another with --port.") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(f"This machine has no address {host!r}; name another with --host.") from None
        raise UserError(f"The port {port} of {host} cannot be used ({error.strerror}); name another.") from None


def run(app: FastAPI, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun; a second signal does not wait for that.

    Args:
        app: from `leafgraft.serve.app.create_app`.
        listening: from `bound`.
        ready: called once requests are answered.
    """
    server(app, ready).run(sockets=[listening])


def server(app: FastAPI, ready: Callable[[], None]) -> uvicorn.Server:
    """What `run` runs."""
    config = uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, server_header=False, ws="none", lifespan="on",
        timeout_graceful_shutdown=LONGEST, timeout_keep_alive=30,
    )  # fmt: skip
    return _Server(config, app, ready)


class _Server(uvicorn.Server):
    """First refuses what is new, then ends when all that was begun is done.

    uvicorn alone closes its port and idle connections at once, and a caller who is about to send over one of these
    cannot know whether the request was taken.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app, self._ready = app, ready
        self._told_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; called by a signal, which Python lets interrupt the main thread anywhere."""
        if self._told_at is not None:
            self.should_exit = self.force_exit = True
        self._told_at = self._told_at or time.monotonic()
        self._app.state.service.stopping = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end."""
        if self._told_at is not None:
            waited = time.monotonic() - self._told_at
            if waited > LONGEST or (waited > NOTICE and not self._app.state.service.active):
                self.should_exit = True
        return await super().on_tick(counter)
