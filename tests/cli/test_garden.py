from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import Said
from leafgraft.photos.garden import SPECIES

pytestmark = pytest.mark.quick


def test_it_draws_a_folder_per_species(
    leafgraft: Callable[..., Said], refused: Callable[..., str], tmp_path: Path
) -> None:
    said = leafgraft("garden", "-o", tmp_path / "garden", "--per-species", 2, "--seed", 3, "--json")
    assert said.status == 0
    assert json.loads(said.out) == {
        "folder": str(tmp_path / "garden"),
        "species": list(SPECIES),
        "per_species": 2,
        "seed": 3,
    }
    photos = sorted((tmp_path / "garden").rglob("*.jpg"))
    assert [photo.parent.name for photo in photos] == [name for name in sorted(SPECIES) for _ in range(2)]
    with Image.open(photos[0]) as photo:
        assert photo.mode == "RGB"
    assert (
        "2 pictures each of bamboo"
        in leafgraft("garden", "-o", tmp_path / "garden", "--per-species", 2, "--seed", 3).out
    )
    assert "other than a garden" in refused("garden", "-o", tmp_path)
