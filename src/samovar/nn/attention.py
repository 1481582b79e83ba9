"""Attention: a registry of plain functions with one signature, and the brick that projects in and out of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import ConfigError, did_you_mean
from samovar.nn.cache import LayerCache
from samovar.nn.compiled import recorded
from samovar.nn.few_queries import MOST, attend
from samovar.nn.many_queries import attend_whole
from samovar.nn.norm import NormFactory
from samovar.nn.rotary import Rotation, rotate

AttentionFunction = Callable[..., tuple[Tensor, Tensor | None]]


def eager(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    *,
    causal: bool,
    scale: float,
    dropout: float,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Softmax attention written out; the reference in tests, and the only kind that returns probabilities.

    `query` (batch, heads, queries, dim), `key` and `value` (batch, heads, keys, dim); `bias` is added to the scores
    and broadcasts to (batch, heads, queries, keys). Vaswani et al. 2017, equation 1. `softcap` keeps scores within
    ± that number by a hyperbolic tangent (Gemma 2, 2024), before the bias.
    """
    scores = query @ key.transpose(-2, -1) * scale
    if softcap is not None:
        scores = (scores / softcap).tanh() * softcap
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
    if query.device.type == "cpu" and not torch.is_grad_enabled() and not recorded():  # whose sizes may be symbols
        count, read = query.shape[2], None
        if not (dropout or torch.is_autocast_enabled("cpu")):
            if count > MOST:
                read = attend_whole(query, key, value, bias, causal, scale)
            elif not causal:
                read = attend(query, key, value, bias, scale)
        if read is None and causal and count in MIDDLE and count == key.shape[2]:
            read = causal_in_parts(query, key, value, scale)
        if read is not None:
            return read, None
    out = F.scaled_dot_product_attention(query, key, value, bias, dropout_p=dropout, is_causal=causal, scale=scale)
    return out, None


# Lengths at which the fused kernel on the CPU takes for a causal text what it takes for all pairs, and how many queries
# read at once instead: 4 × 12 heads of 512 tokens took 25 ms on two cores, and 22 in parts; the kernel reads fewer than
# 192 queries by smaller blocks, and then takes 30.
MIDDLE, PART = range(384, 704), 192


def causal_in_parts(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Causal attention of a text on itself, some queries at a time, each part with the keys up to its last query."""
    batch, heads, count, _ = query.shape
    ahead = torch.ones(PART, PART, dtype=torch.bool, device=query.device).triu(1)
    bias = query.new_zeros(PART, count)
    bias[:, count - PART :].masked_fill_(ahead, torch.finfo(query.dtype).min)
    out = query.new_empty(batch, count, heads, value.shape[3]).transpose(1, 2)
    for last in range(count % PART or PART, count + 1, PART):
        first = max(last - PART, 0)
        # Its lower right corner is the order within a part of any size; zeros on the left are the earlier keys.
        seen = bias[PART - (last - first) :, count - last :]
        out[:, :, first:last] = F.scaled_dot_product_attention(
            query[:, :, first:last], key[:, :, :last], value[:, :, :last], seen, scale=scale
        )
    return out


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
    (`nn.masks.attention_bias`), so that padding and order are one addition. `window` is how many tokens a query sees,
    itself included; the bias and the cache are made for it.

    With fewer `kv_heads` than `heads`, a group of queries shares keys and values (Ainslie et al. 2023). `qk_norm`
    makes the norms of queries and keys, over each head or with `whole_norm` over all heads at once. `softcap` bounds
    the scores.
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
        kv_heads: int | None = None,
        head_dim: int | None = None,
        window: int | None = None,
        softcap: float | None = None,
        qk_norm: NormFactory | None = None,
        whole_norm: bool = False,
    ) -> None:
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        if head_dim is None and hidden % heads:
            raise ConfigError(
                f"hidden_size {hidden} is not a multiple of num_attention_heads {heads}.", "Change one of the two."
            )
        if heads % kv_heads:
            raise ConfigError(
                f"num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads}.",
                "Change one of the two.",
            )
        self.heads, self.kv_heads = heads, kv_heads
        self.head_dim = head_dim or hidden // heads
        self.scale = 1 / math.sqrt(self.head_dim) if scale is None else scale
        self.dropout = dropout
        self.causal = causal
        self.window, self.softcap = window, softcap
        self.implementation = "sdpa"
        # Queries, keys and values side by side by one product, while `nn.packed` lays weights out for few rows.
        self.joined: Callable[[Tensor], Tensor] | None = None
        inner, outer = heads * self.head_dim, kv_heads * self.head_dim
        self.q_proj = nn.Linear(hidden, inner, bias=bias)
        self.k_proj = nn.Linear(hidden, outer, bias=bias)
        self.v_proj = nn.Linear(hidden, outer, bias=bias)
        self.o_proj = nn.Linear(inner, hidden, bias=out_bias)
        self.whole_norm = whole_norm
        self.q_norm = None if qk_norm is None else qk_norm(inner if whole_norm else self.head_dim)
        self.k_norm = None if qk_norm is None else qk_norm(outer if whole_norm else self.head_dim)

    def split(self, x: Tensor) -> Tensor:
        """(batch, sequence, heads × head_dim) → (batch, heads, sequence, head_dim)."""
        return x.view(x.shape[0], x.shape[1], -1, self.head_dim).transpose(1, 2)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of all heads, normalised where the model does so."""
        sizes = (self.heads, self.kv_heads, self.kv_heads)
        joined = self.joined  # read once, as another thread may end its text meanwhile
        if joined is None:
            query, key, value = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        elif self.q_norm is None:
            query, key, value = self.split(joined(x)).split_with_sizes(sizes, dim=1)
            return query, key, value
        else:
            widths = [count * self.head_dim for count in sizes]
            query, key, value = joined(x).split_with_sizes(widths, dim=-1)
        if self.q_norm is None or self.k_norm is None:
            return self.split(query), self.split(key), self.split(value)
        if self.whole_norm:
            return self.split(self.q_norm(query)), self.split(self.k_norm(key)), self.split(value)
        return self.q_norm(self.split(query)), self.k_norm(self.split(key)), self.split(value)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`x` (batch, sequence, hidden) → the same shape, and (batch, heads, sequence, keys) when asked for.

        With a `cache`, `x` are the tokens after those that it holds, and the keys are of all of them. `rotation`
        turns queries and keys.
        """
        query, key, value = self.project(x)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        ordered = True
        if cache is not None and cache.paged:
            read = cache.attend(query, key, value, self.scale, self.softcap)
            return self.o_proj(read.transpose(1, 2).flatten(2)), None
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
        options: dict[str, Any] = {} if self.softcap is None else {"softcap": self.softcap}
        function = ATTENTION["eager" if probabilities or options else self.implementation]
        group, single = self.heads // key.shape[1], query.shape[2] == 1
        causal = self.causal and ordered and bias is None and not single
        if group > 1 and single:
            # One query: those of a group are rows of one product with the keys that they share.
            query = query.unflatten(1, (-1, group)).squeeze(3)
            if bias is not None and bias.shape[1] > 1:
                bias = bias.unflatten(1, (-1, group)).squeeze(3)
        elif group > 1:
            key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
        dropout = self.dropout if self.training else 0.0
        mixed, weights = function(query, key, value, bias, causal=causal, scale=self.scale, dropout=dropout, **options)
        if group > 1 and single:
            mixed = mixed.flatten(1, 2).unsqueeze(2)
            weights = None if weights is None else weights.flatten(1, 2).unsqueeze(2)
        return mixed, weights


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
