"""A cache made of tensors that are given, for traces: each update joins, nothing is written over, all tokens come back.

An exported model has no memory of its own: past keys and values are inputs, those of all tokens are outputs. Blocks
with a window are told by the mask what they see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from samovar.nn.cache import Cache, EncoderDecoderCache, LayerCache


class GivenLayer(LayerCache):
    """Keys and values (batch, heads, tokens, dim) of one layer."""

    def __init__(self, keys: Tensor | None, values: Tensor | None) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.length = 0 if keys is None else keys.shape[2]

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Those given before and the new ones, joined."""
        if self.keys is not None and self.values is not None:
            key, value = torch.cat([self.keys, key], dim=2), torch.cat([self.values, value], dim=2)
        self.keys, self.values, self.length = key, value, key.shape[2]
        return key, value


class GivenCache(Cache):
    """Past keys and values as (keys, values, keys, values, …), layer by layer."""

    whole: ClassVar[bool] = True

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()
        self.layers = [GivenLayer(*pair) for pair in pairs(tensors)]

    def layer(self, index: int, window: int | None = None) -> LayerCache:
        """The cache of one layer; an empty one is begun where none was given."""
        while len(self.layers) <= index:
            self.layers.append(GivenLayer(None, None))
        return self.layers[index]

    def extend_mask(self, mask: Tensor | None, new: int) -> Tensor | None:
        """The mask as given: of all tokens."""
        self.mask = mask
        return mask

    def tensors(self) -> list[Tensor]:
        """What it holds now, in the same order."""
        return [one for layer in self.layers for one in (layer.keys, layer.values) if one is not None]


class GivenSequenceCache(GivenCache, EncoderDecoderCache):
    """The same, and the source's keys and values in `sources`."""

    def __init__(self, tensors: Sequence[Tensor] = (), sources: Sequence[Tensor] = ()) -> None:
        GivenCache.__init__(self, tensors)
        self.sources = [GivenLayer(*pair) for pair in pairs(sources)]

    def source(self, index: int) -> LayerCache:
        """The source's keys and values for one layer; empty until they are computed."""
        while len(self.sources) <= index:
            self.sources.append(GivenLayer(None, None))
        return self.sources[index]

    def source_tensors(self) -> list[Tensor]:
        """Keys and values of the source, layer by layer."""
        return [one for layer in self.sources for one in (layer.keys, layer.values) if one is not None]


def pairs(tensors: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Two and two."""
    return list(zip(tensors[::2], tensors[1::2], strict=True))
