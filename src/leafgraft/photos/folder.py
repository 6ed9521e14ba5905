"""A folder or a CSV of photos to records, each photo checked by decoding it once."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from leafgraft.errors import UserError
from leafgraft.photos.decode import CANVAS_SHORT, UnreadablePhoto, decode, read_bytes
from leafgraft.photos.manifest import SPLITS, columns, read_manifest
from leafgraft.photos.photo import Photo
from leafgraft.safety.plain import CONTROL

__all__ = ["Photo", "scan"]

_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "garden.json"}
_PAPERS = {"readme", "license", "licence", "copying", "notice", "citation", "changelog", "manifest"}
_BATCH = 1024  # files handed to the threads at a time, so that a million of them do not queue up in memory


def scan(
    source: Path,
    *,
    classes: Sequence[str] | None = None,
    fewest: int = 2,
    group_by: str | None = None,
    follow_links: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    examine: Callable[[list[Photo]], Iterable[Photo]] | None = None,
) -> list[Photo]:
    """List every photo of a data set and what is wrong with it.

    The source is one of

    - a folder per species: ``source/rose/a.jpg``, subfolders of a species included;
    - the same below ``train``, ``val`` (or ``valid``, ``validation``) and ``test``, which then give the split;
    - a CSV with the columns path and label, and optionally split and group; paths start from the CSV's folder. A
      manifest of an earlier run is such a CSV; its rows with a problem stay out.

    Every file is in the result, the unusable ones with a ``problem``; only hidden files, the droppings of operating
    systems and a README or the like at the top are passed over. Links are followed as long as they lead to a file
    within the source folder: whoever packed the folder could otherwise have any file of the machine read. Identical
    files share a ``group``; identical files under different labels contradict each other and all stay out.

    Args:
        source: the folder or the CSV.
        classes: the only species wanted; others are not even read. By default all.
        fewest: how many species there have to be: 2 for training, 1 for photos that are only looked at.
        group_by: what photos belong together by: the name of a column of the CSV, or a regular expression, whose match
            in the path below ``source`` (its first group, if it has one) is the same for photos of one group.
        follow_links: whether links that leave the folder are followed as well, to files and to folders; each folder is
            listed once, so that links may lead round in circles.
        threads: how many files are decoded at once; by default one for each processor.
        progress: called with (files done, files in all) from the calling thread.
        examine: reads photos in place of these threads, and gives them back in their order with what was found.

    Returns:
        Photos sorted by path; those from a CSV in its order.

    Raises:
        UserError: no such folder or CSV; nothing in it; fewer species with a usable photo than ``fewest``; an unknown
            name in ``classes``; ``group_by`` is neither a column nor an expression that matches.
    """
    photos = list(unread(source, group_by=group_by, follow_links=follow_links))
    if not photos:
        raise UserError(f"{source} is empty: it needs one subfolder of photos per species.")
    if group_by is not None and not (source.is_file() and group_by.strip().lower() in columns(source)):
        photos = _grouped(photos, source, group_by)
    if classes is not None:
        photos = _only(photos, [normalize("NFC", name) for name in classes], source)
    photos = [photo if CONTROL.isdisjoint(photo.label) else _unnameable(photo) for photo in photos]
    read = _examined(photos, threads or os.cpu_count() or 1, progress) if examine is None else examine(photos)
    photos = _without_contradictions(list(read), source)
    _require_species(photos, source, fewest)
    return photos


def unread(source: Path, *, group_by: str | None = None, follow_links: bool = False) -> Iterator[Photo]:
    """List photos one by one without reading them; see `scan`.

    Raises:
        UserError: no such folder or CSV, or it cannot be opened.
    """
    if source.is_dir():
        try:
            yield from _walk(source, _Links(source.resolve(), follow_links))
        except OSError as error:
            raise UserError(f"{error.filename} cannot be opened ({error.strerror}): see to its permissions.") from error
    elif source.is_file():
        yield from _listed_once(read_manifest(source, group_by=group_by))
    else:
        raise UserError(f"There is no folder or CSV {source}: give a folder with one subfolder of photos per species.")


class _Links:
    """Which links are followed, and which folders have been listed."""

    def __init__(self, root: Path, follow: bool) -> None:
        self._root, self._follow, self._listed = root, follow, {root}

    def is_folder(self, entry: Path) -> bool:
        """Whether an entry is gone into: what a link within the folder leads to is listed where it lies."""
        return entry.is_dir() and (not entry.is_symlink() or (self._follow and not self._within(entry.resolve())))

    def problem(self, entry: Path) -> str:
        """What keeps an entry that is no folder from being a photo, if it is a link."""
        if not entry.is_symlink():
            return ""
        try:
            target = entry.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself
            return "a link to nothing"
        if not self._follow and not self._within(target):
            return "a link that leaves the folder; --follow-links takes it"
        return "a link to a folder" if target.is_dir() else ""

    def is_new(self, folder: Path) -> bool:
        """Whether a folder is met for the first time; asked once for each that is gone into."""
        if not self._follow:
            return True
        real = folder.resolve()
        new = real not in self._listed
        self._listed.add(real)
        return new

    def _within(self, target: Path) -> bool:
        return target.is_relative_to(self._root)


def _walk(source: Path, links: _Links) -> Iterator[Photo]:
    """Go through a folder in either of the two layouts."""
    tops = [entry for entry in _entries(source) if links.is_folder(entry)]
    sides = {top: SPLITS[top.name.lower()] for top in tops if top.name.lower() in SPLITS}
    if "train" not in sides.values() and len(sides) < len(tops):
        yield from _species_folders(source, "", links)
        return
    for entry in _entries(source):
        if entry in sides:
            if links.is_new(entry):
                yield from _species_folders(entry, sides[entry], links)
        elif links.is_folder(entry):
            for photo in _files(entry, "", "", links):
                yield replace(photo, problem="not in train, val or test")
        elif entry.stem.lower() not in _PAPERS:
            yield Photo(entry, "", problem=links.problem(entry) or "not in a species folder")


def _species_folders(top: Path, side: str, links: _Links) -> Iterator[Photo]:
    for entry in _entries(top):
        if links.is_folder(entry):
            label = normalize("NFC", entry.name).strip()
            for photo in _files(entry, label, side, links):
                yield photo if label else replace(photo, problem=photo.problem or "in a folder whose name is blank")
        elif entry.stem.lower() not in _PAPERS:
            yield Photo(entry, "", side, problem=links.problem(entry) or "not in a species folder")


def _files(folder: Path, label: str, side: str, links: _Links) -> Iterator[Photo]:
    if not links.is_new(folder):
        yield Photo(folder, label, side, problem="a folder that is listed already")
        return
    entries = _entries(folder)
    if not entries:
        yield Photo(folder, label, side, problem="is a folder, and empty")
    for entry in entries:
        if links.is_folder(entry):
            yield from _files(entry, label, side, links)
        else:
            yield Photo(entry, label, side, problem=links.problem(entry))


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, in the order of the paths of all that is below it."""
    entries = [
        entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.name.lower() not in _JUNK
    ]
    return sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir())


def _grouped(photos: list[Photo], source: Path, pattern: str) -> list[Photo]:
    """Give photos a group by what an expression finds in their paths; those where it finds nothing keep theirs."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group-by {pattern!r} is neither a column nor a regular expression ({error}).") from None
    base = source if source.is_dir() else source.parent

    def below(photo: Photo) -> str:
        return (photo.path.relative_to(base) if photo.path.is_relative_to(base) else photo.path).as_posix()

    def name(photo: Photo) -> str:
        found = expression.search(below(photo))
        return "" if found is None else (found[1] if expression.groups else found[0]) or ""

    names = [name(photo) for photo in photos]
    if not any(names):
        example = next((photo for photo in photos if not photo.problem), photos[0])
        raise UserError(
            f"--group-by {pattern!r} is no column of a CSV and matches no path in {source}, for instance "
            f"{below(example)}; write an expression like 'plant\\d+'."
        )
    return [replace(photo, group=group or photo.group) for photo, group in zip(photos, names, strict=True)]


def _listed_once(photos: list[Photo]) -> list[Photo]:
    """Let the first of several equal lines of a CSV stand."""
    seen: set[tuple[str, str]] = set()
    result = []
    for photo in photos:
        line = (os.path.normpath(photo.path), photo.label)
        result.append(replace(photo, problem="listed twice") if line in seen and not photo.problem else photo)
        seen.add(line)
    return result


def _only(photos: list[Photo], classes: Sequence[str], source: Path) -> list[Photo]:
    known = sorted({photo.label for photo in photos} - {""})
    for name in classes:
        if name not in known:
            folded = {label.casefold(): label for label in known}
            near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded)]
            raise UserError(
                f'There is no species "{name}" in {source}: '
                + (f"did you mean {' or '.join(near)}?" if near else f"it has {_listing(known)}.")
            )
    return [photo for photo in photos if photo.label in classes or not photo.label]


def _examined(photos: list[Photo], threads: int, progress: Callable[[int, int], None] | None) -> Iterator[Photo]:
    """Decode every photo that has no problem yet, several at once, and keep the order."""
    done, total = 0, sum(not photo.problem for photo in photos)
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="decode")
    try:
        for start in range(0, len(photos), _BATCH):
            for before, photo in zip(
                photos[start : start + _BATCH], pool.map(_examine, photos[start : start + _BATCH]), strict=True
            ):
                if progress and not before.problem:
                    done += 1
                    progress(done, total)
                yield photo
    finally:
        pool.shutdown(cancel_futures=True)  # so that an interrupt does not wait for all the files still queued


def _examine(photo: Photo) -> Photo:
    if photo.problem:
        return photo
    try:
        data = read_bytes(photo.path)
        digest = hashlib.sha256(data).hexdigest()
        photo = replace(photo, sha256=digest, group=photo.group or digest[:16])
        _, (width, height) = decode(data, at_least=CANVAS_SHORT)
    except UnreadablePhoto as reason:
        return replace(photo, problem=str(reason))
    return replace(photo, width=width, height=height)


def _unnameable(photo: Photo) -> Photo:
    """A species that no classifier could name: a terminal would obey its name."""
    return replace(photo, problem=photo.problem or "a species with control characters in its name")


def _without_contradictions(photos: list[Photo], source: Path) -> list[Photo]:
    """Leave out identical files under different labels: whichever label is wrong would spoil training or the figure."""
    copies: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if not photo.problem:
            copies[photo.sha256].append(photo)
    base = source if source.is_dir() else source.parent
    result = []
    for photo in photos:
        other = next((copy for copy in copies.get(photo.sha256, ()) if copy.label != photo.label), None)
        if other and not photo.problem:
            place = other.path.relative_to(base) if other.path.is_relative_to(base) else other.path
            photo = replace(photo, problem=f"same bytes as {place.as_posix()}, labelled {other.label}")
        result.append(photo)
    return result


def _require_species(photos: list[Photo], source: Path, fewest: int) -> None:
    usable = sorted({photo.label for photo in photos if not photo.problem})
    if len(usable) >= fewest:
        return
    troubled = next((photo for photo in photos if photo.problem), None)
    first = f" (the first problem: {troubled.path.name}: {troubled.problem})" if troubled else ""
    if not usable:
        raise UserError(
            f"None of the {len(photos)} files in {source} is a usable photo{first}: "
            "put the photos of each species into a subfolder that bears its name."
        )
    inner = source / usable[0]
    if inner.is_dir() and sum(entry.is_dir() and not entry.is_symlink() for entry in _entries(inner)) >= 2:
        raise UserError(f"{source} has a single folder, {usable[0]}, with more folders inside: did you mean {inner}?")
    raise UserError(
        f"{source} has usable photos of a single species, {usable[0]}{first}: a classifier needs at least two."
    )


def _listing(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
