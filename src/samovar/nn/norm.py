"""Normalisation layers and the factory type that blocks take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NormFactory = Callable[[int], nn.Module]


def layer_norm(eps: float, weights: bool = True, bias: bool = True) -> NormFactory:
    """A factory of `LayerNorm(size)` with this epsilon (Ba et al. 2016); `weights` and `bias`: whether it has these."""
    return partial(nn.LayerNorm, eps=eps, elementwise_affine=weights, bias=bias)


class ChannelNorm(nn.LayerNorm):
    """`LayerNorm` over the channels of (batch, channels, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        moved = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return moved.permute(0, 3, 1, 2)


class RMSNorm(nn.Module):
    """Division by the root mean square over the last dimension, then a weight per channel (Zhang & Sennrich 2019).

    The mean is taken in float32. `offset` is added to the weight; with one, the weight is multiplied in float32 too,
    as Gemma's checkpoints were trained.
    """

    def __init__(self, size: int, eps: float = 1e-6, offset: float = 0.0) -> None:
        super().__init__()
        self.eps, self.offset = eps, offset
        self.weight = nn.Parameter(torch.full((size,), 1.0 - offset))

    def initialise(self, name: str, tensor: Tensor) -> None:
        nn.init.constant_(tensor, 1.0 - self.offset)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight + self.offset if self.offset else self.weight
        if x.dtype == torch.float32:
            return F.rms_norm(x, weight.shape, weight, self.eps)
        if self.offset:
            return F.rms_norm(x.float(), weight.shape, weight.float(), self.eps).to(x.dtype)
        return weight * F.rms_norm(x.float(), weight.shape, None, self.eps).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"


def rms_norm(eps: float, offset: float = 0.0) -> NormFactory:
    """A factory of `RMSNorm(size)` with this epsilon."""
    return partial(RMSNorm, eps=eps, offset=offset)
