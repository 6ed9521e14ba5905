"""Numbers, times and records in words."""

from __future__ import annotations

import math

import pytest

from leafgraft.report import markup

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("value", "shown"), [(0.9654, "96.5 %"), (1, "100.0 %"), (None, "–"), (math.nan, "–"), ("0.5", "50.0 %"), ("", "–")]
)
def test_a_share_in_per_cent(value: object, shown: str) -> None:
    assert markup.percent(value) == shown.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (119.6, "2 min 00 s"),
        (1229.9, "20 min 30 s"),
        (7200, "2 h 00 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_a_time_as_people_say_it(seconds: float, shown: str) -> None:
    assert markup.duration(seconds) == shown


def test_the_parts_of_a_run_are_measured_by_the_longest() -> None:
    assert markup.times({"scan": 2.0, "other": 8.0, "total": 11.0}) == [
        ("Reading the photos", "2.0 s", 25.0),
        ("other", "8.0 s", 100.0),
    ]
    assert markup.times({"scan": 0.0}) == [("Reading the photos", "0.0 s", 0.0)]
    assert markup.times({"total": 3.0}) == []


def test_a_record_is_flat_and_leaves_out_what_is_shown_elsewhere() -> None:
    record = {
        "command": "leafgraft train",
        "classes": ["oak"],
        "val_fraction": 0.15,
        "views": None,
        "deterministic": True,
        "counts": {"train": 3, "test": 1},
        "recipe": {"name": "best", "augmentation": {"flip": False, "range": [0.5, 1.0]}, "limit": None},
    }
    assert markup.recorded(record) == [
        ("Share for validation", [("", "0.15")]),
        ("Deterministic", [("", "yes")]),
        ("Photos", [("training", "3"), ("held out", "1")]),
        ("Recipe", [("name", "best"), ("augmentation: flip", "no"), ("augmentation: range", "0.5, 1")]),
    ]


def test_figures_are_shown_as_far_as_they_are_known() -> None:
    assert markup.tiles({}, None) == []
    found = markup.tiles({"accuracy": 1.0, "accuracy_ci95": [0.5, 1.0], "n": 1, "log_loss": 0.25, "newer": 3}, None)
    assert found == [
        ("Accuracy", "100.0\u00a0%", "95 % interval 50.0\u2011100.0 %; 1 photo"),
        ("Log loss", "0.250", "in nats; 0 is best"),
    ]
