"""Masks: from which positions may be read, as numbers that are added to attention scores."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_bias(
    mask: Tensor | None,
    dtype: torch.dtype,
    causal: bool = False,
    queries: int | None = None,
    window: int | None = None,
) -> Tensor | None:
    """What to add to attention scores: 0 where reading is allowed, the most negative finite number elsewhere.

    `mask` (batch, keys), (batch, queries, keys) or (batch, heads, queries, keys): non-zero where reading is allowed.
    Without a mask there is nothing to add: causal attention functions know the order by themselves. A finite number
    and not -inf, so that a row without any allowed position stays a number.

    With `queries`, only that many of the last tokens are queries: those before them are in a cache. A `window` is how
    many tokens in each direction a query sees, itself included.
    """
    if mask is None:
        return None
    if mask.ndim == 4 and mask.is_floating_point():
        return mask.to(dtype)
    lowest = torch.finfo(dtype).min
    mask = mask.bool()
    mask = mask[:, None, None, :] if mask.ndim == 2 else mask[:, None] if mask.ndim == 3 else mask
    if causal or window is not None:
        keys = mask.shape[-1]
        rows = keys if queries is None else queries
        seen = torch.ones(rows, keys, dtype=torch.bool, device=mask.device)
        if window is not None:
            seen = seen.triu(keys - rows - window + 1)
        ahead = 0 if causal or window is None else window - 1
        seen = seen.tril(keys - rows + ahead)
        mask = mask & seen
        if rows > 1:
            # Padding before a text would read nothing, of which fused kernels make wrong gradients: it reads itself.
            itself = torch.ones_like(seen).tril(keys - rows).triu(keys - rows)
            mask = mask | (itself & ~mask.any(-1, keepdim=True))
    return torch.zeros((), dtype=dtype, device=mask.device).masked_fill(~mask, lowest)
