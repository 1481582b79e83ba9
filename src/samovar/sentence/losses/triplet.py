"""The loss for an anchor, a positive and a negative text."""

from __future__ import annotations

from enum import Enum
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from samovar.sentence.losses.base import Distance, Loss, named
from samovar.sentence.similarity import pairwise_cos_sim, pairwise_euclidean_sim, pairwise_manhattan_sim


class TripletDistanceMetric(Enum):
    """Distances for `TripletLoss`: (n, dim), (n, dim) → (n,)."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        if self is TripletDistanceMetric.COSINE:
            return 1 - pairwise_cos_sim(a, b)
        return -(pairwise_euclidean_sim if self is TripletDistanceMetric.EUCLIDEAN else pairwise_manhattan_sim)(a, b)


class TripletLoss(Loss):
    """max(d(anchor, positive) − d(anchor, negative) + margin, 0), averaged over the batch.

    Three texts, no labels (Schroff, Kalenichenko & Philbin, FaceNet, arXiv:1503.03832, equation 3, with the plain
    distance in place of its square). `triplet_margin` is in the units of the distance: for embeddings of length 1
    choose less than 2.
    """

    columns = (3, 3)
    roles = "an anchor, a positive and a negative text"

    def __init__(
        self,
        model: nn.Module,
        distance_metric: Distance = TripletDistanceMetric.EUCLIDEAN,
        triplet_margin: float = 5,
    ) -> None:
        super().__init__(model)
        self.distance_metric, self.triplet_margin = distance_metric, triplet_margin

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """(batch, dim) three times → scalar; labels are not read."""
        anchor, positive, negative = embeddings
        near, far = self.distance_metric(anchor, positive), self.distance_metric(anchor, negative)
        return F.relu(near - far + self.triplet_margin).mean()

    def get_config_dict(self) -> dict[str, Any]:
        """Distance and margin."""
        return {"distance_metric": named(self.distance_metric), "triplet_margin": self.triplet_margin}
