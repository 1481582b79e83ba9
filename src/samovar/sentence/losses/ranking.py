"""The loss that takes the rest of the batch as negatives."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import InputError
from samovar.sentence.losses.base import Loss, named
from samovar.sentence.similarity import Score, cos_sim


class MultipleNegativesRankingLoss(Loss):
    """Cross-entropy of picking each anchor's own positive among all positives and negatives of the batch.

    An anchor, its positive and any number of negatives, no labels. With s = `scale` · `similarity_fct`, anchor i costs
    −log(exp s(aᵢ, pᵢ) / Σⱼ exp s(aᵢ, cⱼ)), where c are the positives of the whole batch and then all negatives
    (Henderson et al., arXiv:1705.00652, section 4; van den Oord et al., InfoNCE, arXiv:1807.03748). `scale` is one
    over the temperature. Bigger batches hold more negatives; a text should not stand in one batch twice.
    """

    columns = (2, None)
    roles = "an anchor, a positive and, if there are any, negatives"

    def __init__(self, model: nn.Module, scale: float = 20.0, similarity_fct: Score = cos_sim) -> None:
        super().__init__(model)
        if not scale > 0:
            raise InputError(f"scale must be above 0, got {scale}.", "20 suits cosines, 1 dot products.")
        self.scale, self.similarity_fct = scale, similarity_fct

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """(batch, dim) per column → scalar; labels are not read."""
        return self.cost(embeddings[0], torch.cat(embeddings[1:]), 0) / len(embeddings[0])

    def cost(self, anchors: Tensor, candidates: Tensor, first: int) -> Tensor:
        """Summed costs of the anchors whose positives are the candidates from `first` on."""
        own = torch.arange(first, first + len(anchors), device=anchors.device)
        return F.cross_entropy(self.similarity_fct(anchors, candidates) * self.scale, own, reduction="sum")

    def get_config_dict(self) -> dict[str, Any]:
        """Scale and similarity."""
        return {"scale": self.scale, "similarity_fct": named(self.similarity_fct)}
