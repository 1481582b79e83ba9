"""Packing: which items go into one batch, so that little of the padded work is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True)
class Item:
    """One row for the model, prepared but not yet in a batch.

    `features` holds what the model reads, without a batch dimension; `size` is its length in tokens (or pixels);
    items whose `group` differs never share a batch; `extra` is whatever the task needs to read its answer.
    """

    features: dict[str, Any]
    size: int
    group: Any = None
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is worked on at once.

    `budget` is the padded size of a batch (rows x longest row), which one larger row may exceed; `rows` caps the
    number of rows; `overhead` is what a batch costs before its first row, in units of size. `window` is how many
    inputs are sorted together and `chunk` how many are prepared together: memory is bounded by two windows.
    """

    budget: int
    rows: int | None = None
    overhead: int = 1
    window: int = 512
    chunk: int = 64


def pack(items: Sequence[Item], limits: Limits) -> list[list[int]]:
    """Indices of `items` in batches, largest items first, with the least padded size plus overhead.

    ::

        sizes, sorted   9 9 8 | 5 5 4 4 4 4 | 2 1 1     rows x longest <= budget
        padded size      27   +     30      +   6       + 3 x overhead  → least over all places of the cuts

    The best cuts are found exactly, by dynamic programming from the smallest item to the largest.
    """
    groups: dict[Any, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(item.group, []).append(index)
    batches: list[list[int]] = []
    for members in groups.values():
        sizes = np.array([items[index].size for index in members], dtype=np.int64)
        order = np.argsort(-sizes, kind="stable")
        batches += [[members[position] for position in order[a:b]] for a, b in cuts(sizes[order], limits)]
    # The largest first, whatever its group: a batch that does not fit in memory fails early.
    return sorted(batches, key=lambda batch: -items[batch[0]].size)


def cuts(sizes: np.ndarray, limits: Limits) -> list[tuple[int, int]]:
    """Where to cut `sizes`, sorted from large to small, as (start, end) of each batch."""
    count = len(sizes)
    most = np.maximum(limits.budget // np.maximum(sizes, 1), 1)
    if limits.rows is not None:
        most = np.minimum(most, limits.rows)
    cost = np.zeros(count + 1)
    following = np.zeros(count, dtype=np.int64)
    steps = np.arange(1, int(most.max(initial=1)) + 1)
    for start in range(count - 1, -1, -1):
        rows = min(int(most[start]), count - start)
        totals = steps[:rows] * float(sizes[start]) + cost[start + 1 : start + 1 + rows]
        best = int(totals.argmin())
        cost[start] = totals[best] + limits.overhead
        following[start] = start + 1 + best
    places = []
    start = 0
    while start < count:
        places.append((start, int(following[start])))
        start = places[-1][1]
    return places
