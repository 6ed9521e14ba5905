"""A few plants to make data sets of, and libraries of hubs that keep to themselves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from leafgraft.hubs.huggingface import library

KINDS = ("cactus", "fern", "sunflower")


@pytest.fixture(scope="session")
def plants(garden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three species, split: four photos of each to train and two to test on."""
    folder = tmp_path_factory.mktemp("plants") / "plants"
    for kind in KINDS:
        for number, photo in enumerate(sorted((garden / kind).iterdir())[:6]):
            place = folder / ("train" if number < 4 else "test") / kind / photo.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photo, place)
    return folder


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package of Hugging Face, with a cache of the test's own."""
    package = library()
    monkeypatch.setattr(package.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    return package
