"""Names of folders for labels."""

from __future__ import annotations

import re
from unicodedata import normalize

LONGEST = 120
"""Bytes of a folder's name; most systems take 255, and Windows has a limit on whole paths."""

# What Windows or Unix forbids, and what no terminal should see; lone surrogates cannot be written everywhere.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
# Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


class Folders:
    """Gives each label a folder of its own, called as the label is where every system can have such a folder.

    No two of them are the same to a system that takes small letters for capitals.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def __call__(self, label: str) -> str:
        """The folder of a label, the same each time."""
        if label not in self._names:
            plain, number = plain_name(label), 1
            name = plain
            while (key := normalize("NFC", name).casefold()) in self._taken:
                number += 1
                name = f"{plain} ({number})"
            self._taken.add(key)
            self._names[label] = name
        return self._names[label]


def plain_name(label: str) -> str:
    """A label if it may be a folder's name on Linux, macOS and Windows alike, else something like it that may."""
    name = _FORBIDDEN.sub("_", normalize("NFC", label)).strip(" ")
    if name.startswith("."):
        name = "_" + name[1:]  # or it would be hidden
    while len(name.encode()) > LONGEST:
        name = name[:-1]
    name = name.rstrip(". ")
    return f"_{name}" if not name or _RESERVED.fullmatch(name) else name
