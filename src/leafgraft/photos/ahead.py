"""Work on many photos in threads, in order and not far ahead of whoever reads the results."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from leafgraft.machine import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Map a function over items, as many at a time as there are processors.

    Items are taken, and results kept, only a few ahead of the reader, so that any number of them fits in memory.

    Args:
        work: is called in threads; what it raises is raised where its result would come.
        items: taken in the reader's thread.
    """
    with ThreadPoolExecutor(cores(), thread_name_prefix="decode") as pool:
        ahead: collections.deque[Future[Result]] = collections.deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > 4 * cores():
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
