"""Checkpoints: all that a training has to remember, on disk, so that it can be killed at any moment and go on.

A folder with ``state.json`` and one file of arrays, which ``state.json`` names together with its digest. The arrays
are written first and ``state.json`` last, each under a temporary name, so that there is always one whole checkpoint or
none. No part of it can run code: JSON, and NumPy arrays without pickled objects.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.errors import UserError
from leafgraft.files import sha256, sweep, whole, write_json
from leafgraft.safety.archive import arrays
from leafgraft.safety.plain import text_in

STATE = "state.json"
FORMAT = 1
MOST_FACTS, MOST_ARRAYS = 1 << 28, 1 << 33
"""Bytes of each, at most: ResNet50 with all that is kept of it takes 400 MB."""

EVERY = 60.0
"""Seconds between two checkpoints, unless something is finished or somebody wants to end."""


@dataclass(frozen=True)
class Part:
    """What one part of a training remembers.

    Attributes:
        facts: plain data, for JSON.
        arrays: taken one after another when they are written, so that copies need not lie in memory together.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    arrays: Iterable[NDArray[Any]] = ()


class Checkpoint:
    """The state of one training on disk.

    Each part of the training takes what it remembered, if there is anything, and says how to ask it from then on::

        if found := checkpoint.take("history"):
            self.history[:] = found.facts["rows"]
        checkpoint.keep("history", lambda: Part({"rows": self.history}))
    """

    def __init__(
        self,
        folder: Path,
        belongs: str,
        *,
        every: float = EVERY,
        ending: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Open a checkpoint, or begin one. The caller sees to it that no other process does.

        Args:
            folder: where it lies.
            belongs: names the data and the settings of the training; a checkpoint of others is refused.
            every: seconds between two of them.
            ending: whether somebody wants to end the training.
            say: told in a line what is wrong with a checkpoint.

        Raises:
            UserError: there is one, of other data or settings.
        """
        self.folder, self._belongs, self._every, self._ending, self._say = folder, belongs, every, ending, say
        self._parts: dict[str, Callable[[], Part]] = {}
        self._last = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        self._found = self._read()
        self._tidy()

    def _read(self) -> dict[str, Part]:
        if not (self.folder / STATE).exists():
            return {}
        try:
            whose, parts = read(self.folder)
        except UserError:
            self._say(f"The checkpoint in {self.folder} is damaged; the training begins again.")
            return {}
        if whose != self._belongs:
            raise UserError(
                f"The checkpoint in {self.folder} is of other photos or settings: put them back to go on, or begin "
                "again in another folder."
            )
        return parts

    def _tidy(self) -> None:
        """Remove the arrays that ``state.json`` does not name: older ones, or those of a process that was killed."""
        try:
            named = json.loads((self.folder / STATE).read_text(encoding="utf-8"))["arrays"]
        except (OSError, ValueError, KeyError, TypeError):
            named = None
        for path in self.folder.glob("arrays-*.npz"):
            if path.name != named:
                path.unlink()

    def take(self, name: str) -> Part | None:
        """What a part remembers; None if there is nothing. It is handed out once."""
        return self._found.pop(name, None)

    def keep(self, name: str, state: Callable[[], Part]) -> None:
        """Ask a part for its state whenever a checkpoint is written from now on."""
        self._parts[name] = state

    @property
    def due(self) -> bool:
        """Whether it is time to write: there is much to lose, or somebody wants to end."""
        return self._ending() or time.monotonic() - self._last >= self._every

    def write(self) -> None:
        """Write a checkpoint; one that cannot be written is told of, and the earlier one stays.

        Raises:
            UserError: the folder is gone.
            KeyboardInterrupt: somebody wants to end, and now nothing is lost.
        """
        if not self.folder.is_dir():
            raise UserError(f"{self.folder} was removed while the training was at work; give the same command again.")
        parts = {name: state() for name, state in self._parts.items()}
        parts = {**self._found, **parts}  # also what nobody has come to ask for yet
        name, counts = f"arrays-{uuid.uuid4().hex}.npz", dict.fromkeys(parts, 0)
        try:
            with whole(self.folder / name) as temporary:
                with zipfile.ZipFile(temporary, "w") as archive:  # as np.savez does, but one array at a time
                    for part, content in parts.items():
                        for array in content.arrays:
                            with archive.open(f"{part}/{counts[part]}.npy", "w", force_zip64=True) as member:
                                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
                            counts[part] += 1
                digest = sha256(temporary)
            facts = {part: content.facts for part, content in parts.items()}
            write_json(
                self.folder / STATE,
                {"format": FORMAT, "belongs": self._belongs, "arrays": name, "sha256": digest, "counts": counts}
                | {"facts": facts},
            )
        except OSError as error:
            self._say(
                f"No checkpoint could be written to {self.folder} ({error.strerror or error}): the training goes on, "
                "but what it does from here on would be lost."
            )
        self._tidy()
        self._last = time.monotonic()
        if self._ending():
            raise KeyboardInterrupt

    def inner(self, name: str) -> Checkpoint:
        """A checkpoint of a training within this one."""
        return Checkpoint(
            self.folder / name, f"{self._belongs} {name}", every=self._every, ending=self._ending, say=self._say
        )

    def remove(self) -> None:
        """Remove it, when the training is over."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read(folder: Path) -> tuple[str, dict[str, Part]]:
    """Read a checkpoint: what it belongs to, and its parts.

    Raises:
        UserError: it is damaged, or of another version's format.
    """
    try:
        state = json.loads(text_in(folder / STATE, MOST_FACTS))
        whose, name, counts = str(state["belongs"]), Path(state["arrays"]).name, dict(state["counts"])
        if state["format"] != FORMAT or sha256(folder / name) != state["sha256"]:
            raise ValueError
        found = arrays(folder / name, most=MOST_ARRAYS)
        return whose, {
            part: Part(state["facts"][part], [found[f"{part}/{i}"] for i in range(count)])
            for part, count in counts.items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"The checkpoint in {folder} is damaged; without it the training begins again.") from None
