"""Charts hold what they are given: nothing outside, nothing upon another, nothing joined that is apart."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafgraft.report import svg

pytestmark = pytest.mark.quick

FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def history(stages: list[str], **columns: list[Any]) -> list[dict[str, Any]]:
    return [
        {"stage": stage, "epoch": epoch, **{name: values[epoch - 1] for name, values in columns.items()}}
        for epoch, stage in enumerate(stages, 1)
    ]


@given(FINITE, FINITE, st.integers(2, 8))
def test_ticks_are_even_and_hold_the_values(one: float, other: float, most: int) -> None:
    low, high = sorted((one, other))
    found = svg.ticks(low, high, most)
    steps = [after - before for before, after in pairwise(found)]
    assert 2 <= len(found) <= most + 2
    assert steps == pytest.approx([steps[0]] * len(steps))
    slack = 1e-6 * steps[0]
    assert found[0] <= low + slack
    assert found[-1] >= high - slack


def test_ticks_are_round() -> None:
    assert svg.ticks(0, 97) == [0, 20, 40, 60, 80, 100]
    assert svg.ticks(54.3, 96.7) == [50, 60, 70, 80, 90, 100]
    assert svg.ticks(0, 0.37) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_each_row_of_a_probe_is_a_dot_and_training_a_line() -> None:
    rows = history(["probe", "probe", "fine", "fine", "fine"], accuracy=[0.8, 0.82, 0.85, 0.9, 0.95])
    (plot,) = svg.curves(rows)
    (line,) = plot.lines
    assert [len(path.split()) for path in line.paths] == [3]
    assert [dot.r for dot in line.dots] == [4.5, 4.5, 2.6, 2.6, 2.6]
    assert line.name == "training: 95.0 %"
    (border,) = plot.borders
    assert line.dots[1].x < border < line.dots[2].x
    assert [stage.text for stage in plot.stages] == ["probe", "fine-tuning"]


def test_a_line_breaks_where_a_value_is_missing() -> None:
    rows = history(["fine"] * 6, loss=[3.0, 2.0, None, 1.0, math.nan, 0.5], val_loss=["", "", "", "", "", "0.7"])
    (plot,) = svg.curves(rows)
    training, held_out = plot.lines
    assert [len(path.split()) for path in training.paths] == [2]
    assert [len(line.dots) for line in (training, held_out)] == [4, 1]
    assert held_out.name == "held out: 0.700"


def test_a_lone_epoch_among_many_is_still_seen() -> None:
    values: list[float | None] = [0.5] * 100
    values[48] = values[50] = None
    (plot,) = svg.curves(history(["fine"] * 100, accuracy=values))
    (line,) = plot.lines
    assert [dot.x for dot in line.dots] == [
        pytest.approx(svg.LEFT + (svg.WIDTH - svg.LEFT - svg.RIGHT) * 0.495, abs=0.1)
    ]


def test_a_loss_that_has_exploded_leaves_the_others_legible() -> None:
    accuracy, loss = svg.curves(history(["fine"] * 3, accuracy=[0.1] * 3, loss=[2.0, math.inf, math.nan]))
    assert loss.lines[0].name == "training: 2.000"
    assert next(tick.text for tick in accuracy.y_ticks) == "8"


def test_no_value_is_no_chart() -> None:
    assert svg.curves([]) == []
    assert svg.curves(history(["fine"], accuracy=[None])) == []
    assert svg.comparison([]) is None
    assert svg.comparison([("a", [], [])]) is None


@given(
    st.lists(st.tuples(st.sampled_from(list(svg.STAGES)), st.integers(1, 30)), min_size=1, max_size=3),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
def test_everything_lies_within_the_chart(stages: list[tuple[str, int]], values: list[float]) -> None:
    names = [name for name, count in stages for _ in range(count)]
    column = [values[at % len(values)] for at in range(len(names))]
    for plot in svg.curves(history(names, accuracy=column, loss=[10 * value for value in column])):
        for line in plot.lines:
            places = [(dot.x, dot.y) for dot in line.dots]
            places += [tuple(map(float, point.split(","))) for path in line.paths for point in path.split()]  # type: ignore[misc]
            assert all(plot.left <= x <= plot.right and plot.top <= y <= plot.bottom for x, y in places)
        assert all(plot.left <= tick.x <= plot.right for tick in plot.x_ticks)
        assert len(plot.x_ticks) >= 1
        boxes = [(text.x - svg.wide(text.text) * 3.15, text.y, svg.wide(text.text) * 6.3) for text in plot.stages]
        assert all(x >= 0 and x + width <= plot.width for x, _, width in boxes)


@pytest.mark.parametrize("stages", [["probe"] + ["fine"] * 20, ["frozen"] * 10 + ["fine"] * 20, ["probe", "fine"]])
def test_names_of_stages_keep_apart(stages: list[str]) -> None:
    plot, *_ = svg.curves(history(stages, accuracy=[0.5] * len(stages)))
    first, second = plot.stages
    apart = (svg.wide(first.text) + svg.wide(second.text)) * svg.LETTER / 2
    assert first.y != second.y or second.x - first.x >= apart


def test_the_last_curve_of_a_comparison_has_the_colour_of_the_page() -> None:
    plot = svg.comparison([("scratch", [300, 700], [0.3, 0.456]), ("transfer", [9, 18], [0.9, 0.965])])
    assert plot is not None
    assert [line.style for line in plot.lines] == ["s1", "s0"]
    assert [line.name for line in plot.lines] == ["scratch: 45.6 % after 12 min", "transfer: 96.5 % after 18 s"]
    assert plot.x_title == "Training time (minutes)"
    assert "transfer: 96.5 % after 18 s" in plot.summary


def test_dots_of_a_reliability_diagram_grow_with_their_photos() -> None:
    plot = svg.reliability("After", [0.3, 0.9], [0.5, 0.9], [4, 100], "in words")
    guide, gaps, dots = plot.lines
    assert guide.paths == ["46.0,276.0 326.0,16.0"]
    assert gaps.paths[0].startswith("130.0,")
    small, large = dots.dots
    assert small.r < large.r
    assert small.y < svg.reliability("", [0.3], [0.3], [4], "").lines[2].dots[0].y


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Rosa canina", "Rosa canina"),
        ("two\nlines", "two lines"),
        ("Abelmoschus esculentus subsp. longissimus", "Abelmoschus escul…gissimus"),
        ("蒲公英" * 8, "蒲公英蒲公英蒲公…蒲公英英"),
    ],
)
def test_a_long_name_loses_its_middle(name: str, shown: str) -> None:
    found = svg.short(name)
    assert svg.wide(found) <= svg.LONGEST
    if name.isascii():
        assert found == shown
