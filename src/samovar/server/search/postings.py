"""Posting lists: for each number (a tag, a part of a name) the slots of the rows that have it, in order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.int64]
"""Rows of a table, in ascending order."""


class Postings:
    """Which rows have which numbers: the rows number by number, as a compressed sparse list. Never changes."""

    def __init__(self, numbers: npt.NDArray[np.int32], row_starts: npt.NDArray[np.int64], size: int) -> None:
        """From the numbers of all rows, one row after the other; `size` numbers exist."""
        self.rows = len(row_starts) - 1
        # Number and row in one integer: sorting those is several times faster than an indirect, stable sort.
        keys = np.repeat(np.arange(self.rows, dtype=np.int64), np.diff(row_starts))
        keys |= numbers.astype(np.int64) << 32
        keys = distinct(keys)
        self.backward = (keys & 0xFFFFFFFF).astype(np.int32)
        self.starts = np.searchsorted(keys, np.arange(size + 1, dtype=np.int64) << 32)
        # The masks of the commonest tags alone: a byte for each row.
        self.mask = lru_cache(maxsize=32)(self.make_mask)

    def make_mask(self, number: int) -> npt.NDArray[np.bool_]:
        """For each row whether it has a number."""
        mask = np.zeros(self.rows, np.bool_)
        mask[self.get(number)] = True
        return mask

    def get(self, number: int) -> npt.NDArray[np.int32]:
        """The rows that have a number."""
        if number >= len(self.starts) - 1:
            return self.backward[:0]
        return self.backward[self.starts[number] : self.starts[number + 1]]

    def union(self, numbers: npt.NDArray[np.int64]) -> Slots:
        """The rows that have any of the numbers, in order."""
        if len(numbers) == 1:
            return self.get(int(numbers[0])).astype(np.int64)
        mask = np.zeros(self.rows, np.bool_)
        mask[self.backward[ranges(self.starts[numbers], self.starts[numbers + 1])]] = True
        return np.flatnonzero(mask)


class Forward:
    """Which numbers each row has: the numbers row by row. Never changes."""

    def __init__(self, numbers: npt.NDArray[np.int32], row_starts: npt.NDArray[np.int64]) -> None:
        self.numbers, self.row_starts = numbers, row_starts

    def __len__(self) -> int:
        return len(self.row_starts) - 1

    def get(self, row: int) -> npt.NDArray[np.int32]:
        """The numbers of one row."""
        return self.numbers[self.row_starts[row] : self.row_starts[row + 1]]

    def chosen(self, rows: Slots) -> npt.NDArray[np.int32]:
        """The numbers of some rows, one row after the other."""
        if len(rows) * 3 > len(self):
            mask = np.zeros(len(self), np.bool_)
            mask[rows] = True
            return self.numbers[np.repeat(mask, np.diff(self.row_starts))]
        return self.numbers[ranges(self.row_starts[rows], self.row_starts[rows + 1])]


def distinct(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The different ones in order. Much faster on large arrays than going through a table of hashes."""
    keys = np.sort(keys)
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys


def ranges(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The integers of all ranges, one range after the other: `[3, 8], [5, 9]` → `3 4 8`."""
    lengths = ends - starts
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    if not len(lengths):
        return np.empty(0, np.int64)
    steps = np.ones(int(lengths.sum()), np.int64)
    begins = np.cumsum(lengths)[:-1]
    steps[0] = starts[0]
    steps[begins] = starts[1:] - (starts[:-1] + lengths[:-1] - 1)
    return np.cumsum(steps)
