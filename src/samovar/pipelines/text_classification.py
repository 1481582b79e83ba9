"""`text-classification`: labels for whole texts, or for pairs of texts."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from samovar.pipelines.inputs import text_and_pair
from samovar.pipelines.packing import Item, Limits
from samovar.pipelines.scores import best, checked_function, checked_top_k, function_for, labelled
from samovar.pipelines.text import TextPipeline
from samovar.tasks.heads import LastTokenClassifier

UNSET = ""  # `top_k=None` means all labels, so not given must be something else.


class TextClassificationPipeline(TextPipeline):
    """Text → `[{"label": …, "score": …}]`, or a list of them in a call on a list.

    Inputs: a str, `{"text": …, "text_pair": …}`, or a list of those and of pairs. `top_k` asks for the best labels of
    each text, None for all of them, best first. `function_to_apply` is `"softmax"`, `"sigmoid"` or `"none"`; by default
    the configuration decides (several labels: softmax; one, or multi-label: sigmoid; regression: none).
    """

    model_tasks = ("sequence-classification",)

    def _sanitize_parameters(
        self, top_k: Any = UNSET, function_to_apply: Any = None, return_all_scores: bool | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        after: dict[str, Any] = {}
        if return_all_scores is not None and top_k == UNSET:
            top_k = None if return_all_scores else UNSET
        if top_k != UNSET:
            after["top_k"] = checked_top_k(top_k)
        if function_to_apply is not None:
            after["function"] = checked_function(function_to_apply)
        return self.tokenizer_options(kwargs, ("top_k", "function_to_apply")), {}, after

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """See the class; a lone str gives a list even of one label."""
        result = super().__call__(inputs, **kwargs)
        return [result] if isinstance(inputs, str) and "top_k" not in kwargs else result

    def limits(self, batch_size: int | None) -> Limits:
        """One row at a time where the model cannot tell padding from text."""
        head = getattr(self.model, "head", None)
        alone = isinstance(head, LastTokenClassifier) and self.config.pad_token_id is None
        return super().limits(1 if alone else batch_size)

    def prepare_many(self, inputs: list[Any], **options: Any) -> list[list[Item]]:
        """Tokenized, texts and pairs each in one call."""
        given = [text_and_pair(value) for value in inputs]
        items: list[list[Item]] = [[]] * len(given)
        for paired in (False, True):
            chosen = [i for i, (_, pair) in enumerate(given) if (pair is not None) == paired]
            if chosen:
                pairs = [given[i][1] for i in chosen] if paired else None
                rows = self.encode([given[i][0] for i in chosen], pairs, **options)
                for i, row in zip(chosen, rows, strict=True):
                    items[i] = [self.row_item(row)]
        return items

    def reduce(
        self, outputs: Any, items: list[Item], top_k: Any = UNSET, function: str | None = None, **after: Any
    ) -> tuple[Tensor, Tensor]:
        """Only the best scores and labels leave the device."""
        return best(outputs.logits, function or function_for(self.config), 1 if top_k == UNSET else top_k)

    def unpack(self, reduced: Any, items: list[Item], **after: Any) -> list[Any]:
        """Labels by name."""
        return labelled(reduced, self.config)

    def finish(self, items: list[Item], values: list[Any], top_k: Any = UNSET, **after: Any) -> Any:
        """A list when `top_k` was given, the best label alone otherwise."""
        return values[0][0] if top_k == UNSET else values[0]
