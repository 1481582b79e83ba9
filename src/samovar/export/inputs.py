"""What models read: names, dimensions and examples, for tracing and for comparing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Sizes = Mapping[str, int]
Dim = int | str

# Sizes to trace at: no two alike and none of them 1, as tracing takes equal sizes for one and 1 for fixed.
EXAMPLE: Sizes = {
    "batch_size": 3, "sequence_length": 11, "past_sequence_length": 7, "encoder_sequence_length": 13,
    "height": 96, "width": 128, "num_choices": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One tensor: `dims` are numbers, names of free sizes, or sums of such names (`"a + b"`).

    `kind` says how examples are made: `ids` below `limit`, `mask`, `types` below `limit` (one limit for each number of
    a token where it is a tuple), `pixels`, or `state` for anything normal. `last` is the id that texts end with.
    """

    name: str
    dims: tuple[Dim, ...]
    kind: str
    limit: int | tuple[int, ...] = 2
    last: int | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Whole numbers for ids, masks and types."""
        return torch.float32 if self.kind in ("pixels", "state") else torch.int64

    def shape(self, sizes: Sizes) -> tuple[int, ...]:
        """Its shape at these sizes."""
        return tuple(
            dim if isinstance(dim, int) else sum(sizes[name] for name in dim.split(" + ")) for dim in self.dims
        )

    def over(self, length: str) -> Input:
        """The same along another length."""
        return replace(self, dims=tuple(length if dim == "sequence_length" else dim for dim in self.dims))

    def called(self, name: str) -> Input:
        """The same under another name."""
        return replace(self, name=name)

    def make(self, sizes: Sizes, generator: torch.Generator) -> Tensor:
        """An example."""
        shape = self.shape(sizes)
        if self.kind in ("pixels", "state"):
            return torch.randn(shape, generator=generator)
        if self.kind == "mask":
            return self.padded(shape)
        if isinstance(self.limit, tuple):
            columns = [torch.randint(0, top, shape[:-1], generator=generator) for top in self.limit]
            return torch.stack(columns, dim=-1)
        numbers = torch.randint(0, self.limit, shape, generator=generator)
        if self.last is not None:
            numbers[..., -1:] = self.last
        return numbers

    def padded(self, shape: tuple[int, ...]) -> Tensor:
        """All ones in the first row, then some padding: before the text where a past is part of it, else behind."""
        length = shape[-1]
        rows = torch.arange(shape[0]) * 2 % max(length, 1)
        before = any(isinstance(dim, str) and "past" in dim for dim in self.dims)
        places = torch.arange(length)
        real = places[None] >= rows[:, None] if before else places[None] < (length - rows)[:, None]
        middle = [1] * (len(shape) - 2)
        return real.long().view(shape[0], *middle, length).expand(shape).contiguous()
