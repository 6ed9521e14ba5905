"""The card as a machine and as a person reads it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from leafgraft.report.card import CardFacts, card

pytestmark = pytest.mark.quick

FACTS = CardFacts(
    name="Hedgerow",
    classes=["Rosa canina", "Prunus spinosa"],
    counts={
        "Rosa canina": {"train": 40, "val": 10, "test": 12},
        "Prunus spinosa": {"train": 38, "val": 9, "test": 8},
    },
    score={
        "accuracy": 0.95,
        "accuracy_ci95": [0.764, 0.991],
        "balanced_accuracy": 0.94,
        "macro_f1": 0.947,
        "top3": 1.0,
        "log_loss": 0.2,
        "ece": 0.05,
        "brier": 0.1,
        "n": 20,
    },
    recipe="classic",
    preprocessing="RGB, shorter side 256, centre 224 x 224.",
    weights_source="keras.applications",
    weights_licence="MIT",
    command="leafgraft train photos -o run --seed 7",
    seed=7,
    versions={"leafgraft": "0.1.0", "keras": "3.15.1"},
)


def front_matter(text: str) -> dict[str, Any]:
    start, matter, _ = text.split("---\n", 2)
    assert start == ""
    read: dict[str, Any] = yaml.safe_load(matter)
    return read


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n\n")[1].split("\n\n## ")[0]


def test_the_front_matter_is_what_the_hub_reads() -> None:
    read = front_matter(card(FACTS))
    assert read["license"] == "apache-2.0"
    assert read["library_name"] == "keras"
    assert read["pipeline_tag"] == "image-classification"
    assert "image-classification" in read["tags"]
    assert read["metrics"] == ["accuracy", "f1"]
    (model,) = read["model-index"]
    assert model["name"] == "Hedgerow"
    (result,) = model["results"]
    assert result["task"] == {"type": "image-classification"}
    assert result["dataset"].keys() == {"name", "type"}
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {"accuracy": 0.95, "f1": 0.947}


def test_figures_come_with_their_interval_and_number() -> None:
    text = section(card(FACTS), "Figures")
    assert "Accuracy 95.0 % (95 % interval 76.4-99.1 %) on 20 held-out photos." in text
    assert "| Macro F1 | 0.947 |" in text


def test_species_stand_with_their_photos_and_the_sum() -> None:
    rows = section(card(FACTS), "Species and photos").splitlines()
    assert rows[2:] == [
        "| Rosa canina | 40 | 10 | 12 |",
        "| Prunus spinosa | 38 | 9 | 8 |",
        "| **all** | 78 | 19 | 20 |",
    ]


def test_the_limits_are_named() -> None:
    text = section(card(FACTS), "Limits")
    assert "may be eaten" in text
    assert "poisonous" in text
    assert "even for a stranger" in text
    assert "drawings" not in text


def test_a_drawn_garden_is_called_so() -> None:
    text = card(dataclasses.replace(FACTS, garden=True))
    assert "not plants" in section(text, "Limits")
    assert front_matter(text)["model-index"][0]["results"][0]["dataset"]["type"] == "synthetic"


def test_a_species_without_held_out_photos_is_named() -> None:
    counts = {**FACTS.counts, "Prunus spinosa": {"train": 55}}
    text = card(dataclasses.replace(FACTS, counts=counts))
    assert "No photo was held out of Prunus spinosa" in section(text, "Limits")
    assert "| Prunus spinosa | 55 | 0 | 0 |" in text


def test_without_held_out_photos_nothing_is_claimed() -> None:
    text = card(dataclasses.replace(FACTS, score={}))
    assert "model-index" not in front_matter(text)
    assert section(text, "Figures").startswith("No photos were held out")


COUNTS = {"Rosa canina": {"train": 40, "val": 10}, "Prunus spinosa": {"train": 38}}


@pytest.mark.parametrize(
    ("basis", "words", "data_set", "absent"),
    [
        ("test", "photos.**\n", "held-out photos", "Rosa canina, Prunus spinosa"),
        ("folds", "made with all of them.\n", "cross-validated photos", ""),
        ("val", "no others were held out.\n", "validation photos", "Prunus spinosa"),
    ],
)
def test_the_figures_say_what_they_rest_on(basis: str, words: str, data_set: str, absent: str) -> None:
    text = card(dataclasses.replace(FACTS, basis=basis, counts=COUNTS))
    assert words in section(text, "Figures")
    assert front_matter(text)["model-index"][0]["results"][0]["dataset"]["name"] == data_set
    if absent:
        assert f"No photo was held out of {absent}: the figures say nothing" in section(text, "Limits")
    else:
        assert "No photo was held out of" not in text


ERRORS = {"ece_before": 0.125, "ece_after": 0.0625}


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        ({"val": {}, "test": ERRORS}, "expected calibration error on the held-out photos 12.5 % before, 6.2 % after."),
        ({"val": ERRORS}, "expected calibration error on the same photos 12.5 % before, 6.2 % after."),
    ],
)
def test_the_temperature_stands_with_what_it_did(calibration: dict[str, Any], words: str) -> None:
    facts = dataclasses.replace(FACTS, calibration={"temperature": 0.75, "photos": 19} | calibration)
    text = section(card(facts), "Figures")
    assert text.endswith(f"Calibrated by a temperature of 0.75, found on 19 validation photos: {words}")
    assert "Calibrated" not in card(FACTS)


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        (
            {"threshold": 2.5, "accepted_val": 0.96, "accepted_test": 0.91},
            "91 % of held-out photos of its own species.",
        ),
        ({"threshold": 2.5, "accepted_val": 0.96}, "96 % of the validation photos of its own species, which it was"),
        ({"threshold": 0.0, "accepted_val": 1.0}, "100 % of the validation photos"),
    ],
)
def test_who_is_told_to_be_unknown_is_a_limit(unknown: dict[str, float], words: str) -> None:
    text = section(card(dataclasses.replace(FACTS, unknown=unknown)), "Limits")
    assert f"The threshold accepts {words}" in text
    assert "even for a stranger" not in text


def test_how_to_reproduce() -> None:
    text = section(card(FACTS), "How to reproduce")
    assert "```sh\nleafgraft train photos -o run --seed 7\n```" in text
    assert "Seed: 7." in text
    assert "leafgraft 0.1.0, keras 3.15.1" in text


def test_a_fence_is_longer_than_the_backticks_inside() -> None:
    text = section(card(dataclasses.replace(FACTS, command="echo ```")), "How to reproduce")
    assert text.startswith("````sh\necho ```\n````\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", r"| a\|b | 0 | 0 | 0 |"),
        ("<script>", r"| \<script\> | 0 | 0 | 0 |"),
        ("two\nlines", "| two lines | 0 | 0 | 0 |"),
        ("Rosa_x_[alba](http://x)", r"| Rosa\_x\_\[alba\](http://x) | 0 | 0 | 0 |"),
        ("蒲公英", "| 蒲公英 | 0 | 0 | 0 |"),
    ],
)
def test_names_from_folders_cannot_break_the_table(name: str, shown: str) -> None:
    assert shown in card(dataclasses.replace(FACTS, classes=[name], counts={})).splitlines()


def test_a_name_that_is_no_unicode_can_still_be_written() -> None:
    text = card(dataclasses.replace(FACTS, name="caf\udce9", classes=["caf\udce9"]))
    assert b"| caf? | 0 | 0 | 0 |" in text.encode("utf-8")
    assert front_matter(text)["model-index"][0]["name"] == "caf?"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_name_comes_back_from_the_front_matter(name: str) -> None:
    text = card(dataclasses.replace(FACTS, name=name))
    assert front_matter(text)["model-index"][0]["name"] == name
