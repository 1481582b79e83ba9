"""How many of what was found have each value of a facet: what a page shows beside its list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samovar.server.search.groups import GROUPS, MARK, NUMBER
from samovar.server.search.postings import Slots
from samovar.server.search.query import Query, matching
from samovar.server.search.table import Table

SIZES = ("<1M", "1M-10M", "10M-100M", "100M-1B", "1B-3B", "3B-6B", "6B-9B", "9B-12B", "12B-24B", "24B-32B", "32B-64B",
         "64B-128B", "128B-256B", ">256B")  # fmt: skip
"""Ranges of parameters, in the order of `table.SIZE_BORDERS`."""
FACETS: dict[str, tuple[str, ...]] = {
    "model": ("pipeline_tag", "library", "language", "license", "dataset", "architecture", "base_model", "region",
              "parameters", "other"),
    "dataset": ("task_categories", "task_ids", "size_categories", "modality", "format", "language", "license",
                "library", "multilinguality", "language_creators", "annotations_creators", "benchmark", "other"),
    "space": ("sdk", "license", "other"),
}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """One value of a facet."""

    id: str
    """What `filter=` takes; of `pipeline_tag`, `architecture` and the like the value itself."""
    label: str
    count: int


def facets(
    table: Table, query: Query, names: tuple[str, ...], limit: int, **limits: int
) -> tuple[int, dict[str, list[Value]]]:
    """How many match in all, and the most frequent values of each facet: `limit` of them unless `limits` names it.

    A facet in which something is chosen counts as if nothing were: else its other values would all disappear.
    """
    slots = matching(table, query)
    chosen = {condition.group for condition in query.filters} | (
        {"parameters"} if query.parameters != (None, None) else set()
    )
    common: npt.NDArray[np.int64] | None = None
    found: dict[str, list[Value]] = {}
    for name in names:
        among = matching(table, query.without(name)) if name in chosen else slots
        if name == "parameters":
            found[name] = sizes(table, among)
            continue
        if name in chosen:
            numbers, counts = table.count_group(among, NUMBER[name])
        else:
            common = table.count_tags(slots) if common is None else common
            numbers = table.numbers_of(NUMBER[name])
            numbers = numbers[numbers < len(common)]
            counts = common[numbers]
        found[name] = most(table, numbers, counts, name, limits.get(name, limit))
    return len(slots), found


def most(
    table: Table, numbers: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], name: str, limit: int
) -> list[Value]:
    """The most frequent tags of a group; equal ones by name."""
    some = counts > 0
    numbers, counts = numbers[some], counts[some]
    if len(numbers) > limit:
        border = np.partition(counts, len(counts) - limit)[len(counts) - limit]
        numbers, counts = numbers[counts >= border], counts[counts >= border]
    texts = table.vocabulary.texts
    pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
    values = [value_of(texts[number], name, count) for number, count in pairs]
    return sorted(values, key=lambda value: (-value.count, value.id))[:limit]


def value_of(text: str, name: str, count: int) -> Value:
    """A tag as a facet's value."""
    if text.startswith(MARK):
        bare = text.partition(":")[2]
        return Value(bare, bare, count)
    return Value(text, text.partition(":")[2] if text.partition(":")[0] in GROUPS else text, count)


def sizes(table: Table, slots: Slots) -> list[Value]:
    """How many models are in each range of parameters, in the order of the ranges."""
    counts = np.bincount(table.sized[slots], minlength=len(SIZES) + 1)[1:]
    return [Value(label, label, count) for label, count in zip(SIZES, counts.tolist(), strict=True) if count]
