"""Token embeddings: words, positions and segments, summed, normalised and projected."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samovar.nn.norm import NormFactory
from samovar.nn.positions import LearnedPositions


class TextEmbeddings(nn.Module):
    """`norm(word + position + token_type)`, then an optional projection to the width of the blocks.

    `types` is the number of segments: 0 for a model without any, to which `token_type_ids` mean nothing. `norm=None`
    leaves the sum as it is; `projection` is the width of the blocks where a linear layer leads there.
    `types_are_words` looks segments up among the words, as the GPT-2 code does; `scale` multiplies words that are
    looked up.
    """

    def __init__(
        self,
        vocab: int,
        hidden: int,
        *,
        positions: LearnedPositions | None,
        types: int = 0,
        norm: NormFactory | None = None,
        dropout: float = 0.0,
        padding_idx: int | None = None,
        projection: int | None = None,
        types_are_words: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.word = nn.Embedding(vocab, hidden, padding_idx=padding_idx)
        self.position = positions
        self.token_type = nn.Embedding(types, hidden) if types else None
        self.norm = norm(hidden) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Identity() if projection is None else nn.Linear(hidden, projection)
        self.types_are_words = types_are_words
        self.scale = scale

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        past: int = 0,
    ) -> Tensor:
        """Ids (batch, sequence), or vectors (batch, sequence, hidden) in their place → (batch, sequence, width).

        `past` tokens were read before these.
        """
        x = self.word(input_ids) if inputs_embeds is None else inputs_embeds
        if self.scale != 1 and inputs_embeds is None:
            x = x * self.scale
        summed = x
        if self.token_type is not None:
            if token_type_ids is None:
                token_type_ids = torch.zeros(x.shape[:2], dtype=torch.long, device=x.device)
            summed = summed + self.token_type(token_type_ids)
        elif self.types_are_words and token_type_ids is not None:
            summed = summed + self.word(token_type_ids)
        if self.position is not None:
            indices = self.position.positions(input_ids, x) + past if position_ids is None else position_ids
            summed = summed + self.position(indices)
        return self.project(self.dropout(self.norm(summed)))
