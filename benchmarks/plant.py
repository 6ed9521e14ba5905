"""Plant known faults in a data set, for measuring what finds them: copies, wrong labels, and photos taken in a row.

python -m benchmarks.plant PHOTOS OUT [--seed 0]

Writes OUT/photos, the photos of PHOTOS (a folder per species) with the faults among them, and OUT/planted.json, which
says where they are. The same seed plants the same faults in the same photos under the same names.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageEnhance, ImageFilter, ImageOps

from leafgraft.files import sha256, write_json
from leafgraft.photos import open_photo

COUNTS: Mapping[str, int] = {"exact": 25, "resized": 25, "mirrored": 10, "cropped": 10, "swapped": 20}
"""How many faults of each kind are planted."""

FIRST = 30
"""Of how many label suspects, beginning with the most suspicious, a person is taken to look at all."""

_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")

Pair = tuple[str, str]


def plant(source: Path, target: Path, seed: int, counts: Mapping[str, int] = COUNTS) -> dict[str, Any]:
    """Copy a data set and plant faults in the copy, each at a photo of its own.

    Args:
        source: a folder per species.
        target: where the copy goes; must not exist, or be empty.
        seed: of what is left to chance.
        counts: how many faults of each kind. "exact" are the same bytes under another name; "resized" are scaled by
            0.4-0.8 and written as JPEG of quality 50-80; "mirrored" left to right, and "cropped" by a tenth of width
            and height at a random place, as JPEG of quality 90; "swapped" are moved to another species' folder.

    Returns:
        ``exact``, ``resized``, ``mirrored`` and ``cropped``, each a list of [original, copy]; ``swapped``, a list of
        {"path", "label", "true"}. Paths are absolute, with forward slashes.

    Raises:
        ValueError: there are fewer photos, or species, than faults need; or the target is not empty.
    """
    species = _species(source)
    _require_empty(target)
    for name, photos in species.items():
        (target / name).mkdir(parents=True)
        for photo in photos:
            shutil.copyfile(photo, target / name / photo.name)
    everything = [target / name / photo.name for name, photos in species.items() for photo in photos]
    chance = np.random.default_rng(seed)
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    chosen = _distinct(everything, len(kinds), chance)
    numbers = _unused_numbers(everything, len(kinds), chance)
    truth: dict[str, Any] = {kind: [] for kind in counts}
    for kind, photo, number in zip(kinds, chosen, numbers, strict=True):
        if kind == "swapped":
            true = photo.parent.name
            label = str(chance.choice([name for name in species if name != true]))
            moved = target / label / f"{_renumbered(species[label][0].stem, number)}{photo.suffix}"
            photo.rename(moved)
            truth[kind].append({"path": _absolute(moved), "label": label, "true": true})
            continue
        copy = photo.with_stem(_renumbered(photo.stem, number))
        if kind == "exact":
            shutil.copyfile(photo, copy)
        else:
            image, quality = _ALTERED[kind](open_photo(photo), chance)
            copy = copy if copy.suffix.lower() in (".jpg", ".jpeg") else copy.with_suffix(".jpg")
            image.save(copy, "JPEG", quality=quality)
        truth[kind].append([_absolute(photo), _absolute(copy)])
    return truth


def found(truth: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what was planted with what ``leafgraft check --json`` reports.

    A pair counts as found when both of its photos are in one group of exact or near duplicates, of one label or across
    labels. A reported pair is false when planting does not explain it, be it by way of other copies. It may still be
    right: data sets have copies of their own, so a person has to look at those.

    Args:
        truth: what `plant` returned.
        report: has ``exact_duplicates``, ``near_duplicates`` and ``across_labels``, lists of groups of paths; and
            ``label_suspects``, a list of {"path", "label", "suggested"} that begins with the most suspicious.

    Returns:
        ``pairs``, for each kind of copy how many were ``planted`` and ``found``, and the ``share``, 0-1; ``missed``,
        the pairs of each kind that were not found; ``reported_pairs``, how many there are; ``false_pairs``, their
        ``count``, ``share`` of the reported (0 if there are none) and ``list``; ``swapped``, how many were
        ``planted`` and how many of them are ``found`` ``among`` the first suspects, and with the ``right`` suggestion.
    """
    groups = [*report["exact_duplicates"], *report["near_duplicates"], *report["across_labels"]]
    reported = {pair for group in groups for pair in itertools.combinations(sorted(set(group)), 2)}
    planted: dict[str, list[Pair]] = {
        kind: [(min(pair), max(pair)) for pair in pairs] for kind, pairs in truth.items() if kind != "swapped"
    }
    missed = {kind: [pair for pair in pairs if pair not in reported] for kind, pairs in planted.items()}
    cluster = _clusters(pair for pairs in planted.values() for pair in pairs)
    false = sorted((one, other) for one, other in reported if one not in cluster or cluster[one] != cluster.get(other))
    true = {swap["path"]: swap["true"] for swap in truth.get("swapped", ())}
    suspects = [suspect for suspect in report["label_suspects"][:FIRST] if suspect["path"] in true]
    return {
        "pairs": {
            kind: {
                "planted": len(pairs),
                "found": len(pairs) - len(missed[kind]),
                "share": 1 - len(missed[kind]) / len(pairs),
            }
            for kind, pairs in planted.items()
            if pairs
        },
        "missed": {kind: [list(pair) for pair in pairs] for kind, pairs in missed.items()},
        "reported_pairs": len(reported),
        "false_pairs": {
            "count": len(false),
            "share": len(false) / len(reported) if reported else 0.0,
            "list": [list(pair) for pair in false],
        },
        "swapped": {
            "planted": len(true),
            "among": FIRST,
            "found": len({suspect["path"] for suspect in suspects}),
            "right": len({suspect["path"] for suspect in suspects if suspect["suggested"] == true[suspect["path"]]}),
        },
    }


def plant_bursts(source: Path, target: Path, seed: int, plants: int = 8, shots: int = 5) -> dict[str, Any]:
    """Make a data set in which each species is a few plants, each photographed several times in a row.

    A plant is a photo of the source, and its shots are what a person who moves a little and presses again would get:
    another 80-95 % of the area, turned by up to 8 degrees, up to 15 % brighter or darker and with more or less
    contrast, now and then out of focus or noisy. The camera writes the time into them, seconds apart within a plant and
    minutes from one plant to the next, and numbers them on and on through all species.

    Args:
        source: a folder per species.
        target: gets ``photos``, the data set, and ``fresh``, the photos of the source that it was not made from, as
            they are; must not exist, or be empty.
        seed: of what is left to chance.
        plants: how many of each species.
        shots: how many of each plant.

    Returns:
        ``bursts``, for each plant the absolute paths of its shots, in the order in which they were taken.

    Raises:
        ValueError: a species has no photo more than plants; or the target is not empty.
    """
    species = _species(source)
    if few := [name for name, photos in species.items() if len(photos) <= plants]:
        raise ValueError(f"{few[0]} has {len(species[few[0]])} photos; {plants} plants and fresh photos need more.")
    _require_empty(target)
    chance = np.random.default_rng(seed)
    numbers = itertools.count(1)
    clock = datetime(2024, 5, 4, 9, 0)
    bursts = []
    for name, photos in species.items():
        for folder in ("photos", "fresh"):
            (target / folder / name).mkdir(parents=True)
        order = [photos[i] for i in chance.permutation(len(photos))]
        for photo in order[:plants]:
            clock += timedelta(minutes=int(chance.integers(3, 15)))
            plant_in_focus = open_photo(photo)
            burst = []
            for _ in range(shots):
                clock += timedelta(seconds=int(chance.integers(1, 5)))
                path = target / "photos" / name / f"IMG_{next(numbers):04d}.jpg"
                _shot(plant_in_focus, chance).save(path, "JPEG", quality=85, exif=_taken_at(clock))
                burst.append(_absolute(path))
            bursts.append(burst)
        for photo in order[plants:]:
            shutil.copyfile(photo, target / "fresh" / name / photo.name)
    return {"bursts": bursts}


def _species(source: Path) -> dict[str, list[Path]]:
    """The photos of each species, both sorted."""
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    species = {
        folder.name: sorted(path for path in folder.iterdir() if path.suffix.lower() in _PHOTOS) for folder in folders
    }
    species = {name: photos for name, photos in species.items() if photos}
    if len(species) < 2:
        raise ValueError(f"{source} has {len(species)} folders with photos; at least two are needed.")
    return species


def _require_empty(target: Path) -> None:
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"{target} is not empty.")


def _absolute(path: Path) -> str:
    return path.absolute().as_posix()


def _distinct(photos: list[Path], count: int, chance: np.random.Generator) -> list[Path]:
    """Draw photos of which no two have the same content."""
    chosen: dict[str, Path] = {}
    for i in chance.permutation(len(photos)):
        if len(chosen) == count:
            break
        chosen.setdefault(sha256(photos[i]), photos[i])
    if len(chosen) < count:
        raise ValueError(f"{count} faults need as many different photos; there are {len(chosen)}.")
    return list(chosen.values())


def _unused_numbers(photos: list[Path], count: int, chance: np.random.Generator) -> list[int]:
    """Draw numbers far above those in the names, of as many digits where possible.

    No two follow each other as those of photos taken in a row do, which would be a trace that the faults leave.
    """
    digits = [match[0] for photo in photos if (match := _LAST_NUMBER.search(photo.stem))] or ["0000"]
    width = max(map(len, digits))
    low = max(7 * 10 ** (width - 1), max(map(int, digits)) + 100)
    places = max(1000, count)
    return [low + 3 * int(place) for place in chance.choice(places, count, replace=False)]


_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")


def _renumbered(stem: str, number: int) -> str:
    """A name with its last number replaced, zeros in front kept; or with the number at its end if it has none."""
    match = _LAST_NUMBER.search(stem)
    if match is None:
        return f"{stem}_{number}"
    return f"{stem[: match.start()]}{number:0{len(match[0])}d}{stem[match.end() :]}"


def _resized(image: Image.Image, chance: np.random.Generator) -> tuple[Image.Image, int]:
    scale = chance.uniform(0.4, 0.8)
    width, height = (max(16, round(scale * side)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS), int(chance.integers(50, 81))


def _mirrored(image: Image.Image, chance: np.random.Generator) -> tuple[Image.Image, int]:
    return ImageOps.mirror(image), 90


def _cropped(image: Image.Image, chance: np.random.Generator) -> tuple[Image.Image, int]:
    width, height = (round(0.9 * side) for side in image.size)
    left, top = int(chance.integers(image.width - width + 1)), int(chance.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height)), 90


_ALTERED: Mapping[str, Callable[[Image.Image, np.random.Generator], tuple[Image.Image, int]]] = {
    "resized": _resized,
    "mirrored": _mirrored,
    "cropped": _cropped,
}
"""Each gives the altered photo and the JPEG quality that it is written with."""


def _shot(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    """One of several photos of a plant; see `plant_bursts`."""
    share = math.sqrt(chance.uniform(0.8, 0.95))
    width, height = (round(share * side) for side in image.size)
    right, down = (
        (whole - part) / 2 * chance.uniform(-1, 1) for whole, part in zip(image.size, (width, height), strict=True)
    )
    angle = math.radians(chance.uniform(-8, 8))
    cos, sin = math.cos(angle), math.sin(angle)
    # What a turned frame sees beyond the photo is the photo mirrored at its edge, as wide as 8 degrees need.
    margin = math.ceil(math.sin(math.radians(8)) * max(image.size))
    wide = Image.fromarray(np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="symmetric"))
    x0, y0 = image.width / 2 + margin + right, image.height / 2 + margin + down
    corner = (x0 - (cos * width - sin * height) / 2, y0 - (sin * width + cos * height) / 2)
    shot = wide.transform(
        (width, height),
        Image.Transform.AFFINE,
        (cos, -sin, corner[0], sin, cos, corner[1]),
        Image.Resampling.BICUBIC,
    )
    shot = ImageEnhance.Brightness(shot).enhance(chance.uniform(0.85, 1.15))
    shot = ImageEnhance.Contrast(shot).enhance(chance.uniform(0.85, 1.15))
    if chance.random() < 0.25:
        shot = shot.filter(ImageFilter.GaussianBlur(float(chance.uniform(0.4, 1.0))))
    if chance.random() < 0.25:
        noisy = np.asarray(shot) + chance.normal(0, chance.uniform(2, 6), (height, width, 3))
        shot = Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return shot


def _taken_at(moment: datetime) -> Image.Exif:
    """EXIF data with the time as a camera writes it."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"{moment:%Y:%m:%d %H:%M:%S}"
    return exif


def _clusters(pairs: Iterable[Pair]) -> dict[str, str]:
    """For each path that occurs, one that stands for all that pairs connect it with (union-find)."""
    parent: dict[str, str] = {}

    def top(path: str) -> str:
        while parent.setdefault(path, path) != path:
            path = parent[path]
        return path

    for one, other in pairs:
        parent[top(one)] = top(other)
    return {path: top(path) for path in list(parent)}


def main() -> None:
    """Plant faults and write down where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    truth = plant(arguments.photos, arguments.out / "photos", arguments.seed)
    write_json(arguments.out / "planted.json", truth)
    print(f"{arguments.out}: " + ", ".join(f"{len(faults)} {kind}" for kind, faults in truth.items()))


if __name__ == "__main__":
    main()
