"""What the service counts and measures, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56)


class Metrics:
    """The figures of one service, apart from those of any other in the process.

    Attributes:
        requests: requests answered, by status.
        photos: photos answered to.
        unreadable: files that were no photo.
        decoding: seconds of each photo.
        answering: seconds of each batch.
        batches: photos of each batch.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "leafgraft_requests", "Requests answered, by status.", ["status"], registry=self._registry
        )
        self.photos = Counter("leafgraft_photos", "Photos answered to.", registry=self._registry)
        self.unreadable = Counter("leafgraft_unreadable_photos", "Files that were no photo.", registry=self._registry)
        self.decoding = Histogram(
            "leafgraft_decode_seconds", "Seconds of decoding a photo.", buckets=_SECONDS, registry=self._registry
        )
        self.answering = Histogram(
            "leafgraft_inference_seconds", "Seconds of answering a batch.", buckets=_SECONDS, registry=self._registry
        )
        self.batches = Histogram(
            "leafgraft_batch_photos", "Photos of a batch.", buckets=(1, 2, 4, 8, 16, 32), registry=self._registry
        )
        self._waiting = Gauge("leafgraft_queue_photos", "Photos that are not answered to yet.", registry=self._registry)

    def watch(self, waiting: Callable[[], int]) -> None:
        """Ask this for the length of the queue whenever the figures are read."""
        self._waiting.set_function(waiting)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
