"""Linear layers for few rows: weights laid out so that a product with 2 to 64 rows reads them once.

A plain product is laid out for one row or for many. Between, where a batch of texts writes its next tokens, it reads
weights several times: on two cores, all weights of GPT-2 small (494 MB) against 1 / 4 / 8 / 32 rows took 17 / 31 / 43 /
54 ms, and 18 / 21 / 24 / 43 ms in oneDNN's blocked layout; reading the bytes alone takes 17 ms. The blocked copy costs
as much memory again and the time of some thirty steps, so it is made for texts that are long enough, and is kept for
the next ones as long as its weight lives unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from samovar.nn.attention import Attention

# Rows that the layout is made for; it serves all numbers of rows alike.
ROWS = 32
# Fewer steps do not pay for laying the weights out.
STEPS = 32
# Copies take no more than this part of the memory that is free.
SHARE = 0.4

# The first of the weights that a copy holds → what the copy was made of, and the copy.
known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


class Packed(NamedTuple):
    """One or more weights side by side in the blocked layout, and their biases."""

    versions: tuple[tuple[int, int], ...]  # of each tensor, so that a changed one is noticed
    weight: Tensor
    bias: Tensor | None


class PackedForward:
    """In place of a linear layer's `forward`."""

    def __init__(self, layer: nn.Linear, packed: Packed) -> None:
        self.layer, self.packed = layer, packed

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32 or torch.is_grad_enabled():
            return F.linear(x, self.layer.weight, self.layer.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed.weight, self.packed.bias, "none", [], "")


class JoinedProjection:
    """Queries, keys and values by one product."""

    def __init__(self, attention: Attention, packed: Packed) -> None:
        self.layers = [attention.q_proj, attention.k_proj, attention.v_proj]
        self.sizes = [layer.out_features for layer in self.layers]
        self.packed = packed

    def __call__(self, x: Tensor) -> Sequence[Tensor]:
        if x.dtype != torch.float32 or torch.is_grad_enabled():
            return [F.linear(x, layer.weight, layer.bias) for layer in self.layers]
        joined = torch.ops.mkldnn._linear_pointwise(x, self.packed.weight, self.packed.bias, "none", [], "")
        return joined.split(self.sizes, dim=-1)


@contextmanager
def packed_for_few_rows(model: nn.Module, rows: int, steps: int) -> Iterator[bool]:
    """Within it the linear layers of a float32 model on the CPU read packed weights, where that is worth the while.

    `rows` texts are written in `steps` steps. Gives whether the layers are packed. Only for use without gradients.
    """
    groups = list(products(model)) if not torch.is_grad_enabled() and rows > 1 and able() else []
    fresh = [layers for _, layers in groups if current(layers) is None]
    needed = sum(layer.weight.numel() * 4 for layers in fresh for layer in layers)
    if not groups or (fresh and (steps < STEPS or needed > SHARE * free_memory())):
        yield False
        return
    changed: list[tuple[nn.Module, str]] = []
    try:
        for owner, layers in groups:
            packed = current(layers) or pack(layers)
            if isinstance(owner, Attention):
                owner.joined = JoinedProjection(owner, packed)
                changed.append((owner, "joined"))
            else:
                owner.__dict__["forward"] = PackedForward(layers[0], packed)
                changed.append((owner, "forward"))
        yield True
    finally:
        for owner, name in changed:
            if name == "joined":
                owner.joined = None  # type: ignore[assignment]
            else:
                owner.__dict__.pop(name, None)


def able() -> bool:
    """Can this machine do it?"""
    return torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")


def products(model: nn.Module) -> Iterator[tuple[nn.Module, list[nn.Linear]]]:
    """The products that may be replaced: those of an attention's three projections, and of single layers."""
    taken: set[int] = set()
    for module in model.modules():
        if isinstance(module, Attention) and type(module).project is Attention.project and module.joined is None:
            layers = [module.q_proj, module.k_proj, module.v_proj]
            if all(map(plain, layers)) and len({layer.bias is None for layer in layers}) == 1:
                taken |= set(map(id, layers))
                yield module, layers
        elif plain(module) and id(module) not in taken:
            yield module, [module]  # type: ignore[list-item]


def plain(module: nn.Module) -> bool:
    """Is this a linear layer of float32 on the CPU that nobody has changed?"""
    if type(module) is not nn.Linear or "forward" in module.__dict__ or module._forward_hooks:
        return False
    weight = module.weight
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and type(weight) is nn.Parameter


def pack(layers: list[nn.Linear]) -> Packed:
    """The layers' weights one below the other, laid out in blocks; remembered as long as the first one lives."""
    weights: list[Tensor] = [layer.weight for layer in layers]
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    bias = torch.cat(biases) if len(biases) > 1 else biases[0] if biases else None
    packed = Packed(versions(layers), torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS), bias)
    known[layers[0].weight] = packed
    return packed


def versions(layers: list[nn.Linear]) -> tuple[tuple[int, int], ...]:
    """What changes when a weight or a bias does."""
    tensors = [one for layer in layers for one in (layer.weight, layer.bias) if one is not None]
    return tuple((one.data_ptr(), one._version) for one in tensors)


def current(layers: list[nn.Linear]) -> Packed | None:
    """The copy of these weights, unless one has changed since."""
    found: Packed | None = known.get(layers[0].weight)
    return None if found is None or found.versions != versions(layers) else found


def free_memory() -> int:
    """Bytes that programs may still take; 0 where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            sizes = dict(line.split(":", 1) for line in file)
        return int(sizes["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        if "SC_AVPHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return 0
