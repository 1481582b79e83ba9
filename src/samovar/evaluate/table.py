"""A data set by columns, whatever it came as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from samovar.evaluate.columns import MetricError
from samovar.extras import require

# Which part of a data set is measured where none was named.
SPLITS = ("test", "validation", "train")


class Table:
    """Rows of named columns.

    `data` is a `datasets.Dataset` or several by split, a list or another iterable of dictionaries, a dictionary of
    columns, a pandas table, or the name of a data set, which the datasets library loads.
    """

    def __init__(self, data: Any, subset: str | None = None, split: str | None = None) -> None:
        if isinstance(data, str):
            data = require("datasets", "Loading a data set by name").load_dataset(data, subset, split=split)
        if isinstance(data, Mapping) and data and all(hasattr(part, "column_names") for part in data.values()):
            data = part_of(data, split)
        self.features = getattr(data, "features", None) or {}
        if isinstance(data, Sequence) or not hasattr(data, "__len__"):
            data = by_column(data)
        self.data = data
        names = getattr(data, "column_names", None)
        names = getattr(data, "columns", None) if names is None else names
        self.names = list(names if names is not None else getattr(data, "keys", list)())
        if not self.names:
            raise MetricError(f"data is {type(data).__name__}, which has no columns.", "Give a table or a Dataset.")
        lengths = {len(data[name]) for name in self.names} if isinstance(data, Mapping) else {len(data)}
        if len(lengths) > 1:
            raise MetricError(f"The columns have unequal lengths: {sorted(lengths)}.", "Give each row all columns.")
        self.rows = lengths.pop()
        if not self.rows:
            raise MetricError("The data has no rows.", "Give at least one.")

    def check(self, argument: str, name: str) -> None:
        """Raise `MetricError`, with the columns that there are, if this is none of them."""
        if name not in self.names:
            raise MetricError(
                f"The data has no column {name!r}; it has {', '.join(map(repr, self.names))}.",
                f"Name the right one: {argument}=….",
            )

    def stream(self, name: str) -> Iterator[Any]:
        """One column's values, each made when it is asked for: images are decoded one by one."""
        return (value.item() if isinstance(value, np.generic) else value for value in self.data[name])

    def column(self, name: str) -> list[Any]:
        """One column's values."""
        return list(self.stream(name))

    def class_names(self, name: str) -> list[str] | None:
        """What the data itself calls the classes that this column numbers, if it says so (`datasets.ClassLabel`)."""
        feature = self.features.get(name)
        return getattr(getattr(feature, "feature", feature), "names", None)


def part_of(splits: Mapping[str, Any], split: str | None) -> Any:
    """The split that was named, else the first of test, validation and train. Raises `MetricError`."""
    if split is None:
        return splits[next((name for name in SPLITS if name in splits), next(iter(splits)))]
    if split not in splits:
        raise MetricError(f"The data has no split {split!r}.", f"It has {', '.join(splits)}.")
    return splits[split]


def by_column(rows: Any) -> dict[str, list[Any]]:
    """Rows as columns. Raises `MetricError` for what is no dictionary, and for rows that lack a column."""
    rows = list(rows) if isinstance(rows, Iterable) else []
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise MetricError("data holds no rows.", "Give a list of dictionaries, one a row.")
    for place, row in enumerate(rows):
        for name in rows[0]:
            if name not in row:
                raise MetricError(f"data[{place}] has no {name!r}, which data[0] has.", "Give each row all columns.")
    return {name: [row[name] for row in rows] for name in rows[0]}
