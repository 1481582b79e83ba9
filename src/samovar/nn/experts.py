"""Mixtures of experts: each token goes through a few of many MLPs (Shazeer et al. 2017; Fedus et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class SparseMLP(nn.Module):
    """`router` gives each token to its `chosen` best experts, whose outputs are added by their probabilities.

    Tokens of one expert are laid side by side, so that each expert is one matrix product over its own tokens and no
    product is made for others. `normalise` lets the chosen probabilities sum to 1; `jitter` is how far inputs are
    scaled at random in training.
    """

    def __init__(
        self,
        hidden: int,
        count: int,
        chosen: int,
        expert: Callable[[], nn.Module],
        *,
        normalise: bool = True,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        self.chosen, self.normalise, self.jitter = min(chosen, count), normalise, jitter
        self.router = nn.Linear(hidden, count, bias=False)
        self.experts = nn.ModuleList(expert() for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """(…, hidden) → the same shape."""
        if self.training and self.jitter:
            x = x * torch.empty_like(x).uniform_(1 - self.jitter, 1 + self.jitter)
        flat = x.flatten(0, -2)
        weights, experts = self.router(flat).float().softmax(-1).topk(self.chosen, dim=-1)
        if self.normalise:
            weights = weights / weights.sum(-1, keepdim=True)
        weights = weights.to(flat.dtype)
        dense = torch.jit.is_tracing() or torch.compiler.is_compiling()
        mixed = self.all_experts(flat, weights, experts) if dense else self.own_experts(flat, weights, experts)
        return mixed.view_as(x)

    def own_experts(self, flat: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """Each token (tokens, hidden) through its own experts (tokens, chosen) alone."""
        order = experts.flatten().argsort(stable=True)
        rows = order // self.chosen
        counts = experts.flatten().bincount(minlength=len(self.experts)).tolist()
        parts = flat[rows].split(counts)
        outputs = [expert(part) for expert, part in zip(self.experts, parts, strict=True) if len(part)]
        mixed = torch.cat(outputs) * weights.flatten()[order, None]
        return torch.zeros_like(flat).index_add_(0, rows, mixed.to(flat.dtype))

    def all_experts(self, flat: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """Every token through every expert, for traces, whose shapes must not depend on what the tokens are."""
        shares = flat.new_zeros(flat.shape[0], len(self.experts)).scatter(1, experts, weights)
        outputs = torch.stack([expert(flat) for expert in self.experts], dim=1)
        return (outputs * shares[..., None]).sum(1)


@contextmanager
def router_logits(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collects what the routers of a model say during a call: (tokens, experts) each, in the order of the blocks."""
    found: list[Tensor] = []
    routers = [module.router for module in model.modules() if isinstance(module, SparseMLP)]
    hooks = [router.register_forward_hook(lambda module, given, output: found.append(output)) for router in routers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def balance_loss(logits: Sequence[Tensor], chosen: int, mask: Tensor | None = None) -> Tensor:
    """How unevenly experts are used: share of tokens × mean probability, summed (Fedus et al. 2021, equation 4).

    `logits` (tokens, experts) of each block; padding, 0 in `mask` (batch, sequence), does not count. With even use the
    value is `chosen`.
    """
    real = logits[0].new_ones(len(logits[0])) if mask is None else mask.flatten().to(logits[0].dtype)
    count = logits[0].shape[-1]
    used, probability = logits[0].new_zeros(count), logits[0].new_zeros(count)
    for one in logits:
        probabilities = one.softmax(-1)
        best = probabilities.topk(chosen, dim=-1).indices
        used = used.scatter_add(0, best.flatten(), real.repeat_interleave(chosen))
        probability = probability + (probabilities * real[:, None]).sum(0)
    tokens = real.sum() * len(logits)
    return count * (used / tokens * (probability / tokens)).sum()
