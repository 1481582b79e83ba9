"""Attention: a registry of plain functions with one signature, and the brick that projects in and out of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import ConfigError, did_you_mean
from samovar.nn.cache import LayerCache

AttentionFunction = Callable[..., tuple[Tensor, Tensor | None]]


def eager(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, *, causal: bool, scale: float, dropout: float
) -> tuple[Tensor, Tensor | None]:
    """Softmax attention written out; the reference in tests, and the only kind that returns probabilities.

    `query` (batch, heads, queries, dim), `key` and `value` (batch, heads, keys, dim); `bias` is added to the scores
    and broadcasts to (batch, heads, queries, keys). Vaswani et al. 2017, equation 1.
    """
    scores = query @ key.transpose(-2, -1) * scale
    if causal:
        above = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(above, torch.finfo(scores.dtype).min)
    if bias is not None:
        scores = scores + bias
    probabilities = scores.softmax(dim=-1)
    return F.dropout(probabilities, dropout, training=dropout > 0) @ value, probabilities


def sdpa(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, *, causal: bool, scale: float, dropout: float
) -> tuple[Tensor, Tensor | None]:
    """PyTorch's fused attention; returns no probabilities."""
    out = F.scaled_dot_product_attention(query, key, value, bias, dropout_p=dropout, is_causal=causal, scale=scale)
    return out, None


ATTENTION: dict[str, AttentionFunction] = {"eager": eager, "sdpa": sdpa}


def attention_function(name: str) -> str:
    """`name`, checked against the registry; raises `ConfigError` with the known names."""
    if name not in ATTENTION:
        hint = did_you_mean(name, ATTENTION) or f"Known: {', '.join(ATTENTION)}."
        raise ConfigError(f"Unknown attention implementation {name!r}.", hint)
    return name


class Attention(nn.Module):
    """Multi-head self-attention: `q_proj`, `k_proj`, `v_proj` → an attention function → `o_proj`.

    `causal` lets each position see itself and earlier ones. When a `bias` is given it already holds the causal part
    (`nn.masks.attention_bias`), so that padding and order are one addition.
    """

    def __init__(
        self,
        hidden: int,
        heads: int,
        *,
        bias: bool = True,
        out_bias: bool = True,
        dropout: float = 0.0,
        causal: bool = False,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if hidden % heads:
            raise ConfigError(
                f"hidden_size {hidden} is not a multiple of num_attention_heads {heads}.", "Change one of the two."
            )
        self.heads = heads
        self.head_dim = hidden // heads
        self.scale = 1 / math.sqrt(self.head_dim) if scale is None else scale
        self.dropout = dropout
        self.causal = causal
        self.implementation = "sdpa"
        self.q_proj = nn.Linear(hidden, hidden, bias=bias)
        self.k_proj = nn.Linear(hidden, hidden, bias=bias)
        self.v_proj = nn.Linear(hidden, hidden, bias=bias)
        self.o_proj = nn.Linear(hidden, hidden, bias=out_bias)

    def split(self, x: Tensor) -> Tensor:
        """(batch, sequence, hidden) → (batch, heads, sequence, head_dim)."""
        return x.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)

    def forward(
        self, x: Tensor, bias: Tensor | None = None, probabilities: bool = False, cache: LayerCache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """`x` (batch, sequence, hidden) → the same shape, and (batch, heads, sequence, keys) when asked for.

        With a `cache`, `x` are the tokens after those that it holds, and the keys are of all of them.
        """
        query, key, value = (self.split(proj(x)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        ordered = True
        if cache is not None:
            key, value = cache.update(key, value)
            ordered = x.shape[1] > 1  # A single token is the last one, and sees all.
        mixed, weights = self.mix(query, key, value, bias, probabilities, ordered)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), weights if probabilities else None

    def mix(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        probabilities: bool,
        ordered: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """The attention function on all heads (batch, heads, sequence, head_dim).

        `ordered=False`: the queries may see all keys even where `causal` is set.
        """
        return ATTENTION["eager" if probabilities else self.implementation](
            query,
            key,
            value,
            bias,
            causal=self.causal and ordered and bias is None,
            scale=self.scale,
            dropout=self.dropout if self.training else 0.0,
        )


class Float32Attention(Attention):
    """Attention whose scores are computed in float32 whatever the weights' type, and outside of autocast."""

    def mix(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        probabilities: bool,
        ordered: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        with torch.autocast(query.device.type, enabled=False):
            wide = None if bias is None else bias.float()
            mixed, weights = super().mix(query.float(), key.float(), value.float(), wide, probabilities, ordered)
        return mixed.to(value.dtype), None if weights is None else weights.to(value.dtype)
