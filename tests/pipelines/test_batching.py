"""The engine: order, laziness, bounded reading, overlap, packing, failures and the end of its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import pytest
import torch

from samovar.errors import InputError
from samovar.pipelines.batching import run_many, run_one
from samovar.pipelines.packing import Item, Limits, pack

SMALL = Limits(budget=64, overhead=4, window=32, chunk=4)


class Squares:
    """Steps that square numbers; `n` has the size n % 17 + 1, and becomes `rows` rows."""

    def __init__(self, rows: int = 1, most_rows: int = 1000, poison: Any = None) -> None:
        self.rows = rows
        self.most_rows = most_rows
        self.poison = poison
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()

    def prepare(self, inputs: list[Any]) -> list[list[Item]]:
        self.threads.add(threading.current_thread().name)
        if any(not isinstance(value, int) for value in inputs):
            raise InputError("A number expected.", "Pass an int.")
        return [[Item({}, value % 17 + 1, extra=value) for _ in range(self.rows)] for value in inputs]

    def start(self, items: list[Item]) -> Callable[[], list[Any]]:
        values = [item.extra for item in items]
        if len(values) > self.most_rows:
            raise torch.OutOfMemoryError("too large")
        if self.poison in values:
            raise RuntimeError("poison")
        self.batches.append(values)
        return lambda: [value * value for value in values]

    def finish(self, items: list[Item], values: list[Any]) -> Any:
        assert len(items) == len(values) == self.rows
        return sum(values)


def many(source: Any, steps: Squares, limits: Limits = SMALL, **options: Any) -> Iterator[Any]:
    return run_many(source, steps, limits, **{"overlap": True, "first_window": 8, **options})


def prepare_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("samovar-prepare")]


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("rows", [1, 3])
def test_results_are_in_the_order_of_the_inputs(overlap: bool, depth: int, rows: int) -> None:
    values = np.random.permutation(500).tolist()
    steps = Squares(rows)
    assert list(many(values, steps, overlap=overlap, depth=depth)) == [rows * value**2 for value in values]
    assert all(len(batch) * max(value % 17 + 1 for value in batch) <= 64 for batch in steps.batches)
    assert len(steps.batches) < 500 * rows / 2


def test_nothing_in_nothing_out() -> None:
    assert list(many([], Squares())) == []
    assert list(many([3], Squares())) == [9]
    assert run_one(5, Squares()) == 25


def test_an_endless_source_is_read_at_most_two_windows_ahead() -> None:
    read = 0

    def source() -> Iterator[int]:
        nonlocal read
        for value in count():
            read = value + 1
            yield value

    results = many(source(), Squares())
    assert read == 0
    for expected in range(300):
        assert next(results) == expected**2
        assert read <= expected + 1 + 2 * SMALL.window
    results.close()
    assert not prepare_threads()


def test_the_first_result_of_a_stream_comes_after_a_small_window() -> None:
    source = iter(range(10_000))
    results = many(source, Squares(), Limits(budget=64, window=4096, chunk=4))
    assert next(results) == 0
    assert next(source) <= 8 + 16
    results.close()


def test_with_a_window_of_one_each_input_may_depend_on_the_last_result() -> None:
    seen = [2]

    def source() -> Iterator[int]:
        while len(seen) < 5:
            yield seen[-1]

    for result in many(source(), Squares(), Limits(budget=64, window=1), overlap=False, first_window=1):
        seen.append(result)
    assert seen == [2, 4, 16, 256, 65536]


def test_preparation_runs_in_the_background_and_the_source_in_the_callers_thread() -> None:
    names = set()

    def source() -> Iterator[int]:
        for value in range(50):
            names.add(threading.current_thread().name)
            yield value

    steps = Squares()
    assert len(list(many(source(), steps))) == 50
    assert names == {threading.current_thread().name}
    assert all(name.startswith("samovar-prepare") for name in steps.threads)


def test_preparation_of_the_next_window_goes_on_while_a_batch_computes() -> None:
    prepared_more = threading.Event()

    class Waits(Squares):
        def prepare(self, inputs: list[Any]) -> list[list[Item]]:
            if max(inputs) >= 8:
                prepared_more.set()
            return super().prepare(inputs)

        def start(self, items: list[Item]) -> Callable[[], list[Any]]:
            # The first window ends before 8: only preparation ahead of time can set the event.
            assert prepared_more.wait(timeout=30)
            return super().start(items)

    assert list(many(range(40), Waits())) == [value**2 for value in range(40)]


def test_an_abandoned_iterator_leaves_no_thread() -> None:
    results = many(count(), Squares())
    assert next(results) == 0
    assert prepare_threads()
    del results
    assert not prepare_threads()


@pytest.mark.parametrize("where", range(0, 40, 13))
def test_a_bad_input_is_named_by_its_index(where: int) -> None:
    values: list[Any] = list(range(40))
    values[where] = "text"
    with pytest.raises(InputError, match=rf"^Input {where}: A number expected\.\n  → Pass an int\.$"):
        list(many(values, Squares()))
    assert not prepare_threads()


def test_a_failing_forward_is_blamed_on_its_input() -> None:
    with pytest.raises(RuntimeError, match="poison") as caught:
        list(many(range(40), Squares(poison=23)))
    assert caught.value.__notes__ == ["This was input 23 of the call."]
    assert not prepare_threads()


def test_inputs_before_a_failure_of_the_source_are_answered() -> None:
    def source() -> Iterator[int]:
        yield from range(10)
        raise OSError("the disk is gone")

    results = many(source(), Squares())
    assert list(islice(results, 10)) == [value**2 for value in range(10)]
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)
    assert not prepare_threads()


def test_an_interrupt_ends_the_thread() -> None:
    def source() -> Iterator[int]:
        yield from range(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(many(source(), Squares()))
    assert not prepare_threads()


def test_a_batch_that_does_not_fit_in_memory_is_run_in_halves() -> None:
    steps = Squares(most_rows=3)
    assert list(many(range(100), steps)) == [value**2 for value in range(100)]
    assert max(map(len, steps.batches)) <= 3
    with pytest.raises(torch.OutOfMemoryError):
        list(many(range(5), Squares(most_rows=0)))


def cost(batches: list[list[int]], sizes: list[int], overhead: int) -> int:
    return sum(len(batch) * max(sizes[i] for i in batch) + overhead for batch in batches)


def every_cut(sizes: list[int], limits: Limits) -> Iterator[list[list[int]]]:
    """All ways to cut sorted sizes into batches within the limits."""
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])

    def cut(rest: list[int]) -> Iterator[list[list[int]]]:
        if not rest:
            yield []
        for rows in range(1, len(rest) + 1):
            within = rows * sizes[rest[0]] <= limits.budget and (limits.rows is None or rows <= limits.rows)
            if rows == 1 or within:
                yield from ([rest[:rows], *others] for others in cut(rest[rows:]))

    return cut(order)


@pytest.mark.parametrize("overhead", [0, 3, 20])
@pytest.mark.parametrize("rows", [None, 3])
def test_packing_is_the_best_of_all_cuts(overhead: int, rows: int | None) -> None:
    limits = Limits(budget=40, rows=rows, overhead=overhead)
    for _ in range(5):
        sizes = np.random.randint(1, 60, size=10).tolist()
        packed = pack([Item({}, size) for size in sizes], limits)
        assert sorted(index for batch in packed for index in batch) == list(range(10))
        assert all(len(batch) == 1 or len(batch) * max(sizes[i] for i in batch) <= 40 for batch in packed)
        assert all(rows is None or len(batch) <= rows for batch in packed)
        assert cost(packed, sizes, overhead) == min(cost(cuts, sizes, overhead) for cuts in every_cut(sizes, limits))


def test_groups_share_no_batch() -> None:
    items = [Item({}, index % 5 + 1, group=index % 3) for index in range(60)]
    packed = pack(items, Limits(budget=30))
    assert sorted(index for batch in packed for index in batch) == list(range(60))
    assert all(len({items[index].group for index in batch}) == 1 for batch in packed)


def test_lengths_spread_over_orders_of_magnitude_are_packed_tightly() -> None:
    sizes = np.exp(np.random.uniform(np.log(5), np.log(400), 256)).astype(int)
    packed = pack([Item({}, int(size)) for size in sizes], Limits(budget=1280, overhead=40))
    padded = sum(len(batch) * max(sizes[i] for i in batch) for batch in packed)
    assert padded < 1.05 * sizes.sum()
    assert len(packed) < 64
