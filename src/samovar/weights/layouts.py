"""Tensors of Flax and TensorFlow as PyTorch has them: the last word of a name and the order of dimensions.

Names of layers are those of PyTorch's checkpoints in both, so that one name table reads all three. Kernels are (input,
output) there, and those of convolutions (height, width, input, output).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from samovar.errors import CorruptFileError

LEAVES = {
    "kernel": "weight", "scale": "weight", "gamma": "weight", "embedding": "weight", "embeddings": "weight",
    "beta": "bias", "mean": "running_mean", "moving_mean": "running_mean", "var": "running_var",
    "moving_variance": "running_var",
}  # fmt: skip
# Layers whose kernels may have heads and their sizes apart: in front of them, or behind.
TO_HEADS, FROM_HEADS = ("query", "key", "value"), ("dense", "out")


def name_of(levels: Sequence[str]) -> str:
    """The PyTorch checkpoint's name of a tensor with this path."""
    return ".".join([*levels[:-1], LEAVES.get(levels[-1], levels[-1])])


def as_pytorch(levels: Sequence[str], tensor: Tensor) -> Tensor:
    """A tensor in the order of dimensions that PyTorch's checkpoints have."""
    leaf, owner = levels[-1], levels[-2] if len(levels) > 1 else ""
    if leaf == "bias" and tensor.ndim == 2:
        return tensor.flatten()
    if leaf != "kernel":
        return tensor
    if tensor.ndim == 3 and owner in TO_HEADS:
        tensor = tensor.flatten(1)
    elif tensor.ndim == 3 and owner in FROM_HEADS:
        tensor = tensor.flatten(0, 1)
    order = {2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1)}.get(tensor.ndim)
    return tensor if order is None else tensor.permute(order)


def shape_in_pytorch(levels: Sequence[str], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape that it will have."""
    return tuple(as_pytorch(levels, torch.empty(tuple(shape), device="meta")).shape)


class Stored:
    """A tensor in a file of another framework, read when it is asked for."""

    def __init__(self, levels: Sequence[str], shape: Sequence[int], read: Callable[[], Tensor]) -> None:
        self.levels, self.load = list(levels), read
        self.name, self.shape = name_of(levels), shape_in_pytorch(levels, shape)

    def read(self) -> Tensor:
        """The tensor, in PyTorch's order of dimensions."""
        return as_pytorch(self.levels, self.load()).contiguous()


def checked_size(path: object, name: str, shape: Sequence[int], itemsize: int, there: int) -> None:
    """Refuse a shape that does not fit the bytes that are there. Raises `CorruptFileError`."""
    if any(size < 0 for size in shape) or math.prod(shape) * itemsize != there:
        raise CorruptFileError(
            f"{path}: {name} of the shape {tuple(shape)} would need {math.prod(shape) * itemsize:,} bytes; "
            f"{there:,} are there.",
            "Download it again.",
        )
