"""The perceptron of a transformer block: two layers, or three with a gate."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from samovar.nn.activations import IN_PLACE, Activation, activation, gated, of_product


def held_here(layer: nn.Module) -> bool:
    """Whether nobody but the caller can see what this layer gives: it need not be kept beside what is made of it."""
    if type(layer) is not nn.Linear or "forward" in layer.__dict__:
        return False
    return not (layer._forward_hooks or layer._forward_pre_hooks)


class MLP(nn.Module):
    """`up_proj` → activation → dropout → `down_proj`, over the last dimension."""

    def __init__(
        self, hidden: int, intermediate: int, act: str | Activation, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.up_proj = nn.Linear(hidden, intermediate, bias=bias)
        self.act = activation(act)
        self.dropout = dropout
        self.down_proj = nn.Linear(intermediate, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        own = self.act in IN_PLACE and held_here(self.up_proj)
        inside = of_product(self.act, self.up_proj, x) if own else None
        if inside is None:
            inside = self.up_proj(x)
            inside = self.act(inside, in_place=True) if own else self.act(inside)  # type: ignore[call-arg]
        return self.down_proj(F.dropout(inside, self.dropout) if self.training and self.dropout else inside)


class GatedMLP(nn.Module):
    """`down_proj(act(gate_proj(x)) * up_proj(x))` (Shazeer 2020), over the last dimension; dropout inside."""

    def __init__(
        self, hidden: int, intermediate: int, act: str | Activation, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.gate_proj = nn.Linear(hidden, intermediate, bias=bias)
        self.up_proj = nn.Linear(hidden, intermediate, bias=bias)
        self.act = activation(act)
        self.down_proj = nn.Linear(intermediate, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        inside = gated(self.act, self.gate_proj(x), self.up_proj(x), in_place=held_here(self.gate_proj))
        return self.down_proj(F.dropout(inside, self.dropout) if self.training and self.dropout else inside)


class PackedGatedMLP(nn.Module):
    """A gated MLP whose gate and up matrices are one, `in_proj`, as some checkpoints store them; then `out_proj`."""

    def __init__(
        self, hidden: int, intermediate: int, act: str | Activation, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.in_proj = nn.Linear(hidden, 2 * intermediate, bias=bias)
        self.act = activation(act)
        self.out_proj = nn.Linear(intermediate, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.in_proj(x).chunk(2, dim=-1)
        return self.out_proj(self.dropout(self.act(gate) * up))
