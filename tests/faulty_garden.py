"""A garden with known faults, and what ResNet50 sees in it, made once for all tests of a session."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from benchmarks.plant import plant, plant_bursts
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from leafgraft.engine.backbone import backbone
from leafgraft.engine.store import Means, Store
from leafgraft.files import write_json
from leafgraft.photos import Photo, scan
from leafgraft.photos.dataset import CENTRE, Dataset
from leafgraft.photos.garden import draw

COUNTS = {"exact": 3, "resized": 3, "mirrored": 2, "cropped": 2, "swapped": 3}

ODD = {"rose/cat.png": "chelsea", "fern/cup.png": "coffee"}
"""Photos of no plant, by their names in scikit-image."""

BAD = ("oak/blurred.png", "oak/dark.png", "oak/tiny.png")
UNREADABLE = ("oak/empty.jpg", "oak/text.jpg")


_CONVERSION = """
import sys
from pathlib import Path
from leafgraft.engine.backbone import backbone
print(backbone(Path(sys.argv[1]), Path(sys.argv[2])).network)
print(*{"tensorflow", "keras"} & set(sys.modules))
"""


def conversion(weights: Path, root: Path) -> list[str]:
    """A command that asks for ResNet50 as a file; it prints its fingerprint and what it has loaded."""
    return [sys.executable, "-c", _CONVERSION, str(weights), str(root)]


@dataclass(frozen=True)
class FaultyGarden:
    """The garden of the tests with faults in it.

    Attributes:
        folder: where it lies; a folder per species. Besides what is planted and the `ODD` ones it has
            the `BAD` and the `UNREADABLE` ones.
        truth: as from `benchmarks.plant.plant`.
        shots: the folder of a second garden, of two species with three plants each, photographed three times in a row.
        bursts: the absolute paths of the shots, plant by plant.
        cache: of leafgraft; its bank has the features of all photos.
        weights: of ResNet50.
        converted: what a process of its own said when it made a file of ResNet50, lines of `conversion`.
    """

    folder: Path
    truth: dict[str, Any]
    shots: Path
    bursts: list[list[str]]
    cache: Path
    weights: Path
    converted: list[str]

    def photos(self) -> list[Photo]:
        """All files, scanned."""
        return scan(self.folder)

    def features(self, photos: Sequence[Photo]) -> NDArray[np.float32]:
        """What ResNet50 sees in the usable ones of some photos."""
        usable = [photo for photo in photos if not photo.problem]
        root = self.cache / "bank"
        store = Store(backbone(self.weights, root), Means(root))
        data = Dataset.of_photos(usable, sorted({photo.label for photo in usable}))
        rows: NDArray[np.float32] = store.all_rows(data, [CENTRE])[:, 0]
        return rows


def faulty_garden(base: Path, garden: Path, weights: Path) -> FaultyGarden:
    """Make the garden below the folder of a session, or find it there."""
    place = base / "faulty"
    folder, shots, truth = place / "photos", place / "shots", place / "truth.json"
    if not truth.exists():
        planted = plant(garden, folder, 1, COUNTS)
        for name, picture in ODD.items():
            Image.fromarray(getattr(skimage.data, picture)()).save(folder / name)
        draw("oak", 9001, (300, 260)).point(lambda value: value // 12).save(folder / "oak" / "dark.png")
        draw("oak", 9002, (300, 260)).filter(ImageFilter.GaussianBlur(12)).save(folder / "oak" / "blurred.png")
        draw("oak", 9003, (120, 100)).save(folder / "oak" / "tiny.png")
        (folder / "oak" / "empty.jpg").touch()
        (folder / "oak" / "text.jpg").write_text("Die Eiche treibt im Mai aus.\n" * 20, encoding="utf-8")
        for name in ("cactus", "sunflower"):
            shutil.copytree(garden / name, place / "two" / name)
        planted |= plant_bursts(place / "two", shots, 5, plants=3, shots=3)
        _leave_as_if_killed(place / "cache" / "bank" / f".leafgraft-{0:032x}")
        command = conversion(weights, place / "cache" / "bank")
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        write_json(truth, planted | {"converted": said})
    planted = json.loads(truth.read_text(encoding="utf-8"))
    bursts, said = planted.pop("bursts"), planted.pop("converted")
    result = FaultyGarden(folder, planted, shots / "photos", bursts, place / "cache", weights, said)
    result.features([*result.photos(), *scan(result.shots)])
    return result


def _leave_as_if_killed(folder: Path) -> None:
    """Write what a conversion leaves that was killed on its way."""
    folder.mkdir(parents=True)
    (folder / "model.xml").write_text("<net name=", encoding="utf-8")
    write_json(folder / "about.json", {"settings": "ResNet50 in OpenVINO", "shapes": [], "network": "another"})
