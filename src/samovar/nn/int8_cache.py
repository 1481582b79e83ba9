"""Caches in int8: a quarter of the memory that keys and values take in float32.

Each token of each head has a scale, its largest number by 127 (symmetric, round to nearest, as in Dettmers et al. 2022,
section 2). The scale lies in the last four bytes of the token's own row, so that whatever moves, drops or copies rows
of a cache does so here too. What attention reads is made float for one layer at a time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError
from samovar.nn.cache import Cache, LayerCache

# Bytes of a scale; rows are padded to a multiple, as numbers of that size need.
SCALE = 4


def packed(x: Tensor) -> Tensor:
    """(…, dim) → int8 (…, dim rounded up to a multiple of 4, and 4). Raises `InputError` where gradients are wanted."""
    if torch.is_grad_enabled() and x.requires_grad:
        raise InputError("Whole numbers have no gradients, so texts cannot be learned through an int8 cache.",
                         "Use the model's own cache, or torch.no_grad().")  # fmt: skip
    numbers = x.float()
    scale = numbers.abs().amax(-1, keepdim=True) / 127
    whole = (numbers / scale.clamp(min=torch.finfo(torch.float32).tiny)).round_().to(torch.int8)
    whole = F.pad(whole, (0, -x.shape[-1] % SCALE))
    return torch.cat([whole, scale.contiguous().view(torch.int8)], dim=-1)


def unpacked(rows: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """What `packed` made, as numbers (…, dim)."""
    scale = rows[..., -SCALE:].view(torch.float32)
    return rows[..., :dim].to(dtype).mul_(scale.to(dtype))


class Int8LayerCache(LayerCache):
    """Keys and values of one layer in int8; given back as they came."""

    dim = 0
    dtype = torch.float32

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        first, self.dim, self.dtype = self.length == 0, key.shape[-1], key.dtype
        keys, values = super().update(packed(key), packed(value))
        if first:
            # A prompt reads itself as it is.
            return key, value
        return self.read(keys), self.read(values)

    def read(self, rows: Tensor) -> Tensor:
        return unpacked(rows, self.dim, self.dtype)

    def describe(self, other: LayerCache) -> None:
        assert isinstance(other, Int8LayerCache)
        other.dim, other.dtype = self.dim, self.dtype


class Int8Cache(Cache):
    """A cache in int8, to be passed as `past_key_values`; `cache_implementation="int8"` makes one for `generate`."""

    layer_class = Int8LayerCache
