"""What all losses share: columns become embeddings, and mistakes in them are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from samovar.errors import InputError
from samovar.sentence.module import Features

Distance = Callable[[Tensor, Tensor], Tensor]


class Loss(nn.Module):
    """Base of all losses: embeds the columns; a subclass gives `compute_loss_from_embeddings`.

    Called with `sentence_features`, one dictionary of tensors per column, and `labels` (batch,) or None; gives a
    scalar. Raises `InputError` for a number of columns that the loss has no use for, for columns of unequal length,
    and where labels are needed but missing.
    """

    # Fewest and most columns; None for any number more.
    columns: ClassVar[tuple[int, int | None]] = (2, 2)
    roles: ClassVar[str] = "two texts"

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of one batch."""
        return self.compute_loss_from_embeddings(self.embeddings(sentence_features), labels)

    def embeddings(self, sentence_features: Iterable[Features]) -> list[Tensor]:
        """Each column → (batch, dim)."""
        features = list(sentence_features)
        self.check_columns(len(features))
        embeddings = [self.embed(column) for column in features]
        if len({len(one) for one in embeddings}) > 1:
            raise InputError(
                f"The columns have {', '.join(str(len(one)) for one in embeddings)} texts.",
                "Each example needs a text in every column.",
            )
        return embeddings

    def embed(self, features: Features) -> Tensor:
        """One column → (batch, dim). The dictionary is copied, because modules write into theirs."""
        embedding: Tensor = self.model(dict(features))["sentence_embedding"]
        return embedding

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        """Embeddings (batch, dim) of each column → scalar."""
        raise NotImplementedError

    def check_columns(self, count: int) -> None:
        """Raise `InputError` unless the loss takes as many."""
        least, most = self.columns
        if count < least or (most is not None and count > most):
            raise InputError(
                f"{type(self).__name__} takes {least if most == least else f'{least} or more'} texts per example, "
                f"got {count}.",
                f"Give each InputExample {self.roles}.",
            )

    def checked_labels(self, embeddings: list[Tensor], labels: Tensor | None) -> Tensor:
        """Labels (batch,) beside the embeddings, in float32 or better. Raises `InputError`."""
        rows, name = len(embeddings[0]), type(self).__name__
        if labels is None:
            raise InputError(f"{name} needs labels, got none.", "Give each InputExample a label=….")
        labels = torch.as_tensor(labels)
        if labels.numel() != rows:
            raise InputError(
                f"{name} needs a label for each of {rows} examples, got shape {tuple(labels.shape)}.",
                "Give one number per example.",
            )
        return labels.reshape(-1).to(embeddings[0].device, torch.promote_types(embeddings[0].dtype, torch.float32))

    def get_config_dict(self) -> dict[str, Any]:
        """The settings, for a model card."""
        return {}


def named(function: Any) -> str:
    """A function or an enumeration's member, as text."""
    return str(function) if isinstance(function, Enum) else getattr(function, "__name__", type(function).__name__)
