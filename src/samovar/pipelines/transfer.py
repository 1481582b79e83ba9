"""Batches between Python, the CPU and the device: joining rows, moving them there, fetching results, cutting rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samovar.tasks.outputs import Output


def each_tensor(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """`value` with every tensor in it changed, through mappings, lists and tuples."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return like(value, {name: each_tensor(part, change) for name, part in value.items()})
    if isinstance(value, list | tuple):
        return type(value)(each_tensor(part, change) for part in value)
    return value


def like(value: Mapping[str, Any], parts: dict[str, Any]) -> Mapping[str, Any]:
    """`parts` as a model's output when `value` is one, so that attributes and indices still work."""
    return type(value)(**parts) if isinstance(value, Output) else parts


def pad_rows(rows: Sequence[np.ndarray], fill: int) -> Tensor:
    """Rows of ids (length,) → (batch, longest), padded on the right."""
    batch = np.full((len(rows), max(len(row) for row in rows)), fill, dtype=np.int64)
    for target, row in zip(batch, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(batch)


def stack_rows(rows: Sequence[Mapping[str, Any]], fills: Mapping[str, int]) -> dict[str, Any]:
    """Mappings of tensors (1, …) → one mapping of tensors (batch, …), padded at the end of every dimension.

    A lone row is left as it is. Values that are no tensors become lists.
    """
    if len(rows) == 1:
        return dict(rows[0])
    batch: dict[str, Any] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if not isinstance(first, Tensor):
            batch[name] = values
        elif all(value.shape == first.shape for value in values):
            batch[name] = torch.cat(values)
        else:
            longest = [max(sizes) for sizes in zip(*(value.shape[1:] for value in values), strict=True)]
            joined = first.new_full((len(rows), *longest), fills.get(name, 0))
            for target, value in zip(joined, values, strict=True):
                target[tuple(slice(size) for size in value.shape[1:])] = value[0]
            batch[name] = joined
    return batch


def slice_rows(outputs: Any, count: int) -> list[Any]:
    """A model's output → one per row, each with a batch dimension of 1; what has no batch dimension goes to all."""

    def row(value: Any, index: int) -> Any:
        if isinstance(value, Tensor):
            return value[index : index + 1] if value.ndim and value.shape[0] == count else value
        if isinstance(value, Mapping):
            return like(value, {name: row(part, index) for name, part in value.items()})
        if isinstance(value, tuple) or (isinstance(value, list) and any(isinstance(part, Tensor) for part in value)):
            return type(value)(row(part, index) for part in value)
        return [value[index]] if isinstance(value, list) and len(value) == count else value

    if count == 1:
        return [outputs]
    return [row(outputs, index) for index in range(count)]


def place(batch: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A batch on the model's device, its floating-point tensors in the model's type."""

    def move(tensor: Tensor) -> Tensor:
        wanted = dtype if tensor.is_floating_point() else tensor.dtype
        if device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(device=device, dtype=wanted, non_blocking=device.type == "cuda")

    return each_tensor(batch, move)


@dataclass(slots=True)
class Fetched:
    """Values on their way to the CPU."""

    values: Any
    arrived: Any = None

    def wait(self) -> Any:
        """The values, once they are there."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.values


def fetch(values: Any) -> Fetched:
    """Start to copy tensors to the CPU, so that the next batch can be sent to the device before they arrive."""
    devices: set[str] = set()
    each_tensor(values, lambda tensor: devices.add(tensor.device.type))
    if "cuda" not in devices:
        return Fetched(each_tensor(values, lambda tensor: tensor.cpu()))
    copies = each_tensor(values, lambda tensor: tensor.to("cpu", non_blocking=True))
    arrived = torch.cuda.Event()
    arrived.record()
    return Fetched(copies, arrived)
