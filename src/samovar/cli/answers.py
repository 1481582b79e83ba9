"""Results of a stream of inputs in which some may be bad: each bad one gets its error, all others their result."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from samovar.cli.inputs import Record, Records
from samovar.errors import SamovarError

# What the engine puts before an error; the number of a line says it better.
NUMBERED = re.compile(r"^Input \d+: ")
# A stream of inputs → a stream of results.
Run = Callable[[Iterator[Any]], Iterator[Any]]


def answers(records: Records, run: Run) -> Iterator[tuple[Record, Any]]:
    """(record, result) in the order of the records; a record whose `error` is set has none.

    `run` reads ahead, so what it has read and not answered waits in `pending`: no more than two of its windows. An
    error ends it: then the waiting inputs are tried in ever smaller parts until the bad ones stand alone, and a new
    run goes on behind them. It is also begun anew after a pause of the source, so that it answers what it holds.
    What the source itself raises is raised after the answers to what came before.
    """
    pending: deque[Record] = deque()
    ended = False
    broken: Exception | None = None

    def feed() -> Iterator[Any]:
        nonlocal ended, broken
        while True:
            try:
                record = next(records)
            except StopIteration:
                break
            except Exception as error:
                broken = error
                break
            if record is None:
                if pending:
                    return
                continue
            pending.append(record)
            if record.error is None:
                yield record.value
        ended = True

    while not ended or pending:
        results = run(feed())
        failed = False
        while True:
            try:
                result = next(results)
            except StopIteration:
                # A pipeline that forgets inputs must not be waited for: they are asked for again, alone.
                failed = any(record.error is None for record in pending)
                break
            except Exception:
                failed = True
                break
            while pending[0].error is not None:
                yield pending.popleft(), None
            yield pending.popleft(), result
        if failed:
            solved = apart([record for record in pending if record.error is None], run)
            while pending:
                record = pending.popleft()
                yield (record, None) if record.error is not None else next(solved)
        while pending and pending[0].error is not None:
            yield pending.popleft(), None
    if broken is not None:
        raise broken


def apart(records: list[Record], run: Run) -> Iterator[tuple[Record, Any]]:
    """Results of records of which at least one is bad, found by halving."""
    results = run(record.value for record in records)
    answered = 0
    while answered < len(records):
        try:
            result = next(results)
        except Exception as error:
            if len(records) == 1:
                yield Record(records[0].line, records[0].value, described(error)), None
                return
            break
        yield records[answered], result
        answered += 1
    rest = records[answered:]
    if rest:
        middle = len(rest) // 2 if answered == 0 else 0
        for part in (rest[:middle], rest[middle:]):
            if part:
                yield from apart(part, run)


def described(error: Exception) -> str:
    """An error in one line: the cause, then the next step."""
    if isinstance(error, SamovarError):
        return f"{NUMBERED.sub('', error.cause)} {error.next_step}".strip()
    return f"{type(error).__name__}: {error}"
