"""Texts that grow: ids in one preallocated block, so that a step copies nothing."""

from __future__ import annotations

from torch import Tensor

ROOM = 256


class Texts:
    """Ids (rows, length) to which a token per row is added at a time."""

    def __init__(self, ids: Tensor, longest: int, fill: int) -> None:
        self.longest = longest
        self.fill = fill
        self.length = ids.shape[1]
        self.block = ids.new_full((ids.shape[0], min(longest, self.length + ROOM)), fill)
        self.block[:, : self.length] = ids

    @property
    def ids(self) -> Tensor:
        """The texts so far; a view, which the next token does not change."""
        return self.block[:, : self.length]

    def append(self, tokens: Tensor) -> None:
        """Add tokens (rows) or (rows, count)."""
        tokens = tokens[:, None] if tokens.ndim == 1 else tokens
        end = self.length + tokens.shape[1]
        if end > self.block.shape[1]:
            wider = self.block.new_full((self.block.shape[0], max(end, min(self.longest, 2 * end))), self.fill)
            wider[:, : self.length] = self.ids
            self.block = wider
        self.block[:, self.length : end] = tokens
        self.length = end
