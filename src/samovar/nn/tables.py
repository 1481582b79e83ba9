"""Tables as text: which token stands in which cell, embeddings of that, means over cells (Herzig et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from samovar.nn.norm import NormFactory

# What the numbers of a token say, in this order; 0: nothing.
TYPES = ("segment", "column", "row", "earlier answer", "rank", "rank from the end", "relations to the question")
COLUMN, ROW = 1, 2


class TableEmbeddings(nn.Module):
    """`norm(word + position + one vector for each number that says where a token stands)`.

    With `by_cell` positions count from the start of each cell. `kinds` are how many values each number has.
    """

    def __init__(
        self,
        vocab: int,
        hidden: int,
        kinds: Sequence[int],
        positions: int,
        norm: NormFactory,
        *,
        dropout: float = 0.0,
        padding_idx: int | None = None,
        by_cell: bool = True,
    ) -> None:
        super().__init__()
        self.word = nn.Embedding(vocab, hidden, padding_idx=padding_idx)
        self.position = nn.Embedding(positions, hidden)
        self.token_types = nn.ModuleList(nn.Embedding(count, hidden) for count in kinds)
        self.norm = norm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.kinds, self.by_cell = tuple(kinds), by_cell

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
    ) -> Tensor:
        """Ids (batch, sequence) and `token_type_ids` (batch, sequence, kinds) → (batch, sequence, hidden)."""
        x = self.word(input_ids) if inputs_embeds is None else inputs_embeds
        if token_type_ids is None:
            token_type_ids = torch.zeros(*x.shape[:2], len(self.token_types), dtype=torch.long, device=x.device)
        if position_ids is None:
            position_ids = self.positions(token_type_ids)
        x = x + self.position(position_ids)
        for index, table in enumerate(self.token_types):
            x = x + table(token_type_ids[..., index])
        return self.dropout(self.norm(x))

    def positions(self, kinds: Tensor) -> Tensor:
        """Places in the text, or in each cell, up to the last one that there is a vector for."""
        batch, length = kinds.shape[:2]
        places = torch.arange(length, device=kinds.device).expand(batch, -1)
        if not self.by_cell:
            return places
        columns, rows = self.kinds[COLUMN], self.kinds[ROW]
        cells = kinds[..., COLUMN] * rows + kinds[..., ROW]
        first = torch.full((batch, columns * rows), length, device=kinds.device)
        first = first.scatter_reduce(1, cells, places, "amin")
        return (places - first.gather(1, cells)).clamp(max=self.position.num_embeddings - 1)


class Grid(NamedTuple):
    """In which cell each token stands; row 0 holds the names of columns, column 0 what is in none."""

    rows: int
    columns: int
    cell_of: Tensor  # (batch, sequence)
    column_of: Tensor  # (batch, sequence)
    real: Tensor  # (batch, rows, columns): how much of a cell is no padding

    @classmethod
    def of(cls, kinds: Tensor, mask: Tensor, rows: int, columns: int) -> Grid:
        """From `token_type_ids` (batch, sequence, kinds) and a mask (batch, sequence); larger tables share the end."""
        column = kinds[..., COLUMN].clamp(max=columns - 1)
        cell = kinds[..., ROW].clamp(max=rows - 1) * columns + column
        grid = cls(rows, columns, cell, column, mask)
        return grid._replace(real=grid.means(mask.float()))

    def means(self, values: Tensor) -> Tensor:
        """(batch, sequence) → the mean over each cell, (batch, rows, columns); 0 where a cell has no token."""
        # Sums over counts: exporters to other runtimes have no mean of what is scattered, and ONNX's would be wrong.
        empty = values.new_zeros(values.shape[0], self.rows * self.columns)
        sums, counts = (empty.scatter_add(1, self.cell_of, one) for one in (values, torch.ones_like(values)))
        return (sums / counts.clamp(min=1)).view(-1, self.rows, self.columns)

    def largest(self, values: Tensor) -> Tensor:
        """(batch, sequence) → the largest value of each cell, (batch, rows, columns); 0 where a cell has no token."""
        empty = values.new_zeros(values.shape[0], self.rows * self.columns)
        out = empty.scatter_reduce(1, self.cell_of, values, "amax", include_self=False)
        return out.view(-1, self.rows, self.columns)

    def spread(self, cells: Tensor) -> Tensor:
        """(batch, rows, columns) → for each token what its cell has, (batch, sequence)."""
        return cells.flatten(1).gather(1, self.cell_of)
