"""The layers of an adapted model: linear layers with low-rank additions, and modules with trained copies."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import NumericError


class LoraLayer(nn.Linear):
    """A linear layer whose output gains `scaling · B(A(dropout(x)))` for each active adapter (Hu et al. 2021).

    A layer of a model is turned into one in place: it stays the same object with the same `weight` and `bias`, so
    every name, tie and reference to it holds, and `restore` turns it back.

    Each adapter has a `lora_A` (r, inputs) and a `lora_B` (outputs, r). Where a checkpoint fuses several of our
    layers into one, as GPT-2 does with query, key and value, they share one `lora_A`, and the rows of the file's
    `lora_B` are theirs in turn; with dropout each draws a mask of its own.
    """

    lora_A: nn.ModuleDict  # noqa: N815 (the name in every file)
    lora_B: nn.ModuleDict  # noqa: N815
    scaling: dict[str, float]
    lora_dropout: dict[str, float]
    active_adapters: tuple[str, ...]
    merged_adapters: tuple[str, ...]
    enabled: bool

    @staticmethod
    def convert(layer: nn.Linear) -> LoraLayer:
        """The same layer, ready to have adapters."""
        if not isinstance(layer, LoraLayer):
            layer.__class__ = LoraLayer
            made = cast(LoraLayer, layer)
            made.lora_A, made.lora_B = nn.ModuleDict(), nn.ModuleDict()
            made.scaling, made.lora_dropout = {}, {}
            made.active_adapters, made.merged_adapters, made.enabled = (), (), True
        return cast(LoraLayer, layer)

    def restore(self) -> None:
        """Become a plain linear layer again, with the weights as they are now."""
        for name in ("lora_A", "lora_B", "scaling", "lora_dropout", "active_adapters", "merged_adapters", "enabled"):
            delattr(self, name)
        self.__class__ = nn.Linear  # type: ignore[assignment]

    def add(self, name: str, down: nn.Linear, scaling: float, dropout: float, random: bool) -> None:
        """Add an adapter with `down` as its `lora_A`; `lora_B` starts at zero unless `random`."""
        up = nn.Linear(down.out_features, self.out_features, bias=False)
        if not random:
            nn.init.zeros_(up.weight)
        self.lora_A[name] = down
        self.lora_B[name] = up.to(down.weight)
        self.scaling[name] = scaling
        self.lora_dropout[name] = dropout

    def delete(self, name: str) -> None:
        """Take an adapter out, of the weights too if it was merged into them."""
        if name in self.merged_adapters:
            self.shift(name, -1)
        self.merged_adapters = tuple(one for one in self.merged_adapters if one != name)
        self.active_adapters = tuple(one for one in self.active_adapters if one != name)
        for table in (self.lora_A, self.lora_B, self.scaling, self.lora_dropout):
            if name in table:
                del table[name]

    def get_delta_weight(self, name: str) -> Tensor:
        """What the adapter adds to the weight (outputs, inputs), in the adapter's own type."""
        up, down = cast(nn.Linear, self.lora_B[name]), cast(nn.Linear, self.lora_A[name])
        return up.weight @ down.weight * self.scaling[name]

    @torch.no_grad()
    def shift(self, name: str, sign: int, safe: bool = False) -> None:
        """Add the adapter to the weight, or subtract it. Raises `NumericError` if `safe` and the sum is not finite."""
        delta = self.get_delta_weight(name)
        changed = (self.weight.to(delta.dtype) + sign * delta).to(self.weight.dtype)
        if safe and not bool(changed.isfinite().all()):
            raise NumericError(
                f"Merging the adapter {name!r} gives weights that are not finite.", "Check the adapter's training."
            )
        self.weight.copy_(changed)

    def merge(self, chosen: Sequence[str], safe: bool = False) -> None:
        """Put adapters into the weight; those that are in it already are left as they are."""
        for name in chosen:
            if name in self.lora_A and name not in self.merged_adapters:
                self.shift(name, 1, safe)
                self.merged_adapters = (*self.merged_adapters, name)

    def unmerge(self) -> None:
        """Take all merged adapters out of the weight."""
        for name in reversed(self.merged_adapters):
            self.shift(name, -1)
        self.merged_adapters = ()

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs)."""
        out = F.linear(x, self.weight, self.bias)
        if not self.enabled or self.merged_adapters:
            return out
        kind = out.dtype
        for name in self.active_adapters:
            down, up = cast(nn.Linear, self.lora_A[name]), cast(nn.Linear, self.lora_B[name])
            part, rate = x.to(down.weight.dtype), self.lora_dropout[name]
            if rate and self.training:
                part = F.dropout(part, rate)
            # Scaled while it is narrow: `r` numbers per row instead of `outputs`.
            out = out + up(down(part) * self.scaling[name])
        return out.to(kind)

    def extra_repr(self) -> str:
        """The layer's sizes and its adapters."""
        return f"{super().extra_repr()}, adapters={list(self.lora_A)}, active={list(self.active_adapters)}"


class SavedModule(nn.Module):
    """A module that adapters train in full: `original_module`, and a copy of it for each adapter.

    Whatever is asked of it that it does not have itself is asked of the one in use.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.original_module = module
        self.modules_to_save = nn.ModuleDict()
        self.active: str | None = None
        self.enabled = True

    def add(self, name: str) -> None:
        """A copy of the original for an adapter."""
        self.modules_to_save[name] = copy.deepcopy(self.original_module)

    @property
    def in_use(self) -> nn.Module:
        """The active adapter's copy, or the original where there is none."""
        chosen = self.enabled and self.active is not None
        return self.modules_to_save[self.active] if chosen else self.original_module  # type: ignore[index]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "_modules" not in self.__dict__ or "modules_to_save" not in self._modules:
                raise
            return getattr(self.in_use, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the module in use."""
        return self.in_use(*args, **kwargs)
