"""Plain files, texts and JSON, within bounds that are settled before they are read."""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

CONTROL = {*map(chr, range(32)), *map(chr, range(127, 160))}
"""What no name holds that is shown to people: a terminal would obey it."""
MOST_LETTERS = 1_000
"""In the name of a species."""

_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def require_plain(path: Path, most: int, *, links: bool = False) -> int:
    """Make sure that a path is a regular file and not too large; it is not opened.

    Args:
        path: the file.
        most: bytes that it may have.
        links: whether a symbolic link to such a file will do.

    Returns:
        Its size in bytes.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is something else.
    """
    found = path.stat() if links else path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'a device')}, not a plain file")
    if found.st_size > most:
        raise ValueError(f"it has {found.st_size:,} bytes, more than the {most:,} that such a file may have")
    return found.st_size


def text_in(path: Path, most: int) -> str:
    """Read a plain file in UTF-8 of at most ``most`` bytes.

    Raises:
        ValueError: it is something else; see `require_plain`.
    """
    require_plain(path, most)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None


def json_in(path: Path, most: int) -> Any:
    """Read a JSON file of at most ``most`` bytes, in which every number is finite.

    Raises:
        ValueError: it is something else.
    """
    return parsed(text_in(path, most))


def parsed(text: str | bytes) -> Any:
    """Parse JSON in which every number is finite.

    Raises:
        ValueError: it is none, or is nested deeper than Python can follow.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number")


def _finite(digits: str) -> float:
    if (value := float(digits)) in (float("inf"), float("-inf")):
        raise ValueError(f"it holds {digits[:20]}, which is beyond all numbers")
    return value


def unfit_names(names: Sequence[str]) -> str:
    """What is wrong with names of species, as the rest of a sentence, or an empty string."""
    if not all(isinstance(name, str) and name for name in names):
        return "hold something that is no name"
    if long := [name for name in names if len(name) > MOST_LETTERS]:
        return f"hold a species with {len(long[0]):,} letters, and {MOST_LETTERS:,} is the most"
    if odd := [name for name in names if not CONTROL.isdisjoint(name)]:
        return f"hold a species with control characters, {odd[0][:80]!r}"
    often, times = Counter(names).most_common(1)[0]
    return f"hold {often[:80]!r} twice" if times > 1 else ""
