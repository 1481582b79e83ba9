"""Two streams of states with relative positions (Yang et al. 2019, XLNet): one knows each word, one only its place."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.nn.attention import eager, sdpa
from samovar.nn.mlp import MLP
from samovar.nn.norm import NormFactory


class Surroundings(NamedTuple):
    """What all blocks of one call read beside the states."""

    distances: Tensor  # (batch or 1, queries + keys, hidden): sines of the distances, the farthest back first
    segments: Tensor | None  # (batch, queries, keys): 1 where two tokens are of different segments
    content_bias: Tensor | None  # added to the scores of the stream that knows the words
    place_bias: Tensor | None  # added to those of the stream that does not
    targets: Tensor | None  # (batch, targets, queries): which places the second stream stands at


class HeadProjection(nn.Module):
    """A projection without bias whose weight is (hidden, heads, dim), as these checkpoints store it."""

    def __init__(self, hidden: int, heads: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, heads, dim))

    def initialise(self, name: str, tensor: Tensor) -> None:
        nn.init.normal_(tensor, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, sequence, hidden) → (batch, heads, sequence, dim)."""
        return (x @ self.weight.flatten(1)).unflatten(-1, self.weight.shape[1:]).transpose(1, 2)


class RelativeAttention(nn.Module):
    """Scores of words on words, words on distances and words on segments, each with a bias of its own per head."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        dim = hidden // heads
        self.q_proj, self.k_proj = HeadProjection(hidden, heads, dim), HeadProjection(hidden, heads, dim)
        self.v_proj, self.o_proj = HeadProjection(hidden, heads, dim), HeadProjection(hidden, heads, dim)
        self.distance_proj = HeadProjection(hidden, heads, dim)
        self.content_bias = nn.Parameter(torch.empty(heads, dim))
        self.distance_bias = nn.Parameter(torch.empty(heads, dim))
        self.segment_bias = nn.Parameter(torch.empty(heads, dim))
        self.segments = nn.Parameter(torch.empty(2, heads, dim))
        self.scale = dim**-0.5
        self.dropout = dropout

    def initialise(self, name: str, tensor: Tensor) -> None:
        nn.init.normal_(tensor, std=0.02)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        distances: Tensor,
        around: Surroundings,
        bias: Tensor | None,
        probabilities: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """`query` (batch, heads, queries, dim) on all keys → (batch, heads, queries, dim)."""
        scores = shifted((query + self.distance_bias[:, None]) @ distances.transpose(-2, -1), key.shape[2])
        if around.segments is not None:
            either = torch.einsum("bhqd,shd->bhqs", query + self.segment_bias[:, None], self.segments)
            same, other = either[..., :1], either[..., 1:]
            scores = scores + torch.where(around.segments[:, None].bool(), other, same)
        scores = scores * self.scale
        if bias is not None:
            scores = scores + bias
        # Where a row reads nothing, fused kernels make wrong gradients.
        function = eager if probabilities or (bias is not None and torch.is_grad_enabled()) else sdpa
        dropout = self.dropout if self.training else 0.0
        query = query + self.content_bias[:, None]
        return function(query, key, value, scores, causal=False, scale=self.scale, dropout=dropout)

    def forward(
        self, words: Tensor, places: Tensor | None, memory: Tensor | None, around: Surroundings, probabilities: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | tuple[Tensor, Tensor] | None]:
        """Both streams (batch, sequence, hidden) → the same shapes, and what they read when asked for."""
        source = words if memory is None else torch.cat([memory, words], dim=1)
        key, value = self.k_proj(source), self.v_proj(source)
        distances = self.distance_proj(around.distances)
        read, seen = self.attend(self.q_proj(words), key, value, distances, around, around.content_bias, probabilities)
        out = self.join(read)
        if places is None:
            return out, None, seen
        query = self.q_proj(places)
        if around.targets is not None:
            # Each target's query is asked at its place in the text, and its answer taken from there.
            query = torch.einsum("bhmd,bml->bhld", query, around.targets)
        read, other = self.attend(query, key, value, distances, around, around.place_bias, probabilities)
        if around.targets is not None:
            read = torch.einsum("bhld,bml->bhmd", read, around.targets)
        return out, self.join(read), None if seen is None or other is None else (seen, other)

    def join(self, x: Tensor) -> Tensor:
        """(batch, heads, sequence, dim) → (batch, sequence, hidden)."""
        return x.transpose(1, 2).flatten(2) @ self.o_proj.weight.flatten(1).t()


def shifted(scores: Tensor, keys: int) -> Tensor:
    """Scores (batch, heads, queries, distances), the farthest back first, as (batch, heads, queries, keys).

    Of query i and key j the row `queries` - i + j is that of their distance.
    """
    queries = scores.shape[2]
    columns = torch.arange(keys, device=scores.device)
    index = queries - torch.arange(queries, device=scores.device)[:, None] + columns[None, :]
    return scores.gather(-1, index.clamp(max=scores.shape[-1] - 1).expand(*scores.shape[:2], -1, -1))


class TwoStreamBlock(nn.Module):
    """Attention and MLP with a norm after each residual, for both streams by the same weights."""

    def __init__(
        self, hidden: int, heads: int, intermediate: int, act: str, norm: NormFactory, *, dropout: float
    ) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(hidden, heads, dropout)
        self.self_attn_norm = norm(hidden)
        self.mlp = MLP(hidden, intermediate, act)
        self.mlp_norm = norm(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, words: Tensor, places: Tensor | None, memory: Tensor | None, around: Surroundings, probabilities: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | tuple[Tensor, Tensor] | None]:
        """As `RelativeAttention.forward`, through the whole block."""
        first, second, seen = self.self_attn(words, places, memory, around, probabilities)
        words = self.after(words, first)
        return words, None if places is None or second is None else self.after(places, second), seen

    def after(self, x: Tensor, read: Tensor) -> Tensor:
        """Residuals, norms and the MLP."""
        x = self.self_attn_norm(x + self.dropout(read))
        inner = F.dropout(self.mlp.act(self.mlp.up_proj(x)), self.dropout.p, self.training)
        return self.mlp_norm(x + self.dropout(self.mlp.down_proj(inner)))


def distance_sines(x: Tensor, first: int, last: int, longest: int) -> Tensor:
    """Sines, then cosines, of the distances `first`, `first` - 1, … `last` → (1, distances, hidden), as `x`.

    With `longest` above 0, longer distances count as that one. Vaswani et al. 2017, section 3.5.
    """
    hidden = x.shape[-1]
    rates = 10000 ** (-torch.arange(0, hidden, 2, device=x.device).float() / hidden)
    distances = torch.arange(first, last - 1, -1, device=x.device).float()
    if longest > 0:
        distances = distances.clamp(-longest, longest)
    angles = distances[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[None].to(x.dtype)


def memory_mask(
    x: Tensor, past: int, padding: Tensor | None, perm_mask: Tensor | None, causal: bool, same_length: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Numbers for the scores of the stream that knows the words, and of that which does not.

    `padding` (batch, new or past + new) and `perm_mask` (batch, new, new) are 1 where nothing is read. A word always
    reads itself. With `same_length` a causal token reads as many others as the first one does.
    """
    new = x.shape[1]
    barred = torch.zeros(1, new, past + new, dtype=torch.bool, device=x.device)
    if padding is None and perm_mask is None and not causal:
        return None, None
    if causal:
        barred = torch.ones_like(barred).triu(past + 1)
        if same_length:
            barred[..., :new] |= torch.ones_like(barred[..., :new]).tril(-1)
    if padding is not None:
        barred = barred | nn.functional.pad(padding.bool(), (past + new - padding.shape[1], 0))[:, None]
    if perm_mask is not None:
        barred = barred | nn.functional.pad(perm_mask.bool(), (past, 0))
    itself = torch.eye(new, dtype=torch.bool, device=x.device)
    content = barred & ~nn.functional.pad(itself, (past, 0))
    lowest = torch.finfo(x.dtype).min
    nothing = torch.zeros((), dtype=x.dtype, device=x.device)
    return nothing.masked_fill(content, lowest)[:, None], nothing.masked_fill(barred, lowest)[:, None]
