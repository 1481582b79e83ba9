"""Predictions of a whole data set, on disk: memory does not grow with it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

IGNORED = -100


@dataclass
class EvalPrediction:
    """What `compute_metrics` gets: arrays (rows, …), or tuples of them; iterable as (predictions, label_ids)."""

    predictions: Any
    label_ids: Any
    inputs: Any = None

    def __iter__(self) -> Any:
        return iter((self.predictions, self.label_ids))

    def __getitem__(self, index: int) -> Any:
        return (self.predictions, self.label_ids)[index]


class EvalLoopOutput(NamedTuple):
    """What an evaluation found."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]
    num_samples: int


class PredictionOutput(NamedTuple):
    """What `predict` gives."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]


class Rows:
    """Arrays of batches one after the other in an unnamed file; rows of unequal lengths are filled up with -100."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the rows)
        self.shapes: list[tuple[int, ...]] = []
        self.dtype: np.dtype | None = None

    def add(self, batch: np.ndarray) -> None:
        """One batch (rows, …)."""
        self.dtype = batch.dtype
        self.shapes.append(batch.shape)
        self.file.write(np.ascontiguousarray(batch).data)

    def array(self) -> np.ndarray:
        """All rows, mapped from the file."""
        assert self.dtype is not None
        self.file.flush()
        count = sum(shape[0] for shape in self.shapes)
        inner = {shape[1:] for shape in self.shapes}
        if len(inner) == 1:
            return np.memmap(self.file, self.dtype, "r", shape=(count, *inner.pop()))
        widest = tuple(max(sizes) for sizes in zip(*inner, strict=True))
        wide = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the rows)
        padded = np.memmap(wide, self.dtype, "w+", shape=(count, *widest))
        row = offset = 0
        for shape in self.shapes:
            batch = np.memmap(self.file, self.dtype, "r", offset=offset, shape=shape)
            padded[row : row + shape[0]] = IGNORED
            padded[(slice(row, row + shape[0]), *(slice(size) for size in shape[1:]))] = batch
            row, offset = row + shape[0], offset + batch.nbytes
        return padded


class Spool:
    """Batches of tensors, or tuples and dictionaries of tensors → arrays of all rows in the same structure."""

    def __init__(self) -> None:
        self.parts: Any = None

    def add(self, batch: Any) -> None:
        """One batch."""
        self.parts = self.put(self.parts, batch)

    def put(self, parts: Any, batch: Any) -> Any:
        """Write each tensor to its file."""
        if isinstance(batch, Tensor):
            rows = parts or Rows()
            batch = batch.detach().cpu()
            rows.add((batch.float() if str(batch.dtype) == "torch.bfloat16" else batch).numpy())
            return rows
        if isinstance(batch, Mapping):
            return {name: self.put((parts or {}).get(name), value) for name, value in batch.items()}
        before = parts or (None,) * len(batch)
        return tuple(self.put(part, value) for part, value in zip(before, batch, strict=True))

    def result(self) -> Any:
        """The arrays; None where nothing was added."""
        return arrays(self.parts)


def arrays(parts: Any) -> Any:
    """Files → arrays, in the same structure."""
    if parts is None or isinstance(parts, Rows):
        return None if parts is None else parts.array()
    if isinstance(parts, Mapping):
        return {name: arrays(part) for name, part in parts.items()}
    return tuple(arrays(part) for part in parts)
