"""Activation functions under the names that `config.json` files use."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import ConfigError, did_you_mean
from samovar.nn.compiled import available, recorded
from samovar.nn.pointwise import pointwise, worth_it

Activation = Callable[[Tensor], Tensor]


# Numbers that the cores' caches hold, and as many as a few operations in place of one are worth.
PART, MANY = 1 << 17, 1 << 15
# The two factors of the approximation, doubled.
ROOT = torch.tensor(2 * math.sqrt(2 / math.pi), device="cpu")
CUBE = 0.044715 * 2 * math.sqrt(2 / math.pi)


def gelu(x: Tensor, in_place: bool = False) -> Tensor:
    """GELU (Hendrycks & Gimpel 2016). `in_place`: `x` may be overwritten; use what is returned."""
    return F.gelu(x)  # which goes through memory as fast as any


def silu(x: Tensor, in_place: bool = False) -> Tensor:
    """The sigmoid linear unit (Elfwing et al. 2017), also called swish. `in_place` as in `gelu`."""
    found = pointwise("silu", x, in_place=in_place)
    return F.silu(x) if found is None else found


def gelu_tanh(x: Tensor, in_place: bool = False) -> Tensor:
    """GELU by its tanh approximation (Hendrycks & Gimpel 2016, section 2). `in_place` as in `gelu`."""
    found = pointwise("gelu_tanh", x, in_place=in_place)
    if found is not None:
        return found
    plain = torch.is_grad_enabled() or recorded()
    if plain or x.dtype != torch.float32 or x.device.type != "cpu" or x.numel() < MANY or not x.is_contiguous():
        return F.gelu(x, approximate="tanh")
    # (1 + tanh u) / 2 is the sigmoid of 2u. PyTorch's tanh inside GELU takes 5 ns a number on one core, a sigmoid 0.8;
    # in parts, as each step would otherwise go through the memory.
    out = x if in_place else torch.empty_like(x)
    room = x.new_empty(min(PART, x.numel()))
    for part, place in zip(x.view(-1).split(PART), out.view(-1).split(PART), strict=True):
        gate = room[: len(part)]
        torch.addcmul(ROOT, part, part, value=CUBE, out=gate)
        torch.mul(gate.mul_(part).sigmoid_(), part, out=place)
    return out


def quick_gelu(x: Tensor) -> Tensor:
    """GELU approximated by a scaled sigmoid (Hendrycks & Gimpel 2016, section 2)."""
    return x * (1.702 * x).sigmoid()


def gelu_clipped(x: Tensor) -> Tensor:
    """GELU limited to [-10, 10], for integer quantisation (Wu et al. 2020)."""
    return F.gelu(x).clamp(-10, 10)


def mish(x: Tensor) -> Tensor:
    """Mish (Misra 2019)."""
    return F.mish(x)


def squared_relu(x: Tensor) -> Tensor:
    """ReLU squared (So et al. 2021)."""
    return F.relu(x).square()


def unchanged(x: Tensor) -> Tensor:
    """No activation."""
    return x


ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_python": gelu,
    "gelu_new": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu_accurate": gelu_tanh,
    "quick_gelu": quick_gelu,
    "gelu_10": gelu_clipped,
    "relu": F.relu,
    "relu2": squared_relu,
    "relu6": F.relu6,
    "silu": silu,
    "swish": silu,
    "mish": mish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": F.leaky_relu,
    "linear": unchanged,
}


# Those that can overwrite what they are given, and what they are called where they are compiled.
IN_PLACE: dict[Activation, str] = {gelu: "gelu", gelu_tanh: "gelu_tanh", silu: "silu"}


def gated(act: Activation, gate: Tensor, x: Tensor, in_place: bool = False) -> Tensor:
    """`act(gate) * x`. `in_place`: `gate` may be overwritten; use what is returned."""
    found = pointwise(IN_PLACE[act], gate, x, in_place=in_place) if act in IN_PLACE else None
    return act(gate) * x if found is None else found


def of_product(act: Activation, layer: nn.Linear, x: Tensor) -> Tensor | None:
    """`act(layer(x))`, whose bias is added on the way; None where the two should be called."""
    bias = layer.bias
    if act not in IN_PLACE or bias is None or not worth_it(x) or not available():
        return None
    product = F.linear(x, layer.weight)
    found = pointwise(IN_PLACE[act], product, bias=bias, in_place=True)
    return act(product + bias) if found is None else found


def activation(name: str | Activation) -> Activation:
    """The function of this name; a function is returned as it is. Raises `ConfigError` for unknown names."""
    if not isinstance(name, str):
        return name
    if name not in ACTIVATIONS:
        raise ConfigError(
            f"Unknown activation {name!r}.", did_you_mean(name, ACTIVATIONS) or f"Known: {sorted(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]
