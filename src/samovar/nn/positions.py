"""Position schemes: how a model knows the order of its tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Embedding):
    """One learned vector per position, counted from 0 for all tokens (Devlin et al. 2019)."""

    def positions(self, input_ids: Tensor | None, embeds: Tensor, past: int = 0) -> Tensor:
        """Position indices that broadcast to (batch, sequence), of tokens after `past` others."""
        return torch.arange(past, past + embeds.shape[1], device=embeds.device)[None]

    def rows(self, position_ids: Tensor) -> Tensor:
        """The rows of the table for positions that the caller counted."""
        return position_ids


class OffsetPositions(LearnedPositions):
    """Learned positions whose first `offset` rows are not used (Lewis et al. 2019, BART)."""

    def __init__(self, count: int, hidden: int, offset: int) -> None:
        super().__init__(count + offset, hidden)
        self.offset = offset

    def positions(self, input_ids: Tensor | None, embeds: Tensor, past: int = 0) -> Tensor:
        return super().positions(input_ids, embeds, past) + self.offset

    def rows(self, position_ids: Tensor) -> Tensor:
        return position_ids + self.offset


class PaddingAwarePositions(LearnedPositions):
    """Learned positions counted over real tokens only, from `padding_idx` + 1 (Liu et al. 2019, RoBERTa).

    Padding tokens themselves stand at `padding_idx`. Embeddings given in place of ids are all real.
    """

    def positions(self, input_ids: Tensor | None, embeds: Tensor, past: int = 0) -> Tensor:
        start = self.padding_idx or 0
        if input_ids is None:
            return super().positions(None, embeds, past + start + 1)
        real = (input_ids != start).to(torch.int64)
        return (real.cumsum(1) + past) * real + start


class SinusoidalPositions(nn.Module):
    """Sines in the first half of the channels and cosines in the second, of falling frequency (Vaswani et al. 2017).

    They are computed, so that there is neither a weight nor a longest text. With `padding_idx` real tokens alone are
    counted, from `padding_idx` + 1, padding has a vector of zeros, and frequencies fall as in tensor2tensor, the
    slowest at exactly 1 / 10,000.
    """

    def __init__(self, hidden: int, padding_idx: int | None = None) -> None:
        super().__init__()
        self.hidden, self.padding_idx = hidden, padding_idx
        half = hidden // 2
        # Lists, and not tensors, so that the model can be built without memory.
        falls = half if padding_idx is None else max(half - 1, 1)
        self.frequencies = [10_000.0 ** (-index / falls) for index in range(half)]

    def positions(self, input_ids: Tensor | None, embeds: Tensor, past: int = 0) -> Tensor:
        """Position indices that broadcast to (batch, sequence), of tokens after `past` others."""
        start = past if self.padding_idx is None else past + self.padding_idx + 1
        if input_ids is None or self.padding_idx is None:
            return torch.arange(start, start + embeds.shape[1], device=embeds.device)[None]
        real = (input_ids != self.padding_idx).long()
        return (real.cumsum(1) + past) * real + self.padding_idx

    def rows(self, position_ids: Tensor) -> Tensor:
        """The positions for those that the caller counted."""
        return position_ids

    def forward(self, positions: Tensor) -> Tensor:
        """(…) → (…, hidden), in the default type."""
        turns = torch.tensor(self.frequencies, dtype=torch.float64, device=positions.device)
        angles = positions[..., None] * turns
        vectors = torch.cat([angles.sin(), angles.cos()], dim=-1).to(torch.get_default_dtype())
        if self.padding_idx is not None:
            vectors = vectors * (positions != self.padding_idx)[..., None]
        return vectors


class RelativeBias(nn.Module):
    """A learned bias per head and distance bucket, added to attention scores (Raffel et al. 2020, T5).

    Distances up to half of the buckets have a bucket each, larger ones share buckets that widen logarithmically up to
    `max_distance`. Half of all buckets are for each direction; with `backwards` all are for earlier tokens, and later
    ones, which are not read, count as distance 0.
    """

    def __init__(self, heads: int, buckets: int, max_distance: int = 128, backwards: bool = False) -> None:
        super().__init__()
        self.buckets = buckets
        self.max_distance = max_distance
        self.backwards = backwards
        self.weight = nn.Parameter(torch.zeros(buckets, heads))

    def initialise(self, name: str, tensor: Tensor) -> None:
        nn.init.normal_(tensor, std=0.02)

    def forward(self, keys: int, device: torch.device, past: int = 0) -> Tensor:
        """(1, heads, keys - past, keys): the bias of the queries after the first `past` keys."""
        position = torch.arange(keys, device=device)
        distance = position[past:, None] - position[None, :]
        half = self.buckets if self.backwards else self.buckets // 2
        exact = half // 2
        length = distance.clamp(min=0) if self.backwards else distance.abs()
        far = length.clamp(min=1).float() / exact
        widening = exact + (far.log() / math.log(self.max_distance / exact) * (half - exact)).long()
        bucket = torch.where(length < exact, length, widening.clamp(max=half - 1))
        if not self.backwards:
            bucket = bucket + (distance < 0) * half
        return self.weight[bucket].permute(2, 0, 1)[None]


class Alibi(nn.Module):
    """A penalty that grows with the distance, of another slope for each head (Press et al. 2021).

    `rounded` computes it in bfloat16, as Falcon's checkpoints were trained; `scale` multiplies it.
    """

    def __init__(self, heads: int, scale: float = 1.0, rounded: bool = False) -> None:
        super().__init__()
        self.heads, self.scale, self.rounded = heads, scale, rounded

    def slopes(self) -> list[float]:
        """Slopes that fall geometrically; between powers of two, every second slope of the next power is added."""
        power = 2 ** math.floor(math.log2(self.heads))
        slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
        return slopes + [2 ** (-4 * (2 * head + 1) / power) for head in range(self.heads - power)]

    def forward(self, mask: Tensor | None, keys: int, device: torch.device) -> Tensor:
        """(batch or 1, heads, 1, keys); real tokens, 1 in `mask` (batch, keys), count from 0."""
        if mask is None:
            places = torch.arange(keys, device=device)[None]
        else:
            places = (mask.long().cumsum(-1) - 1) * mask.long()
        slopes = torch.tensor(self.slopes(), device=device)
        if self.rounded:
            slopes, places = slopes.bfloat16(), places.bfloat16()
        return (slopes[:, None, None] * places[:, None, None, :]).float() * self.scale
