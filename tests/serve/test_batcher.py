from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leafgraft.serve.batcher import Batcher
from leafgraft.serve.refusal import Busy

pytestmark = pytest.mark.quick


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.003]),
)
def test_every_caller_gets_the_answers_to_what_it_asked(callers: list[list[int]], most: int, patience: float) -> None:
    sizes = []

    def work(items: list[tuple[int, int]]) -> list[tuple[int, int]]:
        sizes.append(len(items))
        return [(caller, 2 * item) for caller, item in items]

    batcher = Batcher(work, places=100, most=most, patience=patience)

    def ask(caller: int) -> list[tuple[int, int]]:
        batcher.reserve(len(callers[caller]))
        futures = [batcher.submit((caller, item)) for item in callers[caller]]
        return [future.result(10) for future in futures]

    with ThreadPoolExecutor(len(callers)) as pool:
        found = list(pool.map(ask, range(len(callers))))
    batcher.close()
    assert found == [[(caller, 2 * item) for item in items] for caller, items in enumerate(callers)]
    assert max(sizes) <= most
    assert sum(sizes) == sum(map(len, callers))
    assert batcher.taken == 0


class Held:
    """Work that goes on only when it may."""

    def __init__(self) -> None:
        self.begun, self.may = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[list[int]] = []

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.begun.release()
        assert self.may.acquire(timeout=10)
        return items


def test_what_comes_alone_does_not_wait_and_what_comes_meanwhile_is_one_batch() -> None:
    work = Held()
    batcher = Batcher(work, places=9, most=3, patience=3600.0)  # whoever waits that long never ends the test
    batcher.reserve(1)
    futures: list[Future[int]] = [batcher.submit(0)]
    assert work.begun.acquire(timeout=10)
    batcher.reserve(4)
    futures += [batcher.submit(item) for item in (1, 2, 3, 4)]
    work.may.release(3)
    assert [future.result(10) for future in futures] == [0, 1, 2, 3, 4]
    assert work.batches == [[0], [1, 2, 3], [4]]
    batcher.close()


def test_a_batch_waits_for_what_is_on_the_way() -> None:
    batches = []

    def work(items: list[int]) -> list[int]:
        batches.append(items)
        return items

    batcher = Batcher(work, places=2, most=2, patience=10.0)
    batcher.reserve(2)
    first = batcher.submit(1)
    time.sleep(0.05)
    assert not first.done()
    second = batcher.submit(2)
    assert (first.result(10), second.result(10)) == (1, 2)
    assert batches == [[1, 2]]
    batcher.close()


def test_a_batch_waits_no_longer_than_its_patience() -> None:
    def work(items: list[int]) -> list[int]:
        return items

    batcher = Batcher(work, places=2, most=2, patience=0.01)
    batcher.reserve(2)
    assert batcher.submit(1).result(10) == 1  # the other one never comes
    batcher.give_back()
    batcher.close()


def test_more_than_there_are_places_for_is_refused_whole() -> None:
    work = Held()
    batcher = Batcher(work, places=3, most=3)
    batcher.reserve(2)
    with pytest.raises(Busy):
        batcher.reserve(2)
    assert batcher.taken == 2
    batcher.reserve(1)
    batcher.give_back()
    futures = [batcher.submit(item) for item in (1, 2)]
    work.may.release(3)
    assert [future.result(10) for future in futures] == [1, 2]
    batcher.reserve(3)  # all are free again as soon as the answers are there
    batcher.give_back(3)
    batcher.close()


def test_a_failure_reaches_its_callers_and_the_thread_goes_on() -> None:
    def work(items: list[int]) -> list[float]:
        return [1 / item for item in items]

    batcher = Batcher(work, places=2, most=1)
    batcher.reserve(2)
    broken, whole = batcher.submit(0), batcher.submit(2)
    with pytest.raises(ZeroDivisionError):
        broken.result(10)
    assert whole.result(10) == 0.5
    assert batcher.alive
    batcher.close()


def test_closing_finishes_what_was_accepted_and_takes_nothing_new() -> None:
    work = Held()
    batcher = Batcher(work, places=4, most=2)
    batcher.reserve(4)
    futures = [batcher.submit(item) for item in (1, 2, 3)]
    with ThreadPoolExecutor(1) as aside:
        assert work.begun.acquire(timeout=10)
        closing = aside.submit(batcher.close)
        while batcher.alive:
            time.sleep(0.001)
        with pytest.raises(Busy):
            batcher.reserve(1)
        assert not closing.done()
        work.may.release(4)
        futures.append(batcher.submit(4))  # its place had been reserved before
        closing.result(10)
    assert [future.result(0) for future in futures] == [1, 2, 3, 4]
