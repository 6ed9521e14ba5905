"""Work on many photos in threads, in order and not far ahead of whoever reads the results."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from leafgraft.machine import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None) -> Iterator[Result]:
    """Map a function over items, several at a time.

    Items are taken, and results kept, only a few ahead of the reader, so that any number of them fits in memory.

    Args:
        work: is called in threads; what it raises is raised where its result would come.
        items: taken in the reader's thread.
        threads: how many at a time; by default one for each processor.
    """
    threads = threads or cores()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        ahead: collections.deque[Future[Result]] = collections.deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > 4 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
