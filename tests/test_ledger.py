from __future__ import annotations

from pathlib import Path

import pytest

from conftest import rows
from leafgraft.ledger import Ledger

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_spreadsheet_runs_the_name_of_a_photo_or_a_species(tmp_path: Path, start: str) -> None:
    name = f"{start}cmd|'!A1"
    ledger = Ledger(tmp_path / "answers.csv", {"top": 1}, resume=False)
    answer = {
        "path": name,
        "unknown": False,
        "strangeness": 0.1,
        "predictions": [{"species": name, "probability": 1.0}],
    }
    list(ledger.extend([answer, {"path": "b.jpg", "problem": name}]))
    ledger.finish()
    first, second = rows(tmp_path / "answers.csv")
    assert (first["path"], first["species_1"], second["problem"]) == (f"'{name}",) * 3
