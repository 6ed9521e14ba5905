"""A confusion matrix has a cell for each confusion, as deep as its share, with its number where there is room."""

from __future__ import annotations

import numpy as np
import pytest

from leafgraft.report import heatmap

pytestmark = pytest.mark.quick


def test_a_cell_for_every_count_and_no_other() -> None:
    found = heatmap.confusion(np.array([[8, 0, 2], [0, 5, 0], [0, 0, 0]]), ["rose", "oak", "fern"])
    assert [(cell.style, cell.text) for cell in found.cells] == [("right", "8"), ("wrong", "2"), ("right", "5")]
    assert [cell.title for cell in found.cells] == [
        "8 photos of rose named rightly",
        "2 photos of rose named fern",
        "5 photos of oak named rightly",
    ]
    right, wrong, whole = (cell.depth for cell in found.cells)
    assert wrong < right < whole == 1
    assert found.summary == "Confusion matrix of 3 species: 13 of 15 photos were named rightly."


def test_the_smallest_share_is_still_seen() -> None:
    found = heatmap.confusion(np.array([[100_000, 1], [0, 1]]), ["a", "b"])
    assert min(cell.depth for cell in found.cells) >= heatmap.LIFT


@pytest.mark.parametrize("k", [1, 17, 30, 31, 100])
def test_names_and_cells_have_room(k: int) -> None:
    names = [f"Abelmoschus esculentus subsp. no. {at}" for at in range(k)]
    found = heatmap.confusion(np.ones((k, k), np.int64), names)
    assert all(bool(cell.text) == (k <= heatmap.NUMBERED) for cell in found.cells)
    assert found.left + k * found.side < found.width
    assert found.top + k * found.side < found.height
    assert len(found.borders) == k + 1
    assert found.borders[-1] == k * found.side
    assert len({row.y for row in found.rows}) == len({column.x for column in found.columns}) == k
    assert found.side >= found.font + 2


def test_a_shape_that_does_not_fit_is_refused() -> None:
    for matrix, names in ((np.eye(2, dtype=np.int64), ["a"]), (np.zeros((0, 0), np.int64), [])):
        with pytest.raises(ValueError, match="A confusion matrix of"):
            heatmap.confusion(matrix, names)
