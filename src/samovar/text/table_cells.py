"""What a table is: names of columns and rows of texts, from a data frame, a dict of columns or a list of dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from samovar.errors import InputError, InputTypeError


class Table(NamedTuple):
    """Names of columns, and rows of as many texts."""

    header: list[str]
    rows: list[list[str]]

    @classmethod
    def of(cls, value: Any) -> Table:
        """From a data frame, a mapping of column → cells, or a list of mappings of column → cell.

        Cells are written out as texts, missing ones as none. Raises `InputTypeError` for anything else, `InputError`
        for columns of different lengths and for a table without columns.
        """
        if isinstance(value, cls):
            return value
        if hasattr(value, "columns") and hasattr(value, "itertuples"):
            columns, rows = list(value.columns), [list(row) for row in value.itertuples(index=False, name=None)]
        elif isinstance(value, Mapping):
            columns = list(value)
            for name, cells in value.items():
                if isinstance(cells, str) or not isinstance(cells, Sequence | np.ndarray):
                    raise InputTypeError(
                        f"Column {name!r} must be a list of cells, got {type(cells).__name__}.", "Pass {'…': ['…', …]}."
                    )
            lengths = {len(cells) for cells in value.values()}
            if len(lengths) > 1:
                counts = ", ".join(f"{name!r}: {len(cells)}" for name, cells in value.items())
                raise InputError(f"The columns have different numbers of cells ({counts}).", "Give each as many.")
            rows = [list(row) for row in zip(*value.values(), strict=True)]
        elif isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value):
            columns = list(dict.fromkeys(name for row in value for name in row))
            rows = [[row.get(name) for name in columns] for row in value]
        else:
            raise InputTypeError(
                f"A table must be a data frame, a dict of columns or a list of dicts, got {type(value).__name__}.",
                "Pass {'name': ['…', …], …}.",
            )
        if not columns:
            raise InputError("The table has no columns.", "Pass {'name': ['…', …], …}.")
        return cls([written(name) for name in columns], [[written(cell) for cell in row] for row in rows])


def written(cell: Any) -> str:
    """A cell as text; nothing for what is missing."""
    missing = cell is None or (isinstance(cell, float) and cell != cell) or type(cell).__name__ in ("NAType", "NaTType")
    return "" if missing else str(cell)


def says_nothing(text: str) -> bool:
    """No letter or digit, or one of the usual words for a missing value."""
    text = text.lower().strip()
    return text in ("n/a", "?", "nan") or not re.sub(r"[\W_]+", "", text)
