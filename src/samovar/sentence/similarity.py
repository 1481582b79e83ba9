"""How alike two embeddings are; larger is always more alike."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError, did_you_mean

Score = Callable[[Any, Any], Tensor]


def as_matrix(values: Any, name: str = "embeddings") -> Tensor:
    """Floating-point numbers (rows, dim) from a tensor, an array or a list of either; one row from a vector."""
    if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
        values = torch.stack(list(values))
    if not isinstance(values, Tensor):
        try:
            values = torch.from_numpy(np.ascontiguousarray(values))
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} are no numbers: {error}.", "Give a tensor or an array (rows, dim).") from error
    values = values if values.is_floating_point() else values.float()
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise InputError(f"{name} have shape {tuple(values.shape)}.", "Give (rows, dim), or (dim,) for one.")
    return values


def two(a: Any, b: Any, paired: bool = False) -> tuple[Tensor, Tensor]:
    """Both as matrices of one width. Raises `InputError` where they cannot be compared."""
    first, second = as_matrix(a), as_matrix(b)
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"Embeddings of {first.shape[1]} and of {second.shape[1]} numbers cannot be compared.",
            "Encode both with one model and one truncate_dim.",
        )
    if paired and len(first) != len(second):
        raise InputError(f"{len(first)} rows cannot be paired with {len(second)}.", "Give as many of either.")
    return first, second.to(device=first.device, dtype=first.dtype)


def cos_sim(a: Any, b: Any) -> Tensor:
    """Cosine of the angle: (n, dim), (m, dim) → (n, m), in -1 … 1."""
    first, second = two(a, b)
    return F.normalize(first, dim=1) @ F.normalize(second, dim=1).mT


def dot_score(a: Any, b: Any) -> Tensor:
    """Dot product: (n, dim), (m, dim) → (n, m)."""
    first, second = two(a, b)
    return first @ second.mT


def euclidean_sim(a: Any, b: Any) -> Tensor:
    """Minus the straight distance: (n, dim), (m, dim) → (n, m)."""
    return -torch.cdist(*two(a, b), p=2.0)


def manhattan_sim(a: Any, b: Any) -> Tensor:
    """Minus the sum of absolute differences: (n, dim), (m, dim) → (n, m)."""
    return -torch.cdist(*two(a, b), p=1.0)


def pairwise_cos_sim(a: Any, b: Any) -> Tensor:
    """Row by row: (n, dim), (n, dim) → (n,)."""
    first, second = two(a, b, paired=True)
    return (F.normalize(first, dim=1) * F.normalize(second, dim=1)).sum(1)


def pairwise_dot_score(a: Any, b: Any) -> Tensor:
    """Row by row: (n, dim), (n, dim) → (n,)."""
    first, second = two(a, b, paired=True)
    return (first * second).sum(1)


def pairwise_euclidean_sim(a: Any, b: Any) -> Tensor:
    """Row by row: (n, dim), (n, dim) → (n,)."""
    first, second = two(a, b, paired=True)
    return -(first - second).norm(dim=1)


def pairwise_manhattan_sim(a: Any, b: Any) -> Tensor:
    """Row by row: (n, dim), (n, dim) → (n,)."""
    first, second = two(a, b, paired=True)
    return -(first - second).abs().sum(1)


class SimilarityFunction(StrEnum):
    """The names that `config_sentence_transformers.json` uses."""

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    @staticmethod
    def possible_values() -> list[str]:
        """All names."""
        return [kind.value for kind in SimilarityFunction]

    @staticmethod
    def to_similarity_fn(name: str) -> Score:
        """The function over all pairs. Raises `InputError`."""
        return SCORES[similarity_named(name)][0]

    @staticmethod
    def to_similarity_pairwise_fn(name: str) -> Score:
        """The function over rows. Raises `InputError`."""
        return SCORES[similarity_named(name)][1]


SCORES: dict[SimilarityFunction, tuple[Score, Score]] = {
    SimilarityFunction.COSINE: (cos_sim, pairwise_cos_sim),
    SimilarityFunction.DOT_PRODUCT: (dot_score, pairwise_dot_score),
    SimilarityFunction.EUCLIDEAN: (euclidean_sim, pairwise_euclidean_sim),
    SimilarityFunction.MANHATTAN: (manhattan_sim, pairwise_manhattan_sim),
}


def similarity_named(name: str) -> SimilarityFunction:
    """The similarity of this name. Raises `InputError`."""
    names = SimilarityFunction.possible_values()
    if name not in names:
        hint = did_you_mean(str(name), names)
        raise InputError(f"There is no similarity {name!r}.", f"{hint} All: {', '.join(names)}.".strip())
    return SimilarityFunction(name)
