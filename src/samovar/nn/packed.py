"""Linear layers for few rows: products that read each weight once, for one text and for a batch of them.

A plain product is laid out for many rows. For one row, `addmv` on weights as the file has them takes what reading the
bytes takes; where a file holds the projections of queries, keys and values side by side they are one product, as
strided slices are read slower (9.1 against 6.9 ms for those of GPT-2 small on one core). Nothing is copied.

For 2 to 64 rows a plain product reads weights several times: on two cores, all weights of GPT-2 small (494 MB) against
1 / 4 / 8 / 32 rows took 17 / 31 / 43 / 54 ms, and 18 / 21 / 24 / 43 ms in oneDNN's blocked layout; reading the bytes
alone takes 17 ms. Up to 8 rows MKL's packed layout takes a tenth less still (37 against 42 ms for the blocks on one
core). A copy costs as much memory again and the time of some thirty steps, so it is made for texts that are long
enough, and is kept for the next ones as long as its weight lives unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from samovar.nn.attention import Attention
from samovar.nn.int8 import Int8Linear, Int8Row
from samovar.nn.spans import spanned

# Rows that the blocked layout is made for; it serves all numbers of rows alike.
ROWS = 32
# Up to so many rows MKL's layout is the faster one; fewer are filled up.
FEWEST_ROWS = 8
# MKL adds 12 MB of its own to each copy, which smaller weights are not worth.
LARGE = 1 << 19
# Fewer steps do not pay for laying the weights out.
STEPS = 32
# Copies take no more than this part of the memory that is free.
SHARE = 0.4

# The first of the weights that a copy holds → what the copy was made of, and the copy.
known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


class Packed(NamedTuple):
    """One or more weights side by side in a packed layout, and their biases."""

    versions: tuple[tuple[int, int], ...]  # of each tensor, so that a changed one is noticed
    weight: Tensor
    bias: Tensor | None
    rows: int | None  # MKL's layout, for so many rows; None: oneDNN's, for any number


class FewRows:
    """In place of a linear layer, or of an attention's three projections by one product."""

    def __init__(self, layers: list[nn.Linear], packed: Packed | None) -> None:
        self.layers, self.packed = layers, packed
        self.inputs, self.outputs = layers[0].in_features, sum(layer.out_features for layer in layers)
        self.weight, self.bias = side_by_side(layers)
        # MKL asks for the plain weight as well, of which it reads the shape alone when the rows are as many as packed.
        self.shape = layers[0].weight.detach()[:1, :1].expand(self.outputs, self.inputs)

    def __call__(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs)."""
        if self.packed is None:
            if x.numel() != self.inputs or self.weight is None or torch.is_grad_enabled() or x.dtype != torch.float32:
                return self.plain(x)
            row = x.reshape(-1)
            out = torch.mv(self.weight, row) if self.bias is None else torch.addmv(self.bias, self.weight, row)
            return out.view(*x.shape[:-1], self.outputs)
        if x.dtype != torch.float32 or torch.is_grad_enabled():
            return self.plain(x)
        if self.packed.rows is None:
            return torch.ops.mkldnn._linear_pointwise(x, self.packed.weight, self.packed.bias, "none", [], "")
        rows, most = x.numel() // self.inputs, self.packed.rows
        if rows > most:
            return self.plain(x)
        full = x if rows == most else F.pad(x.reshape(rows, -1), (0, 0, 0, most - rows))
        out = torch.ops.mkl._mkl_linear(full, self.packed.weight, self.shape, self.packed.bias, most)
        return out if rows == most else out[:rows].view(*x.shape[:-1], self.outputs)

    def plain(self, x: Tensor) -> Tensor:
        """The product without any packed layout."""
        if self.weight is not None and not torch.is_grad_enabled():
            return F.linear(x, self.weight, self.bias)
        parts = [F.linear(x, layer.weight, layer.bias) for layer in self.layers]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


@contextmanager
def packed_for_few_rows(model: nn.Module, rows: int, steps: int) -> Iterator[bool]:
    """Within it the linear layers of a float32 model on the CPU are laid out for `rows` rows, where it is worth it.

    `rows` texts are written in `steps` steps. Int8 layers lie as they should, and are called with fewer steps for one
    row. Gives whether layers are changed. Only for use without gradients.
    """
    off = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    whole = [] if off or rows > 1 else list(products(model, True, whole_numbers))
    groups = [] if off else list(products(model, rows == 1, plain))
    fresh = [layers for *_, layers in groups if current(layers, rows) is None]
    if not (groups or whole) or (rows > 1 and not affordable(fresh, steps)):
        yield False
        return
    changed: list[tuple[nn.Module, str]] = []
    try:
        for owner, name, layers in groups:
            packed = None if rows == 1 else current(layers, rows) or pack(layers, rows)
            # Found before the layer of that name: without a module's call, a few frames less for each product.
            owner.__dict__[name] = FewRows(layers, packed)
            changed.append((owner, name))
        for owner, name, layers in whole:
            owner.__dict__[name] = Int8Row(layers)
            changed.append((owner, name))
        yield True
    finally:
        for owner, name in changed:
            if name == "joined":
                owner.joined = None  # type: ignore[assignment]  # and never absent: other threads may read it
            else:
                owner.__dict__.pop(name, None)


def affordable(fresh: list[list[nn.Linear]], steps: int) -> bool:
    """Whether copies of these may be made for so many steps: none are needed, or there is time and memory for them."""
    if not torch.backends.mkldnn.is_available():
        return False
    needed = sum(layer.weight.numel() * 4 for layers in fresh for layer in layers)
    return not fresh or (steps >= STEPS and needed <= SHARE * free_memory())


def products(
    model: nn.Module, in_place: bool, fits: Callable[[nn.Module], bool]
) -> Iterator[tuple[nn.Module, str, list[Any]]]:
    """What may be replaced: an owner, a name there, and the layers: an attention's three projections, or single ones.

    `in_place`: the three are joined only where they lie side by side. Layers are those that `fits` says yes to.
    """
    taken: set[int] = set()
    for module in model.modules():
        if isinstance(module, Attention) and type(module).project is Attention.project and module.joined is None:
            layers = [module.q_proj, module.k_proj, module.v_proj]
            alike = all(map(fits, layers)) and len({layer.bias is None for layer in layers}) == 1
            if alike and not (in_place and side_by_side(layers)[0] is None):
                taken |= set(map(id, layers))
                yield module, "joined", layers
        for name, child in module.named_children():
            if fits(child) and id(child) not in taken and name not in module.__dict__:
                inside = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)  # whose names are not read
                yield (child, "forward", [child]) if inside else (module, name, [child])


def plain(module: nn.Module) -> bool:
    """Is this a linear layer of float32 on the CPU that nobody has changed or listens to?"""
    if type(module) is not nn.Linear or "forward" in module.__dict__:
        return False
    if module._forward_hooks or module._forward_pre_hooks:
        return False
    weight = module.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or type(weight) is not nn.Parameter:
        return False
    return not weight.is_inference()  # made without a count of its changes, by which copies are known to be good


def whole_numbers(module: nn.Module) -> bool:
    """Is this an int8 layer on the CPU that nobody has changed or listens to?"""
    if type(module) is not Int8Linear or "forward" in module.__dict__ or module.weight.device.type != "cpu":
        return False
    return not (module._forward_hooks or module._forward_pre_hooks)


def side_by_side(layers: list[Any]) -> tuple[Tensor | None, Tensor | None]:
    """Weight (all outputs, inputs) and bias of layers that lie one behind the other in memory; else None for both."""
    weight = spanned([layer.weight for layer in layers])
    if layers[0].bias is None or weight is None or isinstance(layers[0], Int8Linear):
        return weight, None  # the few numbers of int8 layers' biases are copied
    bias = spanned([layer.bias for layer in layers])
    return (None, None) if bias is None else (weight, bias)


def pack(layers: list[nn.Linear], rows: int) -> Packed:
    """The layers' weights one below the other, laid out for so many rows; remembered as long as the first one lives."""
    weights: list[Tensor] = [layer.weight for layer in layers]
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    weight = (torch.cat(weights) if len(weights) > 1 else weights[0]).detach()
    bias = (torch.cat(biases) if len(biases) > 1 else biases[0]).detach() if biases else None
    if rows <= FEWEST_ROWS and weight.numel() >= LARGE and torch.backends.mkl.is_available():
        laid = torch.ops.mkl._mkl_reorder_linear_weight(weight.contiguous(), FEWEST_ROWS)
        packed = Packed(versions(layers), laid, bias, FEWEST_ROWS)
    else:
        packed = Packed(versions(layers), torch.ops.mkldnn._reorder_linear_weight(weight, ROWS), bias, None)
    known[layers[0].weight] = packed
    return packed


def versions(layers: list[nn.Linear]) -> tuple[tuple[int, int], ...]:
    """What changes when a weight or a bias does."""
    tensors = [one for layer in layers for one in (layer.weight, layer.bias) if one is not None]
    return tuple((one.data_ptr(), one._version) for one in tensors)


def current(layers: list[nn.Linear], rows: int) -> Packed | None:
    """The copy of these weights, unless one has changed since or it is for fewer rows."""
    found: Packed | None = known.get(layers[0].weight)
    if found is None or found.versions != versions(layers):
        return None
    return found if found.rows is None or found.rows >= rows else None


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
