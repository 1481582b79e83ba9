"""Further orders of a block: both branches at once, norms on both sides of a branch, norms behind it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from samovar.nn.attention import Attention
from samovar.nn.block import Block
from samovar.nn.cache import LayerCache
from samovar.nn.norm import NormFactory
from samovar.nn.rotary import Rotation


class ParallelBlock(Block):
    """Attention and MLP read the same input, and both are added to it (Wang & Komatsuzaki 2021, GPT-J).

    ::

        x ─┬─ self_attn_norm ─ self_attn ─ drop ─┐
           ├─ mlp_norm ─ mlp ─ drop ─────────────+─▶
           └─────────────────────────────────────┘

    `shared_norm`: one norm, `self_attn_norm`, for both.
    """

    def __init__(
        self,
        hidden: int,
        attention: Attention,
        mlp: nn.Module,
        norm: NormFactory,
        *,
        dropout: float = 0.0,
        shared_norm: bool = False,
    ) -> None:
        super().__init__(hidden, attention, mlp, norm, order="pre", dropout=dropout)
        self.shared_norm = shared_norm
        if shared_norm:
            del self.mlp_norm

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        normed = self.self_attn_norm(x)
        mixed, weights = self.attend(normed, bias, probabilities, cache, rotation)
        further = self.mlp(normed if self.shared_norm else self.mlp_norm(x))
        return self.add(self.add(x, mixed), further), weights


class SandwichBlock(Block):
    """Pre-norm whose branches are normalised once more before they are added (Ding et al. 2021; Gemma 2)."""

    def __init__(self, hidden: int, attention: Attention, mlp: nn.Module, norm: NormFactory, **options: Any) -> None:
        super().__init__(hidden, attention, mlp, norm, order="pre", **options)
        self.self_attn_out_norm = norm(hidden)
        self.mlp_out_norm = norm(hidden)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        mixed, weights = self.attend(self.self_attn_norm(x), bias, probabilities, cache, rotation)
        x = self.add(x, self.self_attn_out_norm(mixed))
        return self.add(x, self.mlp_out_norm(self.mlp(self.mlp_norm(x)))), weights


class BranchNormBlock(Block):
    """A norm behind each branch and none before it (Liu et al. 2021, Swin V2; OLMo 2, 2024)."""

    def __init__(self, hidden: int, attention: Attention, mlp: nn.Module, norm: NormFactory, **options: Any) -> None:
        super().__init__(hidden, attention, mlp, norm, order="pre", **options)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        mixed, weights = self.attend(x, bias, probabilities, cache, rotation)
        x = self.add(x, self.self_attn_norm(mixed))
        return self.add(x, self.mlp_norm(self.mlp(x))), weights


class NormedResidualBlock(Block):
    """Pre-norm whose residual is the normalised input, an option of BLOOM's code."""

    def __init__(self, hidden: int, attention: Attention, mlp: nn.Module, norm: NormFactory, **options: Any) -> None:
        super().__init__(hidden, attention, mlp, norm, order="pre", **options)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        probabilities: bool = False,
        cache: LayerCache | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        normed = self.self_attn_norm(x)
        mixed, weights = self.attend(normed, bias, probabilities, cache, rotation)
        normed = self.mlp_norm(self.add(normed, mixed))
        return self.add(normed, self.mlp(normed)), weights
