"""Training, validation and test: species by species, whole groups on one side, the same for the same seed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from leafgraft.errors import UserError
from leafgraft.photos.photo import Photo


def split(photos: Sequence[Photo], *, val: float = 0.15, test: float = 0.15, seed: int = 0) -> list[Photo]:
    """Assign photos to "train", "val" and "test".

    A species of n photos gets round(fraction * n) of them on a side, but at least one, and leaves at least one for
    training. All photos of a ``group`` come to lie on one side, so a side may miss its count by part of a group; only
    sides that the data set gives may divide one, and then the training copies of identical files get a problem. Groups
    are drawn in the order of a hash of seed and group: the order of the files does not matter, and photos that are
    added later move few of the others.

    Sides given by the data set are kept. If some photos already are "val" ("test"), nothing is added to that side, its
    fraction is ignored, and species that it lacks stay lacking there; otherwise it is drawn from the photos without a
    side and, when these do not suffice, from the "train" ones. Photos without a side follow their group when that has
    one. Photos with a problem get "".

    Args:
        photos: as from `folder.scan`.
        val: fraction to validate on while training, 0 <= val.
        test: fraction held out for the figure, 0 <= test, val + test < 1.
        seed: another seed gives another draw.

    Returns:
        The same photos in the same order.

    Raises:
        UserError: a fraction out of range; a species with too few photos or groups for one on each side; a species with
            none to train on.
    """
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise UserError(f"The fractions val={val} and test={test} have to be at least 0 and below 1 together.")
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if not photo.problem:
            groups[_group(photo)].append(photo)
    sides = {name: _given_side(group) for name, group in groups.items()}
    wanted = {side: share for side, share in (("test", test), ("val", val)) if share > 0 and side not in sides.values()}
    sides |= _draw({name: group for name, group in groups.items() if not sides[name]}, wanted, seed)

    def side_of(photo: Photo) -> str:
        if photo.problem:
            return ""
        if photo.split in ("val", "test") or (photo.split == "train" and _given_side(groups[_group(photo)])):
            return photo.split
        return sides[_group(photo)]

    result = _without_copies([replace(photo, split=side_of(photo)) for photo in photos])
    trained = {photo.label for photo in result if photo.split == "train"}
    for photo in result:
        if photo.split and photo.label not in trained:
            raise UserError(
                f"{photo.label} has photos to test or validate on but none to train on: move some to train."
            )
    return result


def _without_copies(photos: list[Photo]) -> list[Photo]:
    """Leave out files to train on whose very bytes are also validated or tested on."""
    held = {photo.sha256: photo for photo in photos if photo.split in ("val", "test") and photo.sha256}

    def judged(photo: Photo) -> Photo:
        other = held.get(photo.sha256) if photo.split == "train" else None
        return replace(photo, split="", problem=f"same bytes as {other.path}, in {other.split}") if other else photo

    return [judged(photo) for photo in photos]


def _draw(free: Mapping[str, Sequence[Photo]], wanted: Mapping[str, float], seed: int) -> dict[str, str]:
    """Choose a side for each of the groups that have none."""

    def turn(name: str) -> tuple[bool, bytes]:
        given = any(photo.split for photo in free[name])
        return given, hashlib.sha256(f"{seed} {name}".encode(errors="surrogatepass")).digest()

    sizes = {name: Counter(photo.label for photo in free[name]) for name in sorted(free, key=turn)}
    total = Counter(photo.label for group in free.values() for photo in group)
    left = Counter(label for size in sizes.values() for label in size)
    _require_enough(total, left, list(wanted))
    of_species: defaultdict[str, list[str]] = defaultdict(list)
    for name, size in sizes.items():
        for label in size:
            of_species[label].append(name)
    have = {side: Counter[str]() for side in wanted}
    sides: dict[str, str] = {}

    def can_go(name: str, side: str) -> bool:
        """Whether each of its species would keep a group for training and for every other side that still lacks it."""
        return name not in sides and all(
            left[label] - 1 > sum(not have[other][label] for other in wanted if other != side) for label in sizes[name]
        )

    def put(name: str, side: str) -> None:
        sides[name] = side
        have[side].update(sizes[name])
        left.subtract(sizes[name].keys())

    for side, share in wanted.items():
        for label in sorted(total):
            count = max(1, round(share * total[label]))
            for name in of_species[label]:
                if have[side][label] + sizes[name][label] <= count and can_go(name, side):
                    put(name, side)
            if not have[side][label]:
                possible = [name for name in of_species[label] if can_go(name, side)]
                if not possible:
                    raise UserError(
                        f"The groups of {label} reach over so many species that none is left for {side}: "
                        f"use smaller groups or leave the side out with --{side}-fraction 0."
                    )
                put(min(possible, key=lambda name: sizes[name][label]), side)
    return {name: sides.get(name, "train") for name in free}


def _require_enough(total: Mapping[str, int], groups: Mapping[str, int], wanted: list[str]) -> None:
    short = [label for label in sorted(total) if groups[label] < 1 + len(wanted)]
    if not short:
        return
    counts = [
        f"{label} ({total[label]} photo{'s' * (total[label] > 1)}"
        + (f" in {groups[label]} group{'s' * (groups[label] > 1)})" if groups[label] < total[label] else ")")
        for label in short
    ]
    raise UserError(
        f"Too few photos for one each in {', '.join(['train', *reversed(wanted)])}: {', '.join(counts[:10])}"
        + (f" and {len(counts) - 10} more species" if len(counts) > 10 else "")
        + f"; add photos, or leave a side out with --{wanted[-1]}-fraction 0."
    )


def _given_side(group: Sequence[Photo]) -> str:
    return next((photo.split for photo in sorted(group, key=lambda p: p.split) if photo.split in ("test", "val")), "")


def _group(photo: Photo) -> str:
    return photo.group or photo.sha256 or photo.path.as_posix()
