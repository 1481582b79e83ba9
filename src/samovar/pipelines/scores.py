"""From logits to labels with scores, for texts and images alike."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from samovar.config import Config
from samovar.errors import InputError, NumericError, did_you_mean

FUNCTIONS = ("softmax", "sigmoid", "none")


def checked_function(name: Any) -> str:
    """The name in lower case, if there is such a function; raises `InputError`."""
    chosen = str(getattr(name, "value", name)).lower()
    if chosen not in FUNCTIONS:
        hint = did_you_mean(chosen, FUNCTIONS)
        raise InputError(f"Unknown function_to_apply {name!r}.", hint or f"Known: {', '.join(FUNCTIONS)}.")
    return chosen


def function_for(config: Config) -> str:
    """What a classifier's logits mean: scores that sum to 1, independent ones, or plain numbers (regression)."""
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def scores_of(logits: Tensor, function: str) -> Tensor:
    """Logits (…, labels) → scores of the same shape in float32; NaN in rows whose logits are not finite."""
    logits = logits.float()
    finite = logits.isfinite().all(-1, keepdim=True)
    scores = logits.softmax(-1) if function == "softmax" else logits.sigmoid() if function == "sigmoid" else logits
    return scores.where(finite, math.nan)


def best(logits: Tensor, function: str, count: int | None) -> tuple[Tensor, Tensor]:
    """The highest scores of each row and their labels, (batch, count) each; `count` None: all."""
    scores = scores_of(logits, function)
    labels = scores.shape[-1]
    return tuple(scores.topk(labels if count is None else min(count, labels), dim=-1))  # type: ignore[return-value]


def labelled(best_scores: tuple[Tensor, Tensor], config: Config) -> list[list[dict[str, Any]]]:
    """`best` as plain Python, one list per row, best first. Raises `NumericError` for logits that are not finite."""
    rows = []
    for scores, labels in zip(best_scores[0].tolist(), best_scores[1].tolist(), strict=True):
        if not all(map(math.isfinite, scores)):
            raise not_finite("logits")
        rows.append([{"label": config.id2label[i], "score": s} for i, s in zip(labels, scores, strict=True)])
    return rows


def not_finite(what: str) -> NumericError:
    """The error for an output with NaN or infinite numbers."""
    return NumericError(
        f"The model's {what} are not finite.",
        "Half precision often overflows: load with dtype='float32' (or 'bfloat16'). Otherwise the weights themselves "
        "hold NaN: check the checkpoint.",
    )


def checked_top_k(top_k: Any) -> int | None:
    """`top_k`, if it is None or a positive integer; raises `InputError`."""
    if top_k is None or (isinstance(top_k, int) and top_k >= 1):
        return top_k
    raise InputError(f"top_k must be a positive int or None, got {top_k!r}.", "None gives all labels.")
