"""Losses, one per kind of label; all of them are means over what is labelled, in the logits' type."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.config import Config
from samovar.errors import ConfigError

IGNORED = -100
"""Label that says: this position is not to be learned from."""

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def problem_type(config: Config, labels: Tensor) -> str:
    """What the labels ask for: the configuration's word, else one label → regression, integers → one class each."""
    if config.problem_type is not None:
        if config.problem_type not in PROBLEM_TYPES:
            raise ConfigError(f"Unknown problem_type {config.problem_type!r}.", f"Known: {', '.join(PROBLEM_TYPES)}.")
        return config.problem_type
    if config.num_labels == 1:
        return "regression"
    integers = labels.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    return "single_label_classification" if integers else "multi_label_classification"


def classification_loss(config: Config, logits: Tensor, labels: Tensor) -> Tensor:
    """Squared error, cross-entropy or binary cross-entropy, by `problem_type`; `logits` (batch, labels)."""
    kind = problem_type(config, labels)
    # The configuration remembers the first answer, so that evaluation and saving mean the same as training.
    config.problem_type = kind
    if kind == "regression":
        values = logits.squeeze(-1)
        return F.mse_loss(values, labels.to(values.dtype).reshape(values.shape))
    if kind == "single_label_classification":
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), labels.view(-1).long(), ignore_index=IGNORED)
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of (batch, sequence, classes) against (batch, sequence); -100 is left out."""
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten().long(), ignore_index=IGNORED)


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each position's logits against the following label."""
    return token_loss(logits[:, :-1], labels[:, 1:])


def span_loss(start_logits: Tensor, end_logits: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Mean cross-entropy of both ends; positions beyond the sequence, cut off by truncation, are left out."""
    length = start_logits.shape[1]
    ends = [(start_logits, start), (end_logits, end)]
    losses = [
        F.cross_entropy(logits, position.reshape(-1).clamp(0, length), ignore_index=length) for logits, position in ends
    ]
    return (losses[0] + losses[1]) / 2
