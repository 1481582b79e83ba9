"""The header of a safetensors file (https://github.com/huggingface/safetensors): names, types and shapes, no data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field

LARGEST = 100 * 2**20
MOST = 5000


@dataclass(frozen=True)
class Tensors:
    """What the header says; `problem` if it cannot be read."""

    rows: list[tuple[str, str, str, int]] = field(default_factory=list)
    """(name, type, shape, number of values)."""
    count: int = 0
    total: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def tensors(read: Callable[[int, int], bytes], size: int) -> Tensors:
    """The tensors, at most 5,000 of them listed. `read(start, count)` gives bytes of the file."""
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
    return Tensors(rows[:MOST], len(rows), sum(row[3] for row in rows), plain)
