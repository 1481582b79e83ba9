"""The header of a safetensors file (https://github.com/huggingface/safetensors): names, types and shapes, no data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

LARGEST = 100 * 2**20
PAGE = 200
SORTS = ("", "name", "type", "-values", "values")
Row = tuple[str, str, str, int]


@dataclass(frozen=True)
class Tensors:
    """What the header says; `problem` if it cannot be read."""

    rows: list[Row] = field(default_factory=list)
    """(name, type, shape, number of values), in the order of the file."""
    types: dict[str, int] = field(default_factory=dict)
    """Type → number of values."""
    total: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def tensors(read: Callable[[int, int], bytes], size: int) -> Tensors:
    """The tensors. `read(start, count)` gives bytes of the file."""
    length = int.from_bytes(read(0, 8), "little")
    if size < 8 or length > min(size - 8, LARGEST):
        return Tensors(problem="The file's header is longer than the file.")
    try:
        header = json.loads(read(8, length))
        metadata = header.pop("__metadata__", {})
        rows = [
            (str(name), str(one["dtype"]), " × ".join(map(str, one["shape"])) or "–", math.prod(map(int, one["shape"])))
            for name, one in header.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Tensors(problem="The file's header cannot be read.")
    plain = {str(key): str(value)[:500] for key, value in metadata.items()} if isinstance(metadata, dict) else {}
    types: dict[str, int] = {}
    for _, dtype, _, count in rows:
        types[dtype] = types.get(dtype, 0) + count
    return Tensors(rows, types, sum(types.values()), plain)


@dataclass(frozen=True)
class Sight:
    """Some of a file's tensors: those whose names hold some letters, in an order, by pages."""

    file: Tensors
    rows: list[Row]
    found: int
    search: str
    sort: str
    p: int
    pages: int


def sight(file: Tensors, search: str, sort: str, p: int) -> Sight:
    """A page of the tensors. Numbers in names are sorted as numbers: layer 2 stands before layer 10."""
    rows = [row for row in file.rows if search.lower() in row[0].lower()] if search else file.rows
    sort = sort if sort in SORTS else ""
    if sort in ("values", "-values"):
        rows = sorted(rows, key=lambda row: row[3], reverse=sort == "-values")
    elif sort:
        rows = sorted(rows, key=lambda row: ((row[1] if sort == "type" else ""), natural(row[0])))
    pages = max(1, math.ceil(len(rows) / PAGE))
    p = min(p, pages - 1)
    return Sight(file, rows[p * PAGE : (p + 1) * PAGE], len(rows), search, sort, p, pages)


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts numbers in names as numbers."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
