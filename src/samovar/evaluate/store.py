"""Rows that wait for `compute`: on disk, so that memory stays flat however many are added."""

from __future__ import annotations

import json
import tempfile
from typing import IO, Any

import numpy as np

from samovar.evaluate.columns import MetricError, Values, plain


class Store:
    """The rows of one column in an unnamed temporary file: raw numbers, or JSON lines where they are no numbers."""

    def __init__(self, name: str) -> None:
        self.name = name
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
                line = {"array": plain(value), "dtype": value.dtype.str} if isinstance(value, np.ndarray) else value
                self.file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self.rows += len(values)

    def read(self) -> Values:
        """All rows: an array that is mapped from the file, or a list."""
        if self.file is None:
            return []
        self.file.flush()
        if self.dtype is not None:
            return np.memmap(self.file, self.dtype, "r", shape=(self.rows, *self.shape))
        self.file.seek(0)
        return [restored(json.loads(line)) for line in self.file]

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
        self.__init__(self.name)  # type: ignore[misc]


def restored(line: Any) -> Any:
    """An array again, where one was written."""
    if isinstance(line, dict) and line.keys() == {"array", "dtype"}:
        return np.asarray(line["array"], np.dtype(line["dtype"]))
    return line
