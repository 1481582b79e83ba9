"""Products of a few rows with int8 weights in whole numbers, for processors with instructions for them (VNNI).

A row of floats becomes two rows of bytes: 127ths of its largest number, and 254ths of what these leave. Both are read
against the weights in one pass, so that a row keeps 15 bits, more than bfloat16 has, for one read of the weights.
Sums are exact: 255 · 127 times a few thousand fits into 32 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

# What a number of a row is off by at most, as a part of the row's largest: half of a 254th of a 127th, and rounding.
ERROR = 0.51 / 254 / 127
# Bytes begin at 0 and stand for numbers from -128.
ZERO = 128


def available() -> bool:
    """Whether this processor multiplies bytes with instructions of its own, and PyTorch was built to use them."""
    return torch.backends.mkldnn.is_available() and torch.cpu._is_vnni_supported()


class WholeProduct:
    """`x @ (weight · scale)ᵀ` for rows of float32; `weight` (outputs, inputs) int8, `scale` (outputs) float32.

    Holds its own copy of the weight, in oneDNN's layout. Raises nothing of its own: ask `available` first.
    """

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        self.scale = scale
        self.zeros = torch.zeros(weight.shape[0], dtype=torch.int32)
        self.packed = torch.ops.onednn.qlinear_prepack(weight, [2, weight.shape[1]])

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, inputs) → (rows, outputs)."""
        rows = x.shape[0]
        unit = torch.linalg.vector_norm(x, torch.inf, -1, keepdim=True).clamp_(min=1e-30).div_(127)
        parts = x / unit
        coarse = parts.round()
        both = torch.cat([coarse, parts.sub_(coarse).mul_(254).round_()]).add_(ZERO).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            both, 1.0, ZERO, self.packed, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return torch.add(out[:rows], out[rows:], alpha=1 / 254).mul_(unit)
