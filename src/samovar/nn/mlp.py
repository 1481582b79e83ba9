"""The two-layer perceptron of a transformer block."""

from __future__ import annotations

from torch import Tensor, nn

from samovar.nn.activations import Activation, activation


class MLP(nn.Module):
    """`up_proj` → activation → `down_proj`, over the last dimension."""

    def __init__(self, hidden: int, intermediate: int, act: str | Activation, *, bias: bool = True) -> None:
        super().__init__()
        self.up_proj = nn.Linear(hidden, intermediate, bias=bias)
        self.act = activation(act)
        self.down_proj = nn.Linear(intermediate, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act(self.up_proj(x)))


class GatedMLP(nn.Module):
    """`down_proj(act(gate_proj(x)) * up_proj(x))` (Shazeer 2020), over the last dimension."""

    def __init__(self, hidden: int, intermediate: int, act: str | Activation, *, bias: bool = True) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=bias)
        self.up_proj = nn.Linear(hidden, intermediate, bias=bias)
        self.act = activation(act)
        self.down_proj = nn.Linear(intermediate, hidden, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))
