"""`feature-extraction` and `image-feature-extraction`: the backbone's states, for whatever comes after."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samovar.errors import TaskError
from samovar.pipelines.image import ImagePipeline
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import not_finite
from samovar.pipelines.text import TextPipeline


def backbone_of(model: Any) -> Any:
    """The part of a model below its head."""
    return getattr(model, "base_model", model)


def checked(features: Tensor) -> Tensor:
    """`features`, if all numbers are finite; raises `NumericError`."""
    if not features.isfinite().all():
        raise not_finite("features")
    return features


class FeatureExtractionPipeline(TextPipeline):
    """Text → the last hidden state as nested lists [1][tokens][hidden], or with `return_tensors=True` a tensor.

    Of a model with a head, the head is left out. Options of the tokenizer go into `tokenize_kwargs`.
    """

    def checked_model(self, model: Any) -> Any:
        """The backbone."""
        return backbone_of(model)

    def _sanitize_parameters(
        self, return_tensors: bool | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        after = {} if return_tensors is None else {"tensors": bool(return_tensors)}
        return self.tokenizer_options(kwargs, ("return_tensors", "tokenize_kwargs")), {}, after

    def prepare_many(self, inputs: list[Any], **options: Any) -> list[list[Item]]:
        """Tokenized in one call."""
        return [[self.row_item(row)] for row in self.encode([check_text(value) for value in inputs], **options)]

    def reduce(self, outputs: Any, items: list[Item], **after: Any) -> Tensor:
        """(batch, tokens, hidden)."""
        return outputs.last_hidden_state

    def unpack(self, reduced: Tensor, items: list[Item], **after: Any) -> list[Any]:
        """Each text's own tokens, as tensors that do not hold on to the batch."""
        return [checked(row[: item.size].clone()) for row, item in zip(reduced, items, strict=True)]

    def finish(self, items: list[Item], values: list[Any], tensors: bool = False, **after: Any) -> Any:
        """(1, tokens, hidden)."""
        return values[0][None] if tensors else [values[0].tolist()]


class ImageFeatureExtractionPipeline(ImagePipeline):
    """Image → the last hidden state as nested lists with a first dimension of 1, or a tensor (`return_tensors=True`).

    `pool=True` gives the pooled state in its place. `image_processor_kwargs` are settings of the image processor.
    """

    def checked_model(self, model: Any) -> Any:
        """The backbone."""
        return backbone_of(model)

    def _sanitize_parameters(
        self,
        pool: bool | None = None,
        return_tensors: bool | None = None,
        image_processor_kwargs: dict[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        self.refuse(kwargs, ("pool", "return_tensors", "image_processor_kwargs", "timeout"))
        before = dict(image_processor_kwargs or {}) | ({} if timeout is None else {"timeout": timeout})
        after = {"pool": pool, "tensors": return_tensors}
        return before, {}, {name: bool(value) for name, value in after.items() if value is not None}

    def reduce(self, outputs: Any, items: list[Item], pool: bool = False, **after: Any) -> Tensor:
        """(batch, …); raises `TaskError` when a pooled state is asked for and there is none."""
        if not pool:
            return outputs.last_hidden_state
        if outputs.get("pooler_output") is None:
            raise TaskError("This checkpoint has no pooler.", "Leave pool=True out and pool the states yourself.")
        return outputs.pooler_output

    def unpack(self, reduced: Tensor, items: list[Item], **after: Any) -> list[Any]:
        """Each image's own states."""
        return [checked(row) for row in torch.unbind(reduced)]

    def finish(self, items: list[Item], values: list[Any], tensors: bool = False, **after: Any) -> Any:
        """With a first dimension of 1."""
        return values[0][None].clone() if tensors else [values[0].tolist()]
