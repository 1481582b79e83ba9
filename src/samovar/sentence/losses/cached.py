"""The ranking loss over batches that do not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from samovar.errors import InputError
from samovar.sentence.losses.ranking import MultipleNegativesRankingLoss
from samovar.sentence.module import Features
from samovar.sentence.similarity import Score, cos_sim

# Scores that are held at a time: 2²⁴ floats are 64 MB.
SCORES_AT_ONCE = 1 << 24


class CachedMultipleNegativesRankingLoss(MultipleNegativesRankingLoss):
    """`MultipleNegativesRankingLoss` in the memory of `mini_batch_size` texts, however large the batch.

    The same value and gradients for one more forward pass, after Gao et al., arXiv:2101.06983: texts are embedded
    mini-batch by mini-batch and only the embeddings kept; in the backward pass, when the gradient of an embedding is
    known, its mini-batch runs again, from the random state that it had (dropout draws what it drew), and is
    differentiated. Scores are computed a band of anchors at a time in the same way. Because all of it takes place
    inside one backward pass, gradient scaling, accumulation and distributed training need nothing of their own.
    """

    def __init__(
        self,
        model: nn.Module,
        scale: float = 20.0,
        similarity_fct: Score = cos_sim,
        mini_batch_size: int = 32,
    ) -> None:
        super().__init__(model, scale, similarity_fct)
        if mini_batch_size < 1:
            raise InputError(f"mini_batch_size must be above 0, got {mini_batch_size}.", "Leave it out for 32.")
        self.mini_batch_size = mini_batch_size

    def embed(self, features: Features) -> Tensor:
        """One column → (batch, dim), a mini-batch of texts of like length at a time."""
        order, parts = mini_batches(features, self.mini_batch_size)
        embed = super().embed
        embedded = [checkpoint(embed, part, use_reentrant=False) for part in parts]
        return torch.cat(embedded)[order.argsort()] if order is not None else torch.cat(embedded)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """(batch, dim) per column → scalar; labels are not read."""
        anchors, candidates = embeddings[0], torch.cat(embeddings[1:])
        rows = max(SCORES_AT_ONCE // len(candidates), 1)
        bands = [
            checkpoint(self.cost, band, candidates, index * rows, use_reentrant=False)
            for index, band in enumerate(anchors.split(rows))
        ]
        return torch.stack(bands).sum() / len(anchors)

    def get_config_dict(self) -> dict[str, Any]:
        """Scale, similarity and size."""
        return {**super().get_config_dict(), "mini_batch_size": self.mini_batch_size}


def mini_batches(features: Features, size: int) -> tuple[Tensor | None, Iterator[Features]]:
    """The order of the rows by length, and features of `size` rows each in that order, without shared padding.

    Features that have no batch axis, such as those of `StaticEmbedding`, come as one part (and None): looking rows
    of a table up needs no memory worth saving.
    """
    mask = features.get("attention_mask")
    if mask is None or mask.ndim != 2 or "offsets" in features:
        return None, iter([features])
    order = mask.sum(1).argsort(stable=True)
    return order, (rows_of(features, mask, places) for places in order.split(size))


def rows_of(features: Features, mask: Tensor, places: Tensor) -> Features:
    """Some rows, cut behind the last token of the longest; padding in front stays, positions count from there."""
    width = int(mask[places].any(0).nonzero().amax()) + 1 if bool(mask[places].any()) else mask.shape[1]
    part = dict(features)
    for name, value in features.items():
        if isinstance(value, Tensor) and value.shape[:1] == mask.shape[:1]:
            part[name] = value[places]
            if value.shape[:2] == mask.shape:
                part[name] = part[name][:, :width]
    return part
