"""A connection to a Ray cluster, or a cluster on this machine alone."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from leafgraft.errors import UserError
from leafgraft.hush import hushed

LOCAL = "local"
"""Stands for a cluster on this machine that lasts as long as the command."""


def prepared() -> None:
    """Import Ray, set up the way this project needs it.

    Raises:
        UserError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told what is computed here
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what its C++ says besides is for its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray will do by itself, and warns of
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise UserError("--cluster needs Ray: pip install 'leafgraft[cluster]'.") from None


@dataclass(frozen=True)
class Capacity:
    """What a cluster has.

    Attributes:
        processors: of all machines.
        machines: how many there are.
        smallest: processors of the smallest machine.
        gpus: of all machines.
    """

    processors: int
    machines: int
    smallest: int
    gpus: int

    @classmethod
    def now(cls) -> Capacity:
        """What the cluster has that this process is part of."""
        import ray

        found = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        each = [max(1, int(one["CPU"])) for one in found] or [1]
        return cls(sum(each), len(each), min(each), int(sum(one.get("GPU", 0) for one in found)))

    def workers_with(self, gpus: float) -> int:
        """How many workers with so many GPUs each, or a share of one, find a place.

        Raises:
            UserError: none.
        """
        if not gpus:
            return self.processors
        if self.gpus < gpus:
            raise UserError(f"--gpus-per-worker {gpus:g} finds no place: the cluster has {self.gpus} GPUs.")
        return int(self.gpus / gpus)


@contextmanager
def connected(address: str) -> Iterator[Capacity]:
    """Be part of a cluster while the block runs; where there is a connection already, it is used and stays.

    Args:
        address: "local", "auto" for a cluster that this machine belongs to, or "host:port" of its head.

    Yields:
        What the cluster has.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """
    prepared()
    import ray

    own = not ray.is_initialized()
    if own:
        _require_answer(address)
        settings = {"include_dashboard": False} if address == LOCAL else {}
        try:
            with hushed():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0]
            raise UserError(
                f"There is no Ray cluster at {address} ({first}); start one with: ray start --head, or take "
                "--cluster local."
            ) from error
    try:
        quiet()
        yield Capacity.now()
    finally:
        if own:
            ray.shutdown()


def _require_answer(address: str) -> None:
    """Knock at a host and port: Ray would wait there for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(
            f"There is no Ray cluster at {address} ({error.strerror or error}); give the address that ray start --head "
            "has printed, or take --cluster local."
        ) from None


def quiet() -> None:
    """Let Ray Data keep to itself what only its makers need."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
