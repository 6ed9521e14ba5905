"""What people say a photo really shows, kept in SQLite until somebody trains on it."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unicodedata import category, normalize

from leafgraft.errors import UserError
from leafgraft.files import whole_folder, write_csv
from leafgraft.photos.manifest import SPLITS

LONGEST = 100
"""Characters of a species' name."""

MANIFEST = "manifest.csv"

_OURS = 0x4C474354  # "LGCT", by which SQLite files of ours are told from others

_TABLE = """
CREATE TABLE IF NOT EXISTS corrections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    species TEXT NOT NULL,
    answer TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    photo BLOB NOT NULL
)
"""

# Of a photo that is corrected twice the later word counts: two labels of one photo would keep it out of training.
_ADD = """
INSERT INTO corrections (time, species, answer, sha256, photo) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (sha256) DO UPDATE SET time = excluded.time, species = excluded.species, answer = excluded.answer
RETURNING id
"""

_ENDINGS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp",
            b"II*\0": ".tif", b"MM\0*": ".tif"}  # fmt: skip

_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Correction:
    """One of them, without the photo's bytes.

    Attributes:
        id: its number.
        time: when it was made, ISO 8601 in UTC.
        species: what the photo shows, as a person says.
        answer: what the classifier said.
        sha256: of the photo.
    """

    id: int
    time: str
    species: str
    answer: str
    sha256: str


def tidy(species: str) -> str:
    """Bring a name that somebody typed into one form: NFC, single spaces.

    Raises:
        ValueError: nothing is left, it is too long, or it has characters that nobody can see; with the reason.
    """
    name = " ".join(normalize("NFC", species).split())
    if not name:
        raise ValueError("The species has no name.")
    if len(name) > LONGEST:
        raise ValueError(f"The name of the species is longer than {LONGEST} characters.")
    if any(category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn") for letter in name):
        raise ValueError("The name of the species has characters that cannot be written.")
    return name


class Corrections:
    """A file of corrections. Every call opens it anew, so any thread may call."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open it.

        Args:
            path: the file.
            create: whether it may be made.

        Raises:
            UserError: it is not there or cannot be opened, or is something else.
        """
        self.path = path
        if not create and not path.is_file():
            raise UserError(f"{path} is not there; name the file that leafgraft serve --corrections has written.")
        if not path.parent.is_dir():
            raise UserError(f"{path} cannot be made, as there is no folder {path.parent}; make it, or name another.")
        with self._said(), self._opened() as database:
            (ours,) = database.execute("PRAGMA application_id").fetchone()
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if ours != _OURS and (tables or not create):
                raise UserError(f"{path} is a database of something else; name another file.")
            if create:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute(f"PRAGMA application_id = {_OURS}")
                database.execute(_TABLE)
                database.commit()

    def add(self, species: str, answer: str, photo: bytes) -> int:
        """Keep one; it is on the disk when this returns.

        Args:
            species: a name from `tidy`.
            answer: what the classifier said.
            photo: the file as it was sent.

        Returns:
            Its number.

        Raises:
            sqlite3.Error: it cannot be written, for instance on a full disk.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._opened() as database:
            (number,) = database.execute(
                _ADD, (now, species, answer, hashlib.sha256(photo).hexdigest(), photo)
            ).fetchone()
            database.commit()
        return int(number)

    def all(self) -> list[Correction]:
        """All of them, in the order of their numbers."""
        with self._said(), self._opened() as database:
            rows = database.execute("SELECT id, time, species, answer, sha256 FROM corrections ORDER BY id")
            return [Correction(*row) for row in rows]

    def export(self, folder: Path) -> int:
        """Write a folder for each species, and `MANIFEST` with path,label for ``leafgraft train``.

        The manifest has the names as they are; folders bear them as far as all file systems allow.

        Args:
            folder: is made; must not exist, or be empty.

        Returns:
            How many photos.

        Raises:
            UserError: the folder is not empty or cannot be written, or there is nothing to write.
        """
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UserError(f"{folder} exists already; name a folder that is not there yet.")
        found = self.all()
        if not found:
            raise UserError(f"{self.path} has no corrections yet; make some on the page of the service.")
        places = _folders(sorted({one.species for one in found}))
        try:
            with whole_folder(folder, MANIFEST) as temporary, self._said(), self._opened() as database:
                rows = []
                for one in found:
                    (photo,) = database.execute("SELECT photo FROM corrections WHERE id = ?", (one.id,)).fetchone()
                    place = Path(places[one.species]) / f"{one.id:06d}{_ending(photo)}"
                    (temporary / place).parent.mkdir(exist_ok=True)
                    (temporary / place).write_bytes(photo)
                    rows.append({"path": place.as_posix(), "label": one.species})
                write_csv(temporary / MANIFEST, ("path", "label"), rows)
                temporary.chmod(0o755)
        except OSError as error:
            raise UserError(f"{folder} cannot be written ({error.strerror or error}); name another folder.") from error
        return len(found)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=10)) as database:
            yield database

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(f"{self.path} cannot be used for corrections ({error}); name another file.") from error


def _folders(species: list[str]) -> dict[str, str]:
    """A folder's name for each species, different for each also where upper and lower case are the same."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for one in species:
        name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", one).strip(" .") or "_"
        while len(name.encode("utf-8")) > 120:  # file systems count bytes
            name = name[:-1].rstrip(" .")
        if name.split(".")[0].lower() in _DEVICES or name.lower() in SPLITS:
            name += "_"
        plain, number = name, 1
        while name.casefold() in used:
            number += 1
            name = f"{plain} {number}"
        used.add(name.casefold())
        names[one] = name
    return names


def _ending(photo: bytes) -> str:
    if photo[4:8] == b"ftyp":
        return ".avif" if photo[8:11] == b"avi" else ".heic"
    return next((ending for start, ending in _ENDINGS.items() if photo.startswith(start)), ".img")
