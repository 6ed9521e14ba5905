"""How lasting work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

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


@dataclass(frozen=True)
class Watch:
    """Who is told what a run does.

    Attributes:
        progress: told how far each lasting step is: what it is, how much is done, how much there is.
        say: given a line about what was found or decided.
        epoch: given the line of the history after each epoch.
        ending: says whether somebody wants to end.
    """

    progress: Progress | None = None
    say: Callable[[str], None] = lambda text: None
    epoch: Callable[[dict[str, Any]], None] = lambda row: None
    ending: Callable[[], bool] = lambda: False

    def heeding(self) -> Watch:
        """The same, but whatever tells how far it is ends with `KeyboardInterrupt` once somebody wants to end."""

        def told(text: str, done: int, total: int) -> None:
            if self.progress:
                self.progress(text, done, total)
            if self.ending():
                raise KeyboardInterrupt

        return replace(self, progress=told)


NOBODY = Watch()
"""Nobody is told."""
