"""Disentangled attention: content and relative distance have scores of their own (He et al. 2021, DeBERTa)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.nn.activations import activation
from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.cache import LayerCache
from samovar.nn.mlp import MLP
from samovar.nn.norm import NormFactory


class Distances(NamedTuple):
    """What disentangled blocks read beside the text; made once per call and shared by all of them."""

    table: Tensor  # (distances, hidden): a vector for each distance
    rows: Tensor  # (queries, keys): the row of the distance between the two
    real: Tensor | None  # (batch, sequence), 1 where a token is real


class RelativeTable(nn.Module):
    """Vectors of the distances from -`span` to `span` - 1, and which of them lies between any two tokens.

    With `buckets`, distances up to half of them have a row each, and larger ones share rows that widen
    logarithmically up to `longest`.
    """

    def __init__(self, hidden: int, longest: int, buckets: int = 0, norm: NormFactory | None = None) -> None:
        super().__init__()
        self.span, self.longest, self.buckets = buckets or longest, longest, buckets
        self.embedding = nn.Embedding(2 * self.span, hidden)
        self.norm = None if norm is None else norm(hidden)

    def bucket(self, distance: Tensor) -> Tensor:
        """The signed bucket of each distance."""
        middle = self.buckets // 2
        if not middle:
            return distance
        length = distance.abs()
        turns = (length.clamp(min=middle) / middle).log() / math.log((self.longest - 1) / middle)
        far = (turns * (middle - 1)).ceil().long() + middle
        return torch.where(length <= middle, distance, far * distance.sign())

    def forward(self, length: int, real: Tensor | None) -> Distances:
        """The distances within texts of `length` tokens; only the rows that such texts read are given."""
        table = self.embedding.weight
        places = torch.arange(length, device=table.device)
        index = (self.bucket(places[:, None] - places[None, :]) + self.span).clamp(0, 2 * self.span - 1)
        # A trace serves texts of all lengths, so it does not ask whether all rows are read.
        tracing = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if not tracing and length <= self.span:
            first = self.span - length + 1
            table, index = table[first : self.span + length], index - first
        return Distances(table if self.norm is None else self.norm(table), index, real)


class DisentangledAttention(Attention):
    """Attention whose scores are content on content, plus content on distance and distance on content.

    `kinds` says which of the last two there are: `c2p` and `p2c`. `shared` projects distances by the same weights as
    content. All parts are divided by √(head_dim × number of parts).
    """

    def __init__(
        self, hidden: int, heads: int, *, kinds: Collection[str], shared: bool, relative: bool, dropout: float,
        position_dropout: float,
    ) -> None:  # fmt: skip
        parts = 1 + ("c2p" in kinds) + ("p2c" in kinds)
        super().__init__(hidden, heads, dropout=dropout, scale=(hidden // heads * parts) ** -0.5)
        self.from_content = relative and "c2p" in kinds
        self.from_distance = relative and "p2c" in kinds
        self.position_dropout = position_dropout
        own = not shared
        self.position_k_proj = nn.Linear(hidden, hidden) if own and self.from_content else None
        self.position_q_proj = nn.Linear(hidden, hidden) if own and self.from_distance else None

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        distances: Distances | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`x` (batch, sequence, hidden) → the same shape, and (batch, heads, sequence, keys) when asked for."""
        query, key, value = self.project(x)
        if distances is not None and distances.real is not None:
            # Padding reads all positions alike: these are the numbers that the checkpoints were trained with.
            query = query * distances.real[:, None, :, None].to(x.dtype)
        if distances is not None and (self.from_content or self.from_distance):
            scores = self.distance_scores(query, key, distances)
            bias = scores if bias is None else scores + bias
        mixed, weights = self.mix(query, key, value, bias, probabilities)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), weights if probabilities else None

    def distance_scores(self, query: Tensor, key: Tensor, distances: Distances) -> Tensor:
        """(batch, heads, queries, keys): the scores in which a distance takes part."""
        table = F.dropout(distances.table, self.position_dropout, self.training)[None]
        index = distances.rows.expand(*query.shape[:2], -1, -1)
        scores = query.new_zeros(())
        if self.from_content:
            far = self.split((self.position_k_proj or self.k_proj)(table))
            scores = (query @ far.transpose(-2, -1)).gather(-1, index)
        if self.from_distance:
            # A distance seen from the key is that from the query with the other sign, so one index serves both.
            far = self.split((self.position_q_proj or self.q_proj)(table))
            seen = (key @ far.transpose(-2, -1)).gather(-1, index.transpose(-2, -1)).transpose(-2, -1)
            if distances.real is not None:
                seen = seen * distances.real[:, None, :, None].to(seen.dtype)
            scores = scores + seen
        return scores * self.scale


class DisentangledBlock(Block):
    """A post-norm block of disentangled attention.

    `first` sets padding to zero before all blocks. With `kernel` a convolution over the tokens around each one is
    added behind the block, and a norm after it (DeBERTa v2's first block).
    """

    def __init__(
        self, hidden: int, attention: Attention, intermediate: int, act: str, norm: NormFactory, *, dropout: float,
        first: bool = False, kernel: int = 0, groups: int = 1, kernel_act: str = "tanh",
    ) -> None:  # fmt: skip
        super().__init__(hidden, attention, MLP(hidden, intermediate, act), norm, order="post", dropout=dropout)
        self.first = first
        self.conv: nn.Conv1d | None = None
        if kernel:
            self.conv = nn.Conv1d(hidden, hidden, kernel, padding=(kernel - 1) // 2, groups=groups)
            self.conv_act, self.conv_norm = activation(kernel_act), norm(hidden)

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        distances: Distances | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As any block; padding is zero to the convolution, so that no text depends on its batch."""
        real = None if distances is None or distances.real is None else distances.real[..., None].to(x.dtype)
        if self.first and real is not None:
            x = x * real
        out, weights = super().forward(x, bias, probabilities, None, distances)  # type: ignore[arg-type]
        if self.conv is None:
            return out, weights
        around = self.conv(x.transpose(1, 2)).transpose(1, 2)
        around = around if real is None else around * real
        out = self.conv_norm(out + self.conv_act(self.dropout(around)))
        return out if real is None else out * real, weights
