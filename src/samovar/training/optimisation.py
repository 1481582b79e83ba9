"""Losses that add up exactly over accumulated batches, label smoothing, and the optimiser's groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.training.arguments import TrainingArguments

IGNORED = -100


def targets(batch: Mapping[str, Any], names: list[str], shifted: bool) -> int:
    """How many predictions the loss of a batch is the mean of: labels that are not -100, numbers, or rows.

    `shifted`: a causal model predicts each token from those before it, so that the first label of a row is none.
    """
    found = next((batch[name] for name in names if isinstance(batch.get(name), Tensor)), None)
    if found is None:
        first = next((value for value in batch.values() if isinstance(value, Tensor)), None)
        return 1 if first is None else len(first)
    if found.is_floating_point():
        return found.numel()
    if shifted and found.ndim > 1:
        found = found[:, 1:]
    return int((found != IGNORED).sum())


def is_causal(model: nn.Module) -> bool:
    """Whether the model's own loss shifts its labels."""
    return getattr(getattr(model, "module", model), "task", None) == "causal-lm"


def smoothed_loss(logits: Tensor, labels: Tensor, smoothing: float, shifted: bool) -> Tensor:
    """Cross-entropy against (1 - s) · label + s · uniform (Szegedy et al., arXiv:1512.00567), mean over labels."""
    if shifted:
        logits, labels = logits[..., :-1, :], labels[..., 1:]
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, labels.reshape(-1), ignore_index=IGNORED, label_smoothing=smoothing)


def decayed(model: nn.Module) -> list[str]:
    """Names of the parameters that weight decay pulls towards 0: all but biases and scales of norms."""
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    norms = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, kinds) or type(module).__name__.endswith("Norm")
        for name, _ in module.named_parameters(recurse=False)
    }
    return [name for name, _ in model.named_parameters() if name not in norms and not name.endswith("bias")]


def make_optimiser(model: nn.Module, args: TrainingArguments) -> torch.optim.Optimizer:
    """The optimiser of the arguments, with a group that decays and one that does not."""
    kind, options = args.optimiser()
    names = set(decayed(model))
    trainable = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    groups = [
        {"params": [one for name, one in trainable if name in names], "weight_decay": args.weight_decay},
        {"params": [one for name, one in trainable if name not in names], "weight_decay": 0.0},
    ]
    return kind([group for group in groups if group["params"]], **options)
