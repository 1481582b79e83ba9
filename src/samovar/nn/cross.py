"""Attention to another sequence, and the block that has it: what a decoder reads its source with."""

from __future__ import annotations

from torch import Tensor, nn

from samovar.nn.attention import Attention
from samovar.nn.block import Block, Order
from samovar.nn.cache import LayerCache
from samovar.nn.norm import NormFactory


class CrossAttention(Attention):
    """Attention whose keys and values come from another sequence."""

    def read(
        self, x: Tensor, memory: Tensor, bias: Tensor | None, probabilities: bool, cache: LayerCache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """`x` (batch, sequence, hidden), `memory` (batch, source, hidden) → the shape of `x`.

        A `cache` that holds the memory's keys and values stands for the memory; an empty one is filled.
        """
        query = self.split(self.q_proj(x))
        if cache is not None and cache.keys is not None and cache.values is not None:
            key, value = cache.keys, cache.values
        else:
            key, value = self.split(self.k_proj(memory)), self.split(self.v_proj(memory))
            if cache is not None:
                cache.update(key, value)
        mixed, weights = self.mix(query, key, value, bias, probabilities)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), weights if probabilities else None


class DecoderBlock(Block):
    """A block with attention to the encoder between its self-attention and its MLP, each with a residual and a norm."""

    def __init__(
        self,
        hidden: int,
        attention: Attention,
        cross: CrossAttention,
        mlp: nn.Module,
        norm: NormFactory,
        *,
        order: Order,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(hidden, attention, mlp, norm, order=order, dropout=dropout)
        self.cross_attn = cross
        self.cross_attn_norm = norm(hidden)

    def decode(
        self,
        x: Tensor,
        bias: Tensor | None,
        memory: Tensor,
        memory_bias: Tensor | None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        source: LayerCache | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """States (batch, sequence, hidden), and both kinds of attention probabilities when asked for.

        `cache` holds the tokens before `x`, `source` the keys and values of `memory`.
        """
        if self.pre:
            mixed, own = self.self_attn(self.self_attn_norm(x), bias, probabilities, cache)
            x = x + self.dropout(mixed)
            mixed, cross = self.cross_attn.read(self.cross_attn_norm(x), memory, memory_bias, probabilities, source)
            x = x + self.dropout(mixed)
            return x + self.dropout(self.mlp(self.mlp_norm(x))), own, cross
        mixed, own = self.self_attn(x, bias, probabilities, cache)
        x = self.self_attn_norm(x + self.dropout(mixed))
        mixed, cross = self.cross_attn.read(x, memory, memory_bias, probabilities, source)
        x = self.cross_attn_norm(x + self.dropout(mixed))
        return self.mlp_norm(x + self.dropout(self.mlp(x))), own, cross


def with_source(blocks: nn.ModuleList, norm: NormFactory, dropout: float, attention_dropout: float) -> nn.ModuleList:
    """The same blocks with attention to a source in each, as wide as their own attention and of the same scale."""
    made = []
    for block in blocks:
        assert isinstance(block, Block)
        own = block.self_attn
        hidden = own.q_proj.in_features
        cross = CrossAttention(hidden, own.heads, dropout=attention_dropout, scale=own.scale)
        order: Order = "pre" if block.pre else "post"
        made.append(DecoderBlock(hidden, own, cross, block.mlp, norm, order=order, dropout=dropout))
    return nn.ModuleList(made)
