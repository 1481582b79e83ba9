"""Losses for two texts and a label."""

from __future__ import annotations

from enum import Enum
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import InputError
from samovar.sentence.losses.base import Distance, Loss, named

# Labels are often float32 numbers that were divided: 1.0000001 is meant as 1.
ROUNDING = 1e-3


class CosineSimilarityLoss(Loss):
    """`loss_fct(cos_score_transformation(cos(u, v)), label)`: by default (cos(u, v) − label)², averaged.

    Two texts and their similarity, in −1 … 1 (Reimers & Gurevych, Sentence-BERT, arXiv:1908.10084, section 3). Labels
    that no cosine can reach raise `InputError`, unless a `cos_score_transformation` takes cosines there.
    """

    roles = "two texts and their similarity as label"

    def __init__(
        self,
        model: nn.Module,
        loss_fct: nn.Module | None = None,
        cos_score_transformation: nn.Module | None = None,
    ) -> None:
        super().__init__(model)
        self.loss_fct = nn.MSELoss() if loss_fct is None else loss_fct
        self.cos_score_transformation = nn.Identity() if cos_score_transformation is None else cos_score_transformation

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        """(batch, dim) twice and (batch,) → scalar."""
        wanted = self.checked_labels(embeddings, labels)
        if isinstance(self.cos_score_transformation, nn.Identity) and bool((wanted.abs() > 1 + ROUNDING).any()):
            raise InputError(
                f"A label is {wanted[wanted.abs().argmax()].item():g}; a cosine lies in -1 … 1.",
                "Divide the labels by their largest value, or pass a cos_score_transformation.",
            )
        cosines = self.cos_score_transformation(torch.cosine_similarity(embeddings[0], embeddings[1]))
        loss: Tensor = self.loss_fct(cosines, wanted.to(cosines.dtype))
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """The two functions."""
        return {
            "loss_fct": type(self.loss_fct).__name__,
            "cos_score_transformation": type(self.cos_score_transformation).__name__,
        }


class SiameseDistanceMetric(Enum):
    """Distances for `ContrastiveLoss`: (n, dim), (n, dim) → (n,)."""

    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
    COSINE_DISTANCE = "cosine_distance"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        if self is SiameseDistanceMetric.COSINE_DISTANCE:
            return 1 - torch.cosine_similarity(a, b)
        return F.pairwise_distance(a, b, p=2 if self is SiameseDistanceMetric.EUCLIDEAN else 1)


class ContrastiveLoss(Loss):
    """½ (y d² + (1 − y) max(margin − d, 0)²): alike texts together, others at least `margin` apart.

    Two texts and y: 1 for alike, 0 for not (Hadsell, Chopra & LeCun, CVPR 2006, equation 4); what lies between mixes
    both terms, what lies outside raises `InputError`. The mean over the batch, or its sum without `size_average`.
    """

    roles = "two texts and a label, 1 for alike and 0 for not"

    def __init__(
        self,
        model: nn.Module,
        distance_metric: Distance = SiameseDistanceMetric.COSINE_DISTANCE,
        margin: float = 0.5,
        size_average: bool = True,
    ) -> None:
        super().__init__(model)
        self.distance_metric, self.margin, self.size_average = distance_metric, margin, size_average

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        """(batch, dim) twice and (batch,) → scalar."""
        alike = self.checked_labels(embeddings, labels)
        if bool(((alike < -ROUNDING) | (alike > 1 + ROUNDING)).any()):
            raise InputError(
                f"ContrastiveLoss takes labels in 0 … 1, got {alike.min().item():g} … {alike.max().item():g}.",
                "1 says that two texts are alike, 0 that they are not.",
            )
        distances = self.distance_metric(embeddings[0], embeddings[1])
        losses = 0.5 * (alike * distances**2 + (1 - alike) * F.relu(self.margin - distances) ** 2)
        return losses.mean() if self.size_average else losses.sum()

    def get_config_dict(self) -> dict[str, Any]:
        """Distance, margin, and whether it is a mean."""
        return {
            "distance_metric": named(self.distance_metric),
            "margin": self.margin,
            "size_average": self.size_average,
        }
