"""`multiple-choice`: which of several answers fits a question, a context or both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from samovar.errors import InputError, InputTypeError, did_you_mean
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import checked_top_k, not_finite
from samovar.pipelines.text import TextPipeline

KEYS = ("question", "context", "choices")


class MultipleChoicePipeline(TextPipeline):
    """`question`, `context` or both, and `choices` → `[{"choice", "index", "score"}, …]`, best first.

    Called as `choose(question=…, choices=[…])`, or on a dict, a list or a stream of them. `index` is the place in
    `choices`; scores sum to 1; `top_k` keeps the best. The model reads one pair per choice, as in the data of SWAG
    and RACE: the context, then the question with the choice; with only one of them, that and the choice. A first text
    that is too long is cut. Choices of all questions go through the batching engine together.
    """

    model_tasks = ("multiple-choice",)

    def _sanitize_parameters(
        self, top_k: Any = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        after = {} if top_k is None else {"top_k": checked_top_k(top_k)}
        return self.tokenizer_options(kwargs, ("top_k", *KEYS)), {}, after

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """See the class."""
        named = {key: kwargs.pop(key) for key in KEYS if key in kwargs}
        return super().__call__(named if inputs is None else inputs, **kwargs)

    def prepare_many(self, inputs: list[Any], **options: Any) -> list[list[Item]]:
        """A row per choice; all of a chunk are tokenized in one call."""
        asked = [pairs_of(value) for value in inputs]
        pairs = [pair for _, rows in asked for pair in rows]
        encoded = self.encode(
            [first for first, _ in pairs], [second for _, second in pairs], **{"truncation": "only_first", **options}
        )
        rows = iter(encoded)
        return [[self.row_item(next(rows), extra=choices) for _ in choices] for choices, _ in asked]

    def _forward(self, model_inputs: dict[str, Any], **parameters: Any) -> Any:
        """Each row as a question with one choice: what a choice scores does not depend on the others."""
        return self.model(**{name: value[:, None] for name, value in model_inputs.items()})

    def reduce(self, outputs: Any, items: list[Item], **after: Any) -> Tensor:
        """(batch,)."""
        return outputs.logits[:, 0].float()

    def unpack(self, reduced: Tensor, items: list[Item], **after: Any) -> list[Any]:
        """A number per row."""
        values = reduced.tolist()
        if not all(map(math.isfinite, values)):
            raise not_finite("logits")
        return values

    def finish(self, items: list[Item], values: list[Any], top_k: int | None = None, **after: Any) -> Any:
        """One question's choices."""
        logits = np.asarray(values, dtype=np.float64)
        weights = np.exp(logits - logits.max())
        order = np.argsort(-logits, kind="stable")[:top_k]
        scores = weights / weights.sum()
        return [{"choice": items[0].extra[i], "index": int(i), "score": float(scores[i])} for i in order]


def pairs_of(value: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """The choices, and what the model reads for each; raises `InputTypeError` or `InputError`."""
    if not isinstance(value, dict):
        raise InputTypeError(
            f"A dict with a question and its choices expected, got {type(value).__name__}.",
            "Pass {'question': …, 'choices': […]}.",
        )
    if "choices" not in value or all(value.get(key) is None for key in ("question", "context")):
        wrong = [key for key in value if key not in KEYS]
        hint = did_you_mean(str(wrong[0]), KEYS) if wrong else ""
        raise InputTypeError(
            f"A question or context and choices are needed; the dict has {', '.join(map(repr, value)) or 'no keys'}.",
            hint or "Pass {'question': …, 'choices': […]}, and 'context' where there is one.",
        )
    choices = value["choices"]
    if not isinstance(choices, list | tuple):
        raise InputTypeError(f"choices must be a list, got {type(choices).__name__}.", "Pass ['…', '…'].")
    if not choices:
        raise InputError("choices is empty.", "Give at least one.")
    words = [check_text(choice, "A choice") for choice in choices]
    parts = [check_text(value[key], f"A {key}") for key in ("context", "question") if value.get(key) is not None]
    first, *lead = parts
    return words, [(first, " ".join([*lead, word])) for word in words]
