"""Gathers what many callers ask at about the same time, so that the engine has several photos to work on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from leafgraft.serve.refusal import Busy

In = TypeVar("In")
Out = TypeVar("Out")

PATIENCE = 0.003
"""Seconds that a batch waits for more, if more is on the way."""


class Batcher(Generic[In, Out]):
    """One thread that does all the work, as much of it at once as has come together.

    A caller reserves places first, which is where too much is refused, then prepares what it has (decodes photos), and
    hands each item in. What is handed in alone is worked on at once; only while other items are on the way does a batch
    wait for them, and no longer than `PATIENCE`. While the thread works, the next batch gathers by itself.

    All methods may be called from any thread.
    """

    def __init__(
        self, work: Callable[[list[In]], Sequence[Out]], *, places: int, most: int, patience: float = PATIENCE
    ) -> None:
        """Start the thread.

        Args:
            work: answers to some items, in their order; called from the one thread only.
            places: items that are reserved, waiting or being worked on at a time.
            most: items that `work` gets at a time.
            patience: seconds.
        """
        self._work, self._places, self._most, self._patience = work, places, most, patience
        self._items: queue.SimpleQueue[tuple[In, Future[Out]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._taken = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    @property
    def taken(self) -> int:
        """Places that are not free."""
        return self._taken

    @property
    def alive(self) -> bool:
        """Whether what is handed in will be worked on."""
        return self._thread.is_alive() and not self._closed

    def reserve(self, count: int) -> None:
        """Take places, all of them or none; each has to be followed by `submit` or given back.

        Raises:
            Busy: fewer are free, or the batcher is closed.
        """
        with self._lock:
            if self._closed or self._taken + count > self._places:
                raise Busy
            self._taken += count

    def give_back(self, count: int = 1) -> None:
        """Free places that were reserved and are not needed."""
        with self._lock:
            self._taken -= count

    def submit(self, item: In) -> Future[Out]:
        """Hand in an item for which a place is reserved; its answer frees the place."""
        future: Future[Out] = Future()
        self._items.put((item, future))
        return future

    def close(self) -> None:
        """Take nothing new, finish what was reserved, and end the thread."""
        with self._lock:
            self._closed = True
        while self._taken and self._thread.is_alive():
            time.sleep(0.005)
        self._items.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._gathered():
            wanted = [(item, future) for item, future in batch if future.set_running_or_notify_cancel()]
            try:
                answers = self._work([item for item, _ in wanted]) if wanted else ()
                failure = None
            except Exception as error:  # whatever it is, the callers have to hear of it, and the thread has to go on
                answers, failure = (), error
            # Before the answers are out: a caller who has one and asks again must find the place free.
            self.give_back(len(batch))
            if failure is not None:
                for _, future in wanted:
                    future.set_exception(failure)
                continue
            for (_, future), answer in zip(wanted, answers, strict=True):
                future.set_result(answer)

    def _gathered(self) -> list[tuple[In, Future[Out]]]:
        """Wait for the next batch; empty when there will be no more."""
        first = self._items.get()
        if first is None:
            return []
        batch = [first]
        until = time.monotonic() + self._patience
        while len(batch) < self._most:
            # What is reserved and not in this batch is waiting already, or still being prepared.
            others = self._taken > len(batch)
            try:
                more = self._items.get(timeout=max(0.0, until - time.monotonic())) if others else self._items.get(False)
            except queue.Empty:
                break
            if more is None:
                self._items.put(None)
                break
            batch.append(more)
        return batch
