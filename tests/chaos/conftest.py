"""What the chaos tests share: how much of it there is, and where the figures go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FIGURES = Path(__file__).parents[2] / "build" / "chaos"


@pytest.fixture
def amount(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """How many of something to do: the first number in the ordinary suite, the second in ``bash script/chaos``."""
    long = request.config.getoption("--long")
    return lambda short, full: full if long else short


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[dict[str, Any]], None]:
    """Keep what a full run found, for docs/reliability.md, in build/chaos/ under the name of the test."""

    def keep(found: dict[str, Any]) -> None:
        if request.config.getoption("--long"):
            FIGURES.mkdir(parents=True, exist_ok=True)
            path = FIGURES / f"{request.node.originalname}.json"
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    return keep
