"""What an audit found, as sections of a page, each with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from leafgraft.audit.examine import FEW, TINY, UNEVEN, Audit
from leafgraft.photos import Photo, UnreadablePhoto, load_canvas
from leafgraft.report.page import Group, Section, Severity, Thumb, thumbnail

SHOWN = 12
"""Groups of photos that a section shows, at most; all are in the JSON."""

OF_A_GROUP = 6
"""Photos of a group that are shown, at most."""


def sections(found: Audit, shown: int = SHOWN) -> list[Section]:
    """Put an audit into words and pictures.

    Args:
        found: the audit.
        shown: groups of photos that each section shows, at most.
    """
    return [section for section in _all(found, shown) if section is not None]


def _all(found: Audit, shown: int) -> Iterator[Section | None]:
    yield _of_groups(
        "across-labels", "Copies with different labels", found.across_labels, "mend", shown,
        "At least one label of each is wrong. Remove the copies that are labelled wrongly.",
    )  # fmt: skip
    yield _of_groups(
        "across-splits", "Copies on different sides of the split", found.across_splits, "mend", shown,
        "What is trained on must not be tested on, or the figure is too high. Training leaves these photos out on its "
        "training side.",
    )  # fmt: skip
    yield _of_photos(
        "unreadable", "Files that cannot be used", found.unreadable, "mend", shown,
        "They are left out of every training. Repair or remove them.", lambda photo: photo.problem,
    )  # fmt: skip
    yield _doubts(found, shown)
    yield _border(found)
    yield _of_groups(
        "exact", "Files that are there more than once", found.exact, "look", shown,
        "A split keeps them on one side. Remove all but one: they add nothing.",
    )  # fmt: skip
    yield _of_groups(
        "near", "The same picture more than once", found.near, "look", shown,
        "Resized, compressed, mirrored or cropped copies. A split keeps them on one side. Remove all but the best.",
    )  # fmt: skip
    yield _of_groups(
        "bursts", "Bursts of one plant", found.bursts, "look", shown,
        "Taken in a row, and alike. A split keeps them on one side. They count as little more than one photo each.",
    )  # fmt: skip
    odd = {id(photo): deviations for photo, deviations in found.outliers}
    yield _of_photos(
        "outliers", "Odd ones out", [photo for photo, _ in found.outliers], "look", shown,
        "Photos that are like no other. Remove those that show no plant.",
        lambda photo: f"{odd[id(photo)]:.1f} deviations from the rest",
    )  # fmt: skip
    yield _of_photos(
        "blurred", "Blurred", found.blurred, "look", shown, "Nothing in them is sharp. Remove them unless what is to "
        "be named looks like that, too.", lambda photo: "",
    )  # fmt: skip
    yield _of_photos(
        "dark", "Dark", found.dark, "look", shown, "Nearly black. Remove them unless what is to be named looks so.",
        lambda photo: "",
    )  # fmt: skip
    yield _of_photos(
        "tiny", f"Below {TINY} pixels", found.tiny, "look", shown, "The network looks at 224 x 224 pixels. Find larger "
        "copies.", lambda photo: f"{photo.width} x {photo.height}",
    )  # fmt: skip
    yield _balance(found)


def _of_groups(
    name: str, title: str, groups: Sequence[Sequence[Photo]], severity: Severity, shown: int, advice: str
) -> Section:
    if not groups:
        return Section(name, title, "", "fine", "None.")
    files = sum(map(len, groups))
    text = f"{len(groups):,} {'group' if len(groups) == 1 else 'groups'}, {files:,} files."
    pictures = [
        Group(_caption(group), [_thumb(photo, photo.label) for photo in group[:OF_A_GROUP]]) for group in groups[:shown]
    ]
    return Section(name, title, advice, severity, text, pictures, max(0, len(groups) - shown))


def _of_photos(
    name: str,
    title: str,
    photos: Sequence[Photo],
    severity: Severity,
    shown: int,
    advice: str,
    caption: Callable[[Photo], str],
) -> Section:
    if not photos:
        return Section(name, title, "", "fine", "None.")
    text = f"{len(photos):,} {'file' if len(photos) == 1 else 'files'}."
    pictures = [_thumb(photo, caption(photo) or photo.label) for photo in photos[:shown]]
    return Section(name, title, advice, severity, text, [Group("", pictures)], max(0, len(photos) - shown))


def _caption(group: Sequence[Photo]) -> str:
    labels = " and ".join(dict.fromkeys(photo.label for photo in group if photo.label))
    return labels + (f": {OF_A_GROUP} of {len(group):,} files" if len(group) > OF_A_GROUP else "")


def _doubts(found: Audit, shown: int) -> Section | None:
    if found.doubts is None:
        return None
    title = "Labels that are likely wrong"
    if not found.doubts:
        return Section("labels", title, "", "fine", "None.")
    count = len(found.doubts)
    pictures = [
        _thumb(doubt.photo, f"labelled {doubt.photo.label}, looks like {doubt.suggested}")
        for doubt in found.doubts[:shown]
    ]
    return Section(
        "labels", title, "Look at each, the most doubtful first, and correct the label or leave it as it is.", "look",
        f"{count:,} {'photo looks' if count == 1 else 'photos look'} like another species to a classifier that has not "
        "seen them.",
        [Group("", pictures)], max(0, count - shown),
    )  # fmt: skip


def _border(found: Audit) -> Section | None:
    if found.border is None:
        return None
    title = "What the border tells"
    text = (
        f"From the colours along the border alone, {100 * found.border.accuracy:.0f} % of the photos are named "
        f"rightly; always naming the commonest species gives {100 * found.border.chance:.0f} %."
    )
    if not found.border.tells:
        return Section("border", title, "", "fine", text)
    advice = (
        "A classifier can learn the place or the studio instead of the plant, and fail elsewhere, whatever its "
        "accuracy here. Take photos of each species in several places, or test on photos from elsewhere."
    )
    return Section("border", title, advice, "mend", text)


def _balance(found: Audit) -> Section:
    title = "Photos of each species"
    counts = found.counts
    if not counts:
        return Section("balance", title, "", "mend", "There are none.")
    rarest, commonest = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    text = f"From {counts[rarest]:,} ({rarest}) to {counts[commonest]:,} ({commonest})."
    if counts[rarest] == counts[commonest]:
        text = f"{counts[rarest]:,} each."
    if found.few:
        names = ", ".join(found.few[:10]) + (f" and {len(found.few) - 10} more" if len(found.few) > 10 else "")
        text += f" Fewer than {FEW}: {names}."
        return Section("balance", title, "Find more photos of them, or leave them out.", "look", text)
    if found.unevenness >= UNEVEN:
        advice = "Look at the mean accuracy of the species (macro F1) instead of the accuracy, or find more photos."
        return Section("balance", title, advice, "look", text)
    return Section("balance", title, "", "fine", text)


def _thumb(photo: Photo, caption: str) -> Thumb:
    try:
        picture = thumbnail(load_canvas(photo.path))
    except UnreadablePhoto:
        picture = None
    return Thumb(picture, photo.path.as_posix(), caption)
