from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leafgraft.machine import cores
from leafgraft.photos.ahead import in_order

pytestmark = pytest.mark.quick


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 0.002), max_size=30))
def test_results_come_in_the_order_of_the_items(pauses: list[float]) -> None:
    def work(item: tuple[int, float]) -> int:
        time.sleep(item[1])
        return item[0]

    assert list(in_order(work, enumerate(pauses))) == list(range(len(pauses)))


def test_items_are_taken_only_a_little_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = in_order(lambda item: item, items())
    assert [next(results) for _ in range(100)] == list(range(1, 101))
    assert taken <= 100 + 4 * cores() + 1
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_a_failure_is_raised_where_its_result_would_come() -> None:
    results = in_order(lambda item: 1 // item, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
