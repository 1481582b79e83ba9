"""The transformer block: attention and MLP, each with a residual, in post- or pre-norm order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from samovar.nn.added_norm import added_norm
from samovar.nn.attention import Attention
from samovar.nn.cache import LayerCache
from samovar.nn.mlp import MLP
from samovar.nn.norm import NormFactory
from samovar.nn.rotary import Rotation

Order = Literal["post", "pre"]


class LayerScale(nn.Module):
    """One learned factor per channel (Touvron et al. 2021, CaiT)."""

    def __init__(self, size: int, value: float) -> None:
        super().__init__()
        self.value = value
        self.weight = nn.Parameter(torch.full((size,), value))

    def initialise(self, name: str, tensor: Tensor) -> None:
        nn.init.constant_(tensor, self.value)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class DropPath(nn.Module):
    """Stochastic depth: in training, drops a residual branch for whole samples (Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * x.new_empty(shape).bernoulli_(keep) / keep


class Block(nn.Module):
    """Attention, then MLP.

    ::

        post:  x ─┬─ self_attn ─ drop ─ + ─ self_attn_norm ─┬─ mlp ─ drop ─ + ─ mlp_norm ─▶
                  └─────────────────────┘                   └───────────────┘
        pre:   x ─┬─ self_attn_norm ─ self_attn ─ drop ─ scale ─ + ─┬─ mlp_norm ─ mlp ─ drop ─ scale ─ + ─▶
                  └──────────────────────────────────────────────┘  └───────────────────────────────────┘

    `layer_scale` is the initial factor of both branches (None: no such layer), `drop_path` the rate of stochastic
    depth; no known post-norm checkpoint has either, so they are built for the pre-norm order alone.
    """

    def __init__(
        self,
        hidden: int,
        attention: Attention,
        mlp: nn.Module,
        norm: NormFactory,
        *,
        order: Order,
        dropout: float = 0.0,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.self_attn = attention
        self.mlp = mlp
        self.self_attn_norm = norm(hidden)
        self.mlp_norm = norm(hidden)
        self.pre = order == "pre"
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)
        self.self_attn_scale = nn.Identity() if layer_scale is None else LayerScale(hidden, layer_scale)
        self.mlp_scale = nn.Identity() if layer_scale is None else LayerScale(hidden, layer_scale)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`x` (batch, sequence, hidden) → the same shape, and the attention probabilities when asked for.

        With a `cache`, `x` are the tokens after those that it holds; `rotation` turns queries and keys.
        """
        if self.pre:
            mixed, weights = self.attend(self.self_attn_norm(x), bias, probabilities, cache, rotation)
            x = self.add(x, mixed, self.self_attn_scale)
            return self.add(x, self.mlp(self.mlp_norm(x)), self.mlp_scale), weights
        mixed, weights = self.attend(x, bias, probabilities, cache, rotation)
        if self.training:
            x = self.self_attn_norm(self.add(x, mixed))
            return self.mlp_norm(self.add(x, self.mlp(x))), weights
        x = added_norm(x, mixed, self.self_attn_norm)
        return added_norm(x, self.mlp(x), self.mlp_norm), weights

    def add(self, x: Tensor, branch: Tensor, scale: nn.Module | None = None) -> Tensor:
        """The residual sum; what acts in training alone is not called outside of it."""
        if self.training:
            branch = self.dropout(branch)
            return x + (branch if scale is None else self.drop_path(scale(branch)))
        return x + (scale(branch) if isinstance(scale, LayerScale) else branch)

    def attend(
        self,
        x: Tensor,
        bias: Tensor | None,
        probabilities: bool,
        cache: LayerCache | None,
        rotation: Rotation | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The attention, given what this call has; most kinds of attention know neither caches nor rotations."""
        if cache is None and rotation is None:
            return self.self_attn(x, bias, probabilities)
        return self.self_attn(x, bias, probabilities, cache, rotation)


def stack(
    count: int,
    hidden: int,
    heads: int,
    intermediate: int,
    act: str,
    norm: NormFactory,
    *,
    order: Order,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    causal: bool = False,
    qkv_bias: bool = True,
    bias: bool = True,
    layer_scale: float | None = None,
    drop_path: float = 0.0,
    mlp: Callable[[], nn.Module] | None = None,
    attention: Callable[[int], Attention] | None = None,
) -> nn.ModuleList:
    """`count` blocks alike, of plain self-attention and an MLP; `bias` is that of the MLP and behind the attention.

    `mlp()` makes another MLP in its place; `attention(index)` makes the attention of block `index`, where plain does
    not do, and then says all about it: `heads`, `attention_dropout`, `causal` and `qkv_bias` are not read.

    The rate of stochastic depth rises linearly from 0 at the first block to `drop_path` at the last.
    """
    return nn.ModuleList(
        Block(
            hidden,
            Attention(hidden, heads, bias=qkv_bias, out_bias=bias, dropout=attention_dropout, causal=causal)
            if attention is None
            else attention(index),
            MLP(hidden, intermediate, act, bias=bias) if mlp is None else mlp(),
            norm,
            order=order,
            dropout=dropout,
            layer_scale=layer_scale,
            drop_path=drop_path * index / max(count - 1, 1),
        )
        for index in range(count)
    )
