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
# A stream of inputs, and arguments for all of them → a stream of results.
Run = Callable[[Iterator[Any], dict[str, Any]], Iterator[Any]]


class Answers:
    """(record, result) in the order of the records; a record whose `error` is set has no result.

    `run` reads ahead, so what it has read and not answered waits in `pending`: no more than two of its windows. An
    error ends it: then the waiting inputs are tried in ever smaller parts until the bad ones stand alone, and a new
    run goes on behind them. It is also begun anew where arguments change, and after a pause of the source, so that it
    answers what it holds. What the source itself raises is raised after the answers to what came before.
    """

    def __init__(self, records: Records, run: Run) -> None:
        self.records = records
        self.run = run
        self.pending: deque[Record] = deque()
        self.held: Record | None = None
        self.ended = False
        self.broken: Exception | None = None

    def take(self) -> Record | None:
        """The next record; None at the end, and when there is none for now."""
        if self.held is not None:
            record, self.held = self.held, None
            return record
        try:
            return next(self.records)
        except StopIteration:
            self.ended = True
        except Exception as error:
            self.ended, self.broken = True, error
        return None

    def feed(self, first: Record) -> Iterator[Any]:
        """The values of a record and of those behind it that one run can answer."""
        yield first.value
        while not self.ended:
            record = self.take()
            if record is None:
                if self.pending:
                    return
            elif record.error is None and record.arguments != first.arguments:
                self.held = record
                return
            else:
                self.pending.append(record)
                if record.error is None:
                    yield record.value

    def __iter__(self) -> Iterator[tuple[Record, Any]]:
        while not self.ended:
            first = self.take()
            if first is None:
                continue
            if first.error is not None:
                yield first, None
                continue
            self.pending.append(first)
            yield from self.answered(first)
        if self.broken is not None:
            raise self.broken

    def answered(self, first: Record) -> Iterator[tuple[Record, Any]]:
        """One run, from this record on."""
        pending = self.pending
        results = self.run(self.feed(first), first.arguments)
        while True:
            try:
                result = next(results)
            except Exception:
                # Also the end of a pipeline that forgets inputs: they are asked for again, alone.
                break
            while pending[0].error is not None:
                yield pending.popleft(), None
            yield pending.popleft(), result
        solved = apart([record for record in pending if record.error is None], self.run)
        while pending:
            record = pending.popleft()
            yield (record, None) if record.error is not None else next(solved)


def apart(records: list[Record], run: Run) -> Iterator[tuple[Record, Any]]:
    """Results of records with the same arguments; the bad ones among them are found by halving."""
    results = run((record.value for record in records), records[0].arguments if records else {})
    answered = 0
    while answered < len(records):
        try:
            result = next(results)
        except Exception as error:
            if len(records) == 1:
                yield Record(records[0].line, records[0].value, error=described(error)), None
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
