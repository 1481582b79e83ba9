"""Normalisation layers and the factory type that blocks take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

NormFactory = Callable[[int], nn.Module]


def layer_norm(eps: float) -> NormFactory:
    """A factory of `LayerNorm(size)` with this epsilon (Ba et al. 2016)."""
    return partial(nn.LayerNorm, eps=eps)


class ChannelNorm(nn.LayerNorm):
    """`LayerNorm` over the channels of (batch, channels, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        moved = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return moved.permute(0, 3, 1, 2)
