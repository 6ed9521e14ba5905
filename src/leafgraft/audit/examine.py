"""The audit of a data set: every test of this room, and what follows from what they find."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leafgraft.audit.border import BorderProbe, border_probe
from leafgraft.audit.bursts import bursts
from leafgraft.audit.duplicates import near_duplicates
from leafgraft.audit.labels import out_of_fold, suspects
from leafgraft.audit.looks import looks
from leafgraft.audit.outliers import outliers
from leafgraft.audit.pairs import Pairs, as_pairs, groups_of, linked
from leafgraft.engine.probe import rooted
from leafgraft.photos.photo import Photo
from leafgraft.progress import Progress, under_way

FEW = 10
"""Fewer photos of a species than this are called few."""

UNEVEN = 5.0
"""From this ratio of the commonest to the rarest species on, a data set is called uneven."""

BLURRED = 30.0
"""Below this sharpness a photo is called blurred; see `leafgraft.audit.looks.Looks`."""

DARK = 25.0
"""Below this mean grey value, of 255, a photo is called dark."""

TINY = 112
"""Below this many pixels on its shorter side a photo is called tiny: half of what the network looks at."""

_TO_KEEP = {"test": 0, "val": 1}  # of copies on several sides, in this order


@dataclass(frozen=True)
class Doubt:
    """A photo whose label is doubted.

    Attributes:
        photo: with the label that it has.
        suggested: the species that it looks like.
        score: the probability of the label that it has, 0-1; the lower, the more doubtful.
    """

    photo: Photo
    suggested: str
    score: float


@dataclass(frozen=True)
class Audit:
    """What was found in a data set.

    Attributes:
        photos: every file that was seen, sorted as they came.
        exact: groups of usable files with the same bytes, and of files left out for their contradicting labels.
        near: groups of photos that show the same picture, but not all with the same bytes.
        bursts: groups of photos of one plant that were taken in a row and are not all copies of one picture.
        doubts: labels that are likely wrong, the most doubtful first; None if that was not looked into.
        outliers: photos that are like no other, and by how many deviations, the oddest first.
        blurred: photos that are nowhere sharp.
        dark: photos that are nearly black.
        tiny: photos with few pixels.
        border: how well the border alone names the species; None if that was not looked into.
        linked: for each of ``photos`` the number of the group that a split must keep together; -1 for unusable ones.
    """

    photos: list[Photo]
    exact: list[list[Photo]]
    near: list[list[Photo]]
    bursts: list[list[Photo]]
    doubts: list[Doubt] | None
    outliers: list[tuple[Photo, float]]
    blurred: list[Photo]
    dark: list[Photo]
    tiny: list[Photo]
    border: BorderProbe | None
    linked: list[int]

    @property
    def unreadable(self) -> list[Photo]:
        """Files that were left out before they could be decoded, whatever the reason."""
        return [photo for photo in self.photos if photo.problem and not photo.width]

    @property
    def across_labels(self) -> list[list[Photo]]:
        """Groups of copies that have different labels: one of them is wrong."""
        return [group for group in self._copies if len(_labels(group)) > 1]

    @property
    def across_splits(self) -> list[list[Photo]]:
        """Groups of copies that lie on different sides of the split that the data set brings."""
        return [group for group in self._copies if len(_sides(group)) > 1]

    @property
    def _copies(self) -> list[list[Photo]]:
        return [*self.exact, *self.near]

    @property
    def counts(self) -> dict[str, int]:
        """Usable photos of each species."""
        counts = Counter(photo.label for photo in self.photos if not photo.problem)
        return dict(sorted(counts.items()))

    @property
    def unevenness(self) -> float:
        """How many times as many photos the commonest species has as the rarest."""
        return max(self.counts.values()) / min(self.counts.values()) if self.counts else 1.0

    @property
    def few(self) -> list[str]:
        """Species with fewer than `FEW` photos."""
        return [label for label, count in self.counts.items() if count < FEW]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, files by their absolute paths."""
        doubts = [
            {"path": _path(doubt.photo), "label": doubt.photo.label, "suggested": doubt.suggested, "score": doubt.score}
            for doubt in self.doubts or ()
        ]
        return {
            "photos": len(self.photos),
            "usable": sum(not photo.problem for photo in self.photos),
            "exact_duplicates": _paths(self.exact),
            "near_duplicates": _paths(self.near),
            "across_labels": _paths(self.across_labels),
            "across_splits": _paths(self.across_splits),
            "bursts": _paths(self.bursts),
            "label_suspects": doubts,
            "outliers": [{"path": _path(photo), "deviations": round(odd, 2)} for photo, odd in self.outliers],
            "unreadable": [{"path": _path(photo), "reason": photo.problem} for photo in self.unreadable],
            "imbalance": {"counts": self.counts, "ratio": round(self.unevenness, 3), "few": self.few},
            "blurred": [_path(photo) for photo in self.blurred],
            "dark": [_path(photo) for photo in self.dark],
            "tiny": [_path(photo) for photo in self.tiny],
            "border_probe": None
            if self.border is None
            else {"accuracy": self.border.accuracy, "chance": self.border.chance},
        }

    def grouped(self) -> list[Photo]:
        """The photos, with copies and bursts in one group each, as a split wants them.

        Where the data set brings a split, photos to train on that are shown again on another side get a problem.
        """
        names: defaultdict[int, set[str]] = defaultdict(set)
        for photo, group in zip(self.photos, self.linked, strict=True):
            if group >= 0:
                names[group].add(photo.group or photo.sha256[:16])
        photos = [
            photo if group < 0 else replace(photo, group=min(names[group]))
            for photo, group in zip(self.photos, self.linked, strict=True)
        ]
        shown = {
            photo.path: next(other for other in group if other.split in ("val", "test"))
            for group in self.near
            for photo in group
            if photo.split == "train" and any(other.split in ("val", "test") for other in group)
        }
        return [
            replace(photo, problem=f"shows the same picture as {shown[photo.path].path}, in {shown[photo.path].split}")
            if photo.path in shown and not photo.problem
            else photo
            for photo in photos
        ]

    def cleaned(self) -> list[Photo]:
        """The photos as `grouped`, without what is certain to be wrong: it gets a problem.

        Of copies with one label one stays, the first of those to test on, else of those to validate on, else of all; of
        copies with different labels none does.
        """
        reasons = {}
        for group in self._copies:
            stays = min(group, key=lambda photo: _TO_KEEP.get(photo.split, len(_TO_KEEP)))
            for photo in group:
                other = next((other for other in group if other.label != photo.label), stays)
                if photo is other:
                    continue
                what = "a copy of" if photo.sha256 == other.sha256 else "shows the same picture as"
                labelled = f", labelled {other.label}" if other.label != photo.label else ""
                reasons[photo.path] = f"{what} {other.path}{labelled}"
        return [
            photo if before.problem else replace(photo, problem=reasons.get(photo.path, photo.problem))
            for before, photo in zip(self.photos, self.grouped(), strict=True)
        ]


def examine(
    photos: Sequence[Photo],
    features: NDArray[np.float32],
    *,
    thorough: bool = True,
    progress: Progress | None = None,
) -> Audit:
    """Examine a data set.

    Args:
        photos: as from `leafgraft.photos.scan`, usable or not.
        features: float32 (m, 2048), at least 0: pooled features of the m usable ones, in their order.
        thorough: whether to look for wrong labels and for telling borders as well, which takes longer.
        progress: told how far each lasting step is.
    """
    positions = [i for i, photo in enumerate(photos) if not photo.problem]
    usable = [photos[i] for i in positions]
    names = sorted({photo.label for photo in usable})
    places = {name: label for label, name in enumerate(names)}
    labels = np.array([places[photo.label] for photo in usable], np.int64)
    seen = looks([photo.path for photo in usable], progress)
    rows = rooted(features)
    n = len(usable)
    with under_way(progress, "Comparing the photos"):
        copies = _same_picture(rows, seen.grey, [photo.sha256 for photo in usable])
        in_a_row = bursts(rows, labels, [photo.path for photo in usable], seen.taken)
        given = _members([photo.group or photo.sha256 for photo in usable])
        together = linked(as_pairs(np.concatenate([copies, in_a_row, given])), n)
        odd = outliers(rows, together)

    def taken(groups: list[list[int]]) -> list[list[Photo]]:
        return [[usable[i] for i in group] for group in groups]

    near = [group for group in taken(groups_of(copies, n)) if len({photo.sha256 for photo in group}) > 1]
    picture = linked(copies, n)
    shots = in_a_row[picture[in_a_row[:, 0]] != picture[in_a_row[:, 1]]]
    doubts, border = None, None
    if thorough:
        doubts = _doubts(rows, labels, together, names, usable, progress)
        with under_way(progress, "Looking at the borders"):
            border = border_probe(seen.border, labels, together)
    members = [-1] * len(photos)
    for position, group in zip(positions, together.tolist(), strict=True):
        members[position] = group
    return Audit(
        photos=list(photos),
        exact=_same_bytes(photos),
        near=near,
        bursts=taken(groups_of(shots, n)),
        doubts=doubts,
        outliers=[(usable[i], deviations) for i, deviations in odd],
        blurred=[usable[i] for i in np.flatnonzero(seen.sharpness < BLURRED)],
        dark=[usable[i] for i in np.flatnonzero(seen.brightness < DARK)],
        tiny=[photo for photo in usable if min(photo.width, photo.height) < TINY],
        border=border,
        linked=members,
    )


def _same_picture(rows: NDArray[np.float32], grey: NDArray[np.uint8], digests: Sequence[str]) -> Pairs:
    """Pairs of the same picture. Of files with the same bytes one is compared: eleven would see none but each other."""
    once = np.sort(np.unique(digests, return_index=True)[1])
    near = once[near_duplicates(rows[once], grey[once])]
    return as_pairs(np.concatenate([near, _members(digests)]))


def _doubts(
    rows: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    names: Sequence[str],
    usable: Sequence[Photo],
    progress: Progress | None,
) -> list[Doubt] | None:
    with under_way(progress, "Looking for wrong labels"):
        # A species with a single group cannot be learned from one half and tried on another.
        told = [label for label in range(len(names)) if len(np.unique(groups[labels == label])) > 1]
        judged = np.flatnonzero(np.isin(labels, told))
        numbers = np.searchsorted(told, labels[judged])
        probabilities = out_of_fold(rows[judged], numbers, groups[judged], len(told))
        if probabilities is None:
            return None
        found = suspects(numbers, probabilities)
    return [Doubt(usable[judged[one.position]], names[told[one.suggested]], round(one.score, 6)) for one in found]


def _members(names: Sequence[str]) -> NDArray[np.int64]:
    """Pairs that link each with the next of the same name."""
    last: dict[str, int] = {}
    couples = []
    for position, name in enumerate(names):
        if name in last:
            couples.append((last[name], position))
        last[name] = position
    return as_pairs(couples)


def _same_bytes(photos: Sequence[Photo]) -> list[list[Photo]]:
    """Groups of usable files with the same bytes, and of files left out for their contradicting labels."""
    files: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo.sha256 and photo.width:
            files[photo.sha256].append(photo)
    usable = {digest: [photo for photo in group if not photo.problem] for digest, group in files.items()}
    found = [usable[digest] or (group if len(_labels(group)) > 1 else []) for digest, group in files.items()]
    return [group for group in found if len(group) > 1]


def _labels(group: Sequence[Photo]) -> set[str]:
    return {photo.label for photo in group}


def _sides(group: Sequence[Photo]) -> set[str]:
    return {photo.split for photo in group if photo.split}


def _path(photo: Photo) -> str:
    return photo.path.absolute().as_posix()


def _paths(groups: Sequence[Sequence[Photo]]) -> list[list[str]]:
    return [[_path(photo) for photo in group] for group in groups]


def brief(found: Audit) -> list[str]:
    """What matters before a training, a line each; nothing if all is well."""
    lines = []
    if found.across_labels:
        lines.append(_line(found.across_labels, "picture", "with more than one label; at least one is wrong"))
    if found.across_splits:
        lines.append(_line(found.across_splits, "picture", "on two sides of the given split; kept out of the training"))
    others = [group for group in (*found.exact, *found.near) if len(_labels(group)) == 1 and len(_sides(group)) < 2]
    if others:
        lines.append(_line(others, "picture", "in more than one copy; kept on one side of the split"))
    if found.bursts:
        lines.append(_line(found.bursts, "burst", "of one plant; kept on one side of the split"))
    if found.few:
        shown = ", ".join(found.few[:5]) + (f" and {len(found.few) - 5} more" if len(found.few) > 5 else "")
        lines.append(f"fewer than {FEW} photos: {shown}")
    if found.unevenness >= UNEVEN:
        lines.append(f"the commonest species has {found.unevenness:.0f} times as many photos as the rarest")
    if count := len(found.outliers):
        oddest = found.outliers[0][0].path.name
        lines.append(f"{count} photo{'s' * (count > 1)} like no other; the oddest is {oddest}")
    return lines


def _line(groups: Sequence[Sequence[Photo]], kind: str, what: str) -> str:
    count, names = len(groups), " and ".join(photo.path.name for photo in groups[0][:2])
    return f"{count} {kind}{'s' * (count > 1)} {what} (for instance {names})"
