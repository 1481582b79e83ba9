"""Operations between a checkpoint's tensor and ours, each with its inverse."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


class Operation(ABC):
    """Base of operations: one checkpoint tensor ↔ those of ours that `targets` name."""

    @property
    @abstractmethod
    def targets(self) -> tuple[str, ...]:
        """Our names."""

    @abstractmethod
    def load(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Ours, in the order of `targets`."""

    @abstractmethod
    def save(self, parts: Sequence[Tensor]) -> Tensor:
        """The checkpoint's."""

    @abstractmethod
    def moved(self, rename: Callable[[str], str]) -> Self:
        """The same operation on renamed targets."""

    def bound(self, config: Any) -> Self:
        """The operation for one configuration."""
        return self


@dataclass(frozen=True)
class OneTarget(Operation):
    """Base of operations that have one tensor on either side."""

    target: str

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def moved(self, rename: Callable[[str], str]) -> Self:
        return dataclasses.replace(self, target=rename(self.target))


@dataclass(frozen=True)
class Transpose(OneTarget):
    """The same weight with rows and columns exchanged; vectors pass as they are."""

    def load(self, tensor: Tensor) -> tuple[Tensor, ...]:
        return (tensor.t() if tensor.ndim == 2 else tensor,)

    def save(self, parts: Sequence[Tensor]) -> Tensor:
        return parts[0].t() if parts[0].ndim == 2 else parts[0]


@dataclass(frozen=True)
class Reshape(OneTarget):
    """The same numbers in another shape: `checkpoint` and `ours` may hold one -1 each, as in `Tensor.reshape`."""

    checkpoint: tuple[int, ...]
    ours: tuple[int, ...]

    def load(self, tensor: Tensor) -> tuple[Tensor, ...]:
        return (tensor.reshape(self.ours),)

    def save(self, parts: Sequence[Tensor]) -> Tensor:
        return parts[0].reshape(self.checkpoint)


@dataclass(frozen=True)
class Split(Operation):
    """One checkpoint tensor that holds several of ours, equal in size, along the output dimension.

    `transposed` says that the checkpoint stores matrices as (input, output).
    """

    names: tuple[str, ...]
    transposed: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        return self.names

    def moved(self, rename: Callable[[str], str]) -> Self:
        return dataclasses.replace(self, names=tuple(map(rename, self.names)))

    def load(self, tensor: Tensor) -> tuple[Tensor, ...]:
        if self.transposed and tensor.ndim == 2:
            tensor = tensor.t()
        return tuple(tensor.chunk(len(self.names), dim=0))

    def save(self, parts: Sequence[Tensor]) -> Tensor:
        joined = torch.cat(list(parts), dim=0)
        return joined.t() if self.transposed and joined.ndim == 2 else joined


@dataclass(frozen=True)
class SplitRows(Operation):
    """One checkpoint tensor whose rows are those of several of ours in turn, such as queries, keys and values.

    `layout(config)` gives the number of groups of rows and the share that each of ours has in a group: one group with
    the shares (8, 2, 2) has all queries, then all keys, then all values; 4 groups of (1, 1, 1) have them head by head.
    """

    names: tuple[str, ...]
    layout: Callable[[Any], tuple[int, tuple[int, ...]]]
    config: Any = None

    @property
    def targets(self) -> tuple[str, ...]:
        return self.names

    def moved(self, rename: Callable[[str], str]) -> Self:
        return dataclasses.replace(self, names=tuple(map(rename, self.names)))

    def bound(self, config: Any) -> Self:
        return dataclasses.replace(self, config=config)

    def load(self, tensor: Tensor) -> tuple[Tensor, ...]:
        groups, shares = self.layout(self.config)
        unit = tensor.shape[0] // (groups * sum(shares))
        grouped = tensor.reshape(groups, -1, *tensor.shape[1:])
        parts = grouped.split([share * unit for share in shares], dim=1)
        return tuple(part.reshape(-1, *tensor.shape[1:]) for part in parts)

    def save(self, parts: Sequence[Tensor]) -> Tensor:
        groups, _ = self.layout(self.config)
        rows = [part.reshape(groups, -1, *part.shape[1:]) for part in parts]
        return torch.cat(rows, dim=1).reshape(-1, *parts[0].shape[1:])


@dataclass(frozen=True)
class When:
    """A name that a checkpoint has for some configurations alone: two such entries may lead to one of ours."""

    target: str
    condition: Callable[[Any], bool]

    def moved(self, rename: Callable[[str], str]) -> Self:
        """The same entry for a renamed target."""
        return dataclasses.replace(self, target=rename(self.target))
