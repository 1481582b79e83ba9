"""Another loss on the first features of embeddings, so that they can be shortened later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import InputError, InputTypeError
from samovar.sentence.losses.base import Loss
from samovar.sentence.module import Features


class MatryoshkaLoss(Loss):
    """Another loss on the first d features of the embeddings too, for several d: Σ weight_d · loss(first d).

    Shortened embeddings are scaled to length 1. Texts are embedded once for all sizes, also around
    `CachedMultipleNegativesRankingLoss` (Kusupati et al., Matryoshka Representation Learning, arXiv:2205.13147).
    `matryoshka_weights` are 1 by default; `n_dims_per_step` above 0 draws as many sizes for each batch.
    Raises `InputError` for sizes above the embedding's.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module,
        matryoshka_dims: Sequence[int],
        matryoshka_weights: Sequence[float] | None = None,
        n_dims_per_step: int = -1,
    ) -> None:
        super().__init__(model)
        if not isinstance(loss, Loss):
            raise InputTypeError(
                f"{type(loss).__name__} is no loss that MatryoshkaLoss can work around.",
                "Pass one of samovar.sentence.losses, or a subclass of its Loss.",
            )
        if loss.model is not model:
            raise InputError("The loss inside belongs to another model.", "Build both with the same model.")
        weights = [1.0] * len(matryoshka_dims) if matryoshka_weights is None else list(matryoshka_weights)
        if not matryoshka_dims or len(weights) != len(matryoshka_dims):
            raise InputError(
                f"{len(matryoshka_dims)} sizes and {len(weights)} weights.",
                "Give sizes, and a weight for each or none.",
            )
        if n_dims_per_step == 0 or n_dims_per_step < -1:
            raise InputError(f"n_dims_per_step must be above 0, got {n_dims_per_step}.", "-1 takes all.")
        self.loss, self.n_dims_per_step = loss, n_dims_per_step
        pairs = sorted(zip(matryoshka_dims, weights, strict=True), reverse=True)
        self.matryoshka_dims = tuple(dim for dim, _ in pairs)
        self.matryoshka_weights = tuple(weight for _, weight in pairs)
        self.check_dims(full_size(model))

    def check_dims(self, full: int | None) -> None:
        """Raise `InputError` where a size is not within the embedding's."""
        if self.matryoshka_dims[-1] < 1 or (full is not None and self.matryoshka_dims[0] > full):
            raise InputError(
                f"Sizes {list(self.matryoshka_dims)} for embeddings of {full or 'some'} numbers.",
                f"Choose from 1 to {full or 'as many as there are'}.",
            )

    def embeddings(self, sentence_features: Iterable[Features]) -> list[Tensor]:
        """As the loss inside embeds them."""
        return self.loss.embeddings(sentence_features)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """(batch, dim) per column → the weighted sum."""
        self.check_dims(embeddings[0].shape[1])
        count = len(self.matryoshka_dims)
        chosen = list(range(count))
        if 0 < self.n_dims_per_step < count:
            chosen = sorted(torch.randperm(count)[: self.n_dims_per_step].tolist())
        losses = []
        for index in chosen:
            cut = [F.normalize(one[:, : self.matryoshka_dims[index]], dim=1) for one in embeddings]
            losses.append(self.matryoshka_weights[index] * self.loss.compute_loss_from_embeddings(cut, labels))
        return torch.stack(losses).sum()

    def get_config_dict(self) -> dict[str, Any]:
        """The loss inside, sizes and weights."""
        return {
            "loss": type(self.loss).__name__,
            "matryoshka_dims": self.matryoshka_dims,
            "matryoshka_weights": self.matryoshka_weights,
            "n_dims_per_step": self.n_dims_per_step,
        }


def full_size(model: Any) -> int | None:
    """How many numbers an embedding has before `truncate_dim`; None where the model does not say."""
    if not hasattr(model, "get_sentence_embedding_dimension"):
        return None
    with model.truncate_sentence_embeddings(None):
        size: int | None = model.get_sentence_embedding_dimension()
    return size
