"""How lasting work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is (0 where that is not known)."""


@contextmanager
def under_way(progress: Progress | None, text: str) -> Iterator[None]:
    """Say that the block is at work, for what takes seconds and cannot tell how far it is."""
    if progress:
        progress(text, 0, 0)
    yield
    if progress:
        progress(text, 1, 1)
