"""Token embeddings: words, positions and segments, summed, normalised and projected."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samovar.nn.norm import NormFactory
from samovar.nn.positions import LearnedPositions, SinusoidalPositions


class TextEmbeddings(nn.Module):
    """`norm(word + position + token_type)`, then an optional projection to the width of the blocks.

    `types` is the number of segments: 0 for a model without any, to which `token_type_ids` mean nothing. `norm=None`
    leaves the sum as it is; `projection` is the width of the blocks where a linear layer leads there.
    `types_are_words` looks segments up among the words, as the GPT-2 code does. `scale` multiplies words that are
    looked up; `rounded_scale` rounds it to the words' type first. `word_size` is the width of the words where a
    projection leads from there to `hidden`, before positions are added.
    """

    def __init__(
        self,
        vocab: int,
        hidden: int,
        *,
        positions: LearnedPositions | SinusoidalPositions | None,
        types: int = 0,
        norm: NormFactory | None = None,
        dropout: float = 0.0,
        padding_idx: int | None = None,
        projection: int | None = None,
        types_are_words: bool = False,
        scale: float = 1.0,
        rounded_scale: bool = False,
        word_size: int | None = None,
    ) -> None:
        super().__init__()
        self.word = nn.Embedding(vocab, word_size or hidden, padding_idx=padding_idx)
        self.project_words = nn.Linear(word_size, hidden, bias=False) if word_size else None
        self.position = positions
        self.token_type = nn.Embedding(types, hidden) if types else None
        self.norm = norm(hidden) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Identity() if projection is None else nn.Linear(hidden, projection)
        self.types_are_words = types_are_words
        self.scale, self.rounded_scale = scale, rounded_scale

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
            x = x * (torch.tensor(self.scale, dtype=x.dtype) if self.rounded_scale else self.scale)
        if self.project_words is not None:
            x = self.project_words(x)
        summed = x
        if self.token_type is not None:
            if token_type_ids is None:
                token_type_ids = torch.zeros(x.shape[:2], dtype=torch.long, device=x.device)
            summed = summed + self.token_type(token_type_ids)
        elif self.types_are_words and token_type_ids is not None:
            summed = summed + self.word(token_type_ids)
        if self.position is not None:
            if position_ids is None:
                rows = self.position.positions(input_ids, x, past)
            else:
                rows = self.position.rows(position_ids)
            summed = summed + self.position(rows).to(summed.dtype)
        return self.project(self.dropout(self.norm(summed)))
