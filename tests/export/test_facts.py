"""What an exported file says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from leafgraft.bundle import Bundle, Calibration
from leafgraft.export.facts import Facts, labels_in, source_in
from leafgraft.verdict.unknown import Strangers

# Folders may have any name, parts that are no Unicode included.
names = st.lists(st.text(st.characters()), min_size=1, max_size=5).map(tuple)


@given(names, st.floats(0.05, 20.0), st.text(st.characters()))
def test_facts_are_ascii_and_come_back(labels: tuple[str, ...], temperature: float, source: str) -> None:
    strangers = Strangers((0.1, 0.02), (0.5, 0.3), 2.5)
    values = Facts(labels, Calibration(temperature, strangers, 40), source).as_dict()
    assert all(text.isascii() for text in values.values())
    assert labels_in(values) == labels
    assert float(values["temperature"]) == temperature
    assert json.loads(values["unknown"])["threshold"] == 2.5


def test_a_classifier_that_knows_no_strangers_says_so() -> None:
    assert Facts(("a",), Calibration(), "").as_dict()["unknown"] == "null"


def test_source_and_licence_come_from_the_card_of_the_run(trained_run: Path) -> None:
    facts = Facts.of(Bundle(trained_run))
    assert "Source: a file of the user's. Licence: that of the file." in facts.source
    assert facts.labels == ("cactus", "fern", "sunflower")


def test_what_is_escaped_in_a_card_is_plain_in_a_file() -> None:
    card = "# x\n\n## Pretrained weights\n\nSource: weights\\_1 \\[mine\\]. Licence: MIT.\n\n## Next\n\nmore\n"
    assert source_in(card).endswith("Source: weights_1 [mine]. Licence: MIT.")
    assert "were not written down" in source_in("")
