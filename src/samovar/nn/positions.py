"""Position schemes: how a model knows the order of its tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Embedding):
    """One learned vector per position, counted from 0 for all tokens (Devlin et al. 2019)."""

    def positions(self, input_ids: Tensor | None, embeds: Tensor) -> Tensor:
        """Position indices that broadcast to (batch, sequence)."""
        return torch.arange(embeds.shape[1], device=embeds.device)[None]


class OffsetPositions(LearnedPositions):
    """Learned positions whose first `offset` rows are not used (Lewis et al. 2019, BART)."""

    def __init__(self, count: int, hidden: int, offset: int) -> None:
        super().__init__(count + offset, hidden)
        self.offset = offset

    def positions(self, input_ids: Tensor | None, embeds: Tensor) -> Tensor:
        return super().positions(input_ids, embeds) + self.offset


class PaddingAwarePositions(LearnedPositions):
    """Learned positions counted over real tokens only, from `padding_idx` + 1 (Liu et al. 2019, RoBERTa).

    Padding tokens themselves stand at `padding_idx`. Embeddings given in place of ids are all real.
    """

    def positions(self, input_ids: Tensor | None, embeds: Tensor) -> Tensor:
        start = self.padding_idx or 0
        if input_ids is None:
            return torch.arange(embeds.shape[1], device=embeds.device)[None] + start + 1
        real = (input_ids != start).to(torch.int64)
        return real.cumsum(1) * real + start


class RelativeBias(nn.Module):
    """A learned bias per head and distance bucket, added to attention scores (Raffel et al. 2020, T5).

    Half of the buckets are for each direction; distances up to half of those have a bucket each, larger ones share
    buckets that widen logarithmically up to `max_distance`.
    """

    def __init__(self, heads: int, buckets: int, max_distance: int = 128) -> None:
        super().__init__()
        self.buckets = buckets
        self.max_distance = max_distance
        self.weight = nn.Parameter(torch.zeros(buckets, heads))

    def initialise(self, name: str, tensor: Tensor) -> None:
        nn.init.normal_(tensor, std=0.02)

    def forward(self, length: int, device: torch.device) -> Tensor:
        """(1, heads, length, length)."""
        position = torch.arange(length, device=device)
        distance = position[:, None] - position[None, :]
        half = self.buckets // 2
        exact = half // 2
        far = distance.abs().clamp(min=1).float() / exact
        widening = exact + (far.log() / math.log(self.max_distance / exact) * (half - exact)).long()
        bucket = torch.where(distance.abs() < exact, distance.abs(), widening.clamp(max=half - 1))
        bucket = bucket + (distance < 0) * half
        return self.weight[bucket].permute(2, 0, 1)[None]
