"""The batching engine, one for all tasks: any source of inputs in, results in input order out.

::

    source ─ read ─▶ chunks ─ prepare ─▶ window ─ sort, pack ─▶ batch ─ compute ─▶ results ─ restore order ─▶
             │        │                                          │
             │        background thread                          caller's thread
             caller's thread (a source may belong to it); while one window computes, the next is read and prepared

The source is read at most two windows ahead, so an endless one streams in bounded memory. Nothing runs between the
caller's `next()` calls except the preparation of chunks that were read already; closing the iterator ends the thread.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any, Protocol

import torch

from samovar.errors import InputError, NumericError
from samovar.pipelines.packing import Item, Limits, pack

logger = logging.getLogger(__name__)

# Seconds after which a window is run with the inputs that a slow source has given so far.
PATIENCE = 0.5


class Steps(Protocol):
    """What a task does with inputs; all state that a call needs is bound in it."""

    def prepare(self, inputs: list[Any]) -> list[list[Item]]:
        """Each input's rows."""

    def start(self, items: list[Item]) -> Callable[[], list[Any]]:
        """Run one batch; what is returned waits for it and gives one value per item."""

    def finish(self, items: list[Item], values: list[Any]) -> Any:
        """One input's result from the values of its rows."""


@dataclass(slots=True, eq=False)
class Entry:
    """One input inside a window."""

    index: int | None
    items: list[Item]
    values: list[Any]
    left: int


def run_one(value: Any, steps: Steps) -> Any:
    """The result of a single input: no threads, no window."""
    entry = prepared([value], None, steps)[0]
    batches = Batches(steps)
    for position in range(len(entry.items)):
        batches.settle([(entry, position)], batches.start([(entry, position)]))
    return finished(entry, steps)


def run_many(
    source: Iterable[Any], steps: Steps, limits: Limits, *, overlap: bool, depth: int = 0, first_window: int
) -> Iterator[Any]:
    """Results in the order of the inputs.

    `overlap` prepares in a background thread; `depth` is how many batches may be under way on an accelerator before
    the oldest is waited for. The first window holds `first_window` inputs, each later one twice as many as before,
    up to `limits.window`: a stream answers soon, a long one is packed well. A window of 1 reads nothing ahead, for
    sources whose next input depends on the last result.
    """
    reader = Reader(iter(source), steps, limits.chunk, overlap)
    batches = Batches(steps)
    window = min(first_window, limits.window)
    try:
        reader.read(window)
        while entries := reader.take():
            window = min(2 * window, limits.window)
            rows = [(entry, position) for entry in entries for position in range(len(entry.items))]
            packed = pack([entry.items[position] for entry, position in rows], limits)
            share = -(-window // max(len(packed), 1))
            ready = deque(entries)
            under_way: deque[tuple[list[Row], Callable[[], list[Any]]]] = deque()
            for batch in packed:
                if window > 1:
                    reader.read(min(share, window - reader.waiting))
                chosen = [rows[index] for index in batch]
                under_way.append((chosen, batches.start(chosen)))
                if len(under_way) > depth:
                    batches.settle(*under_way.popleft())
                while ready and not ready[0].left:
                    yield finished(ready.popleft(), steps)
            while under_way:
                batches.settle(*under_way.popleft())
            while ready:
                yield finished(ready.popleft(), steps)
            reader.read(window - reader.waiting)
    finally:
        reader.close()


Row = tuple[Entry, int]


class Batches:
    """Runs batches of rows, and finds the row to blame when one fails."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def start(self, rows: list[Row]) -> Callable[[], list[Any]]:
        """Run a batch; the values are had by calling what is returned."""
        try:
            wait = self.steps.start([entry.items[position] for entry, position in rows])
        except Exception as error:
            return partial(self.recover, rows, error)
        return partial(self.wait, rows, wait)

    def wait(self, rows: list[Row], wait: Callable[[], list[Any]]) -> list[Any]:
        """The values of a batch that was started."""
        try:
            return wait()
        except Exception as error:
            return self.recover(rows, error)

    def recover(self, rows: list[Row], error: Exception) -> list[Any]:
        """Values of a batch that failed: in halves when memory ran out, else row by row to name the culprit."""
        if len(rows) == 1:
            raise blamed(error, rows[0][0].index) from error.__cause__
        if isinstance(error, torch.OutOfMemoryError):
            middle = len(rows) // 2
            return self.start(rows[:middle])() + self.start(rows[middle:])()
        values = [value for row in rows for value in self.start([row])()]
        logger.warning("A batch of %d rows failed, but each row alone did not: %r", len(rows), error)
        return values

    def settle(self, rows: list[Row], wait: Callable[[], list[Any]]) -> None:
        """Hand a batch's values to their inputs."""
        for (entry, position), value in zip(rows, wait(), strict=True):
            entry.values[position] = value
            entry.left -= 1


class Reader:
    """Reads a source in the caller's thread and prepares what was read, chunk by chunk, in the background."""

    def __init__(self, source: Iterator[Any], steps: Steps, chunk: int, overlap: bool) -> None:
        self.source = source
        self.steps = steps
        self.chunk = chunk
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="samovar-prepare") if overlap else None
        self.chunks: deque[Callable[[], list[Entry]]] = deque()
        self.count = 0
        self.waiting = 0
        self.ended = False
        self.error: BaseException | None = None

    def read(self, count: int) -> None:
        """Read up to `count` more inputs and start to prepare them; fewer from a slow source or near its end."""
        give_up = monotonic() + PATIENCE
        while count > 0 and not self.ended:
            values: list[Any] = []
            wanted = min(count, self.chunk)
            try:
                for value in islice(self.source, wanted):
                    values.append(value)
                    if monotonic() > give_up:
                        wanted = count = len(values)
                        break
            except Exception as error:
                # Inputs that came before the failure are answered first.
                self.error = error
            self.ended = self.error is not None or len(values) < wanted
            if values:
                self.submit(values)
            count -= len(values)

    def submit(self, values: list[Any]) -> None:
        work = partial(prepared, values, self.count, self.steps)
        self.count += len(values)
        self.waiting += len(values)
        if self.worker is None:
            self.chunks.append(work)
        else:
            future: Future[list[Entry]] = self.worker.submit(work)
            self.chunks.append(future.result)

    def take(self) -> list[Entry]:
        """All inputs that were read, prepared; none at the end. Raises what the source raised, after its inputs."""
        if not self.chunks and self.error is not None:
            raise self.error
        entries = [entry for result in self.chunks for entry in result()]
        self.chunks.clear()
        self.waiting = 0
        return entries

    def close(self) -> None:
        """End the thread; chunks that it has not begun are dropped."""
        if self.worker is not None:
            self.worker.shutdown(wait=True, cancel_futures=True)


def prepared(values: list[Any], first: int | None, steps: Steps) -> list[Entry]:
    """Prepare a chunk whose first input has the index `first`; a failure names the input that caused it."""
    try:
        rows = steps.prepare(values)
    except Exception as error:
        if len(values) == 1 or first is None:
            raise blamed(error, first) from error.__cause__
        return [entry for offset, value in enumerate(values) for entry in prepared([value], first + offset, steps)]
    return [
        Entry(None if first is None else first + offset, items, [None] * len(items), len(items))
        for offset, items in enumerate(rows)
    ]


def finished(entry: Entry, steps: Steps) -> Any:
    """One input's result."""
    try:
        return steps.finish(entry.items, entry.values)
    except Exception as error:
        raise blamed(error, entry.index) from error.__cause__


def blamed(error: Exception, index: int | None) -> Exception:
    """The same error with the index of the input that caused it; `None`: the call had only one input."""
    if index is None:
        return error
    if isinstance(error, InputError | NumericError):
        return type(error)(f"Input {index}: {error.cause}", error.next_step)
    error.add_note(f"This was input {index} of the call.")
    return error
