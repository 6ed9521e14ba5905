"""The faulty garden."""

from __future__ import annotations

from pathlib import Path

import pytest

from faulty_garden import FaultyGarden, faulty_garden


@pytest.fixture(scope="session")
def faulty(garden: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> FaultyGarden:
    """A garden with known faults; only to be read."""
    return faulty_garden(tmp_path_factory.getbasetemp(), garden, weights)
