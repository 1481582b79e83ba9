"""`image-classification`: labels for images."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.pipelines.image import ImagePipeline
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import best, checked_function, checked_top_k, function_for, labelled


class ImageClassificationPipeline(ImagePipeline):
    """Image → `[{"label": …, "score": …}, …]`, the best `top_k` (5) labels, best first.

    An image is a path, URL, PIL image, NumPy array or torch tensor; `timeout` is for URLs, in seconds.
    `function_to_apply` as for text-classification.
    """

    model_tasks = ("image-classification",)

    def _sanitize_parameters(
        self, top_k: Any = None, function_to_apply: Any = None, timeout: float | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        self.refuse(kwargs, ("top_k", "function_to_apply", "timeout"))
        after: dict[str, Any] = {} if top_k is None else {"top_k": checked_top_k(top_k)}
        if function_to_apply is not None:
            after["function"] = checked_function(function_to_apply)
        return {} if timeout is None else {"timeout": timeout}, {}, after

    def __call__(self, inputs: Any = None, *, images: Any = None, **kwargs: Any) -> Any:
        """See the class; `images` is an older name of the argument."""
        return super().__call__(inputs if images is None else images, **kwargs)

    def reduce(
        self, outputs: Any, items: list[Item], top_k: int = 5, function: str | None = None, **after: Any
    ) -> tuple[Tensor, Tensor]:
        """Only the best scores and labels leave the device."""
        return best(outputs.logits, function or function_for(self.config), top_k)

    def unpack(self, reduced: Any, items: list[Item], **after: Any) -> list[Any]:
        """Labels by name."""
        return labelled(reduced, self.config)

    def finish(self, items: list[Item], values: list[Any], **after: Any) -> Any:
        """One image, one row."""
        return values[0]
