"""What a name like ``hf:owner/name,label=species`` asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from leafgraft.errors import UserError

OPTIONS = ("config", "image", "label", "split", "revision")


@dataclass(frozen=True)
class Request:
    """A data set of a hub, and what of it is wanted.

    Attributes:
        hub: "hf" or "tfds".
        name: what the hub calls it; the absolute path of a folder on this disk, if ``local``.
        local: whether it lies on this disk; "hf" only.
        config: one of its configurations; None for the only one.
        image: the column of the photos; None for the one that there is.
        label: the column of the labels; None for the one that there is.
        split: the one split that is wanted, which then counts as not split; None for all.
        revision: a commit, branch or tag; None for the newest.
    """

    hub: str
    name: str
    local: bool = False
    config: str | None = None
    image: str | None = None
    label: str | None = None
    split: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        """What a user would write."""
        options = ((name, getattr(self, name)) for name in OPTIONS)
        return f"{self.hub}:{self.name}" + "".join(f",{name}={value}" for name, value in options if value)


def parse(source: str | Path) -> Request | None:
    """Read a name such as ``hf:owner/name`` or ``tfds:name/config:version``, options behind it.

    Options follow after commas: ``config=``, ``image=`` and ``label=`` (columns), ``split=`` and ``revision=``. What
    follows ``hf:`` may also be a folder on this disk, and is one if there is such a folder.

    Returns:
        What is asked for; None for anything else, also for a file or a folder that happens to be called so.

    Raises:
        UserError: there is no name behind the prefix, or an option that is not known.
    """
    text = source.as_posix() if isinstance(source, Path) else source  # Windows' Path has turned the slashes
    found = re.fullmatch(r"(hf|tfds):(.*)", text, re.DOTALL)
    if found is None or Path(source).exists():
        return None
    hub, rest = found.groups()
    name, *parts = re.split(r",(?=\w+=)", rest)
    options = dict(part.split("=", 1) for part in parts)
    known = OPTIONS if hub == "hf" else ("image", "label", "split")
    if unknown := [option for option in options if option not in known]:
        hint = "" if hub == "hf" else "; a configuration and a version go into the name, as tfds:NAME/CONFIG:VERSION"
        raise UserError(f"{text} has the option {unknown[0]}, and {hub}: knows {', '.join(known)}{hint}.")
    if not name:
        raise UserError(f"{text} names no data set; write {hub}: and its name, as its page on the hub has it.")
    folder = Path(name).expanduser()
    local = hub == "hf" and folder.is_dir()
    if hub == "hf" and not local and name.startswith((".", "/", "~")):
        raise UserError(f"There is no folder {name} for {text}; name one that is there, or a data set of Hugging Face.")
    return Request(hub, folder.absolute().as_posix() if local else name, local, **options)
