"""Rows that wait for `compute`: on disk, so that memory stays flat however many are added."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from samovar.evaluate.columns import MetricError, Values


class Store:
    """The rows of one column in an unnamed temporary file: raw numbers, or JSON lines where they are no numbers."""

    def __init__(self, name: str, streamed: bool = False) -> None:
        self.name = name
        self.streamed = streamed
        self.rows = 0
        self.file: IO[bytes] | None = None
        self.dtype: np.dtype | None = None
        self.shape: tuple[int, ...] = ()

    def check(self, values: Values) -> None:
        """Raise `MetricError` if these rows cannot follow those that are here."""
        if not self.rows or not len(values):
            return
        dtype = values.dtype if isinstance(values, np.ndarray) else None
        if dtype != self.dtype:
            raise MetricError(
                f"{self.name} held {'text' if self.dtype is None else 'numbers'} before, and now"
                f" {'text' if dtype is None else 'numbers'}.",
                "Use either throughout.",
            )
        if isinstance(values, np.ndarray) and values.shape[1:] != self.shape:
            raise MetricError(
                f"{self.name} had rows of shape {self.shape} before, and now {values.shape[1:]}.",
                "Give every row the same shape.",
            )

    def append(self, values: Values) -> None:
        """Add rows that `check` let through."""
        if self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the rows)
        if isinstance(values, np.ndarray):
            self.dtype, self.shape = values.dtype, values.shape[1:]
            self.file.write(np.ascontiguousarray(values).data)
        else:
            for value in values:
                line = packed(value) if isinstance(value, np.ndarray) else value
                self.file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self.rows += len(values)

    def read(self) -> Values | Lines:
        """All rows: an array that is mapped from the file, or a list, or, if streamed, what reads them in turn."""
        if self.file is None:
            return []
        self.file.flush()
        if self.dtype is not None:
            return np.memmap(self.file, self.dtype, "r", shape=(self.rows, *self.shape))
        lines = Lines(self.file, self.rows)
        return lines if self.streamed else list(lines)

    def mark(self) -> tuple[int, int]:
        """Where the rows end now."""
        return self.rows, self.file.tell() if self.file else 0

    def rewind(self, mark: tuple[int, int]) -> None:
        """Forget what was added after `mark`."""
        self.rows, end = mark
        if self.file is not None:
            self.file.seek(end)
            self.file.truncate()

    def clear(self) -> None:
        """Forget all rows."""
        if self.file is not None:
            self.file.close()
        self.__init__(self.name, self.streamed)  # type: ignore[misc]

    def __del__(self) -> None:
        # Rows that nobody computes are no mistake, and an open file left behind is warned of.
        if self.file is not None:
            self.file.close()


class Lines:
    """The rows of a file of JSON lines; each time that they are gone through they are read again."""

    def __init__(self, file: IO[bytes], rows: int) -> None:
        self.file = file
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[Any]:
        place = 0
        while True:
            self.file.seek(place)
            lines = self.file.readlines(1 << 16)
            if not lines:
                return
            place = self.file.tell()
            for line in lines:
                yield restored(json.loads(line))


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON has it: its bytes, which are much shorter than its numbers."""
    content = base64.b64encode(np.ascontiguousarray(array).data).decode()
    return {"array": content, "dtype": array.dtype.str, "shape": array.shape}


def restored(line: Any) -> Any:
    """An array again, where one was written."""
    if isinstance(line, dict) and line.keys() == {"array", "dtype", "shape"}:
        return np.frombuffer(base64.b64decode(line["array"]), np.dtype(line["dtype"])).reshape(line["shape"])
    return line
