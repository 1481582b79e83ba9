"""`zero-shot-classification`: labels that the model was never trained on, by asking whether they follow from a text."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from torch import Tensor

from samovar.errors import InputError, InputTypeError
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item, Limits
from samovar.pipelines.scores import not_finite
from samovar.pipelines.text import TextPipeline
from samovar.tasks.heads import LastTokenClassifier

logger = logging.getLogger(__name__)

TEMPLATE = "This example is {}."


class ZeroShotClassificationPipeline(TextPipeline):
    """Text and `candidate_labels` → `{"sequence", "labels", "scores"}`, best first; a list of texts → a list of them.

    The model was trained to tell whether a hypothesis follows from a text (entailment); each label in
    `hypothesis_template` is one hypothesis (Yin et al. 2019). Labels are a list, or one str with commas. Their scores
    sum to 1, unless `multi_label=True` weighs each label's entailment against its contradiction. All pairs of texts
    and labels go through the batching engine together; a text that is too long is cut, a hypothesis never.
    """

    model_tasks = ("sequence-classification",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.entailment_id == -1:
            logger.warning(
                "None of this model's labels (%s) says 'entailment': the last one stands for it. Set label2id in its "
                "configuration.", ", ".join(self.config.label2id),
            )  # fmt: skip

    @property
    def entailment_id(self) -> int:
        """Which label says that the hypothesis follows; -1, the last, if none is named so."""
        return next((i for name, i in self.config.label2id.items() if name.lower().startswith("entail")), -1)

    def _sanitize_parameters(
        self,
        candidate_labels: Any = None,
        hypothesis_template: str | None = None,
        multi_label: bool | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = ("candidate_labels", "hypothesis_template", "multi_label")
        if kwargs.get("multi_class") is not None:  # its name before
            multi_label = kwargs.pop("multi_class")
        before: dict[str, Any] = {}
        options = self.tokenizer_options(kwargs, known)
        if options:
            before["options"] = options
        if candidate_labels is not None:
            before["labels"] = checked_labels(candidate_labels)
        if hypothesis_template is not None:
            before["template"] = checked_template(hypothesis_template)
        return before, {}, {} if multi_label is None else {"multi_label": bool(multi_label)}

    def __call__(self, inputs: Any = None, candidate_labels: Any = None, **kwargs: Any) -> Any:
        """See the class; `sequences` is another name of the first argument."""
        inputs = kwargs.pop("sequences", inputs)
        if candidate_labels is not None:
            kwargs["candidate_labels"] = candidate_labels
        return super().__call__(inputs, **kwargs)

    def limits(self, batch_size: int | None) -> Limits:
        """One row at a time where the model cannot tell padding from text."""
        head = getattr(self.model, "head", None)
        alone = isinstance(head, LastTokenClassifier) and self.config.pad_token_id is None
        return super().limits(1 if alone else batch_size)

    def prepare_many(  # type: ignore[override]
        self,
        inputs: list[Any],
        labels: tuple[str, ...] = (),
        template: str = TEMPLATE,
        options: dict[str, Any] | None = None,
    ) -> list[list[Item]]:
        """A row per label; all of a chunk are tokenized in one call."""
        if not labels:
            raise InputError("No candidate labels were given.", "Pass candidate_labels=['…', '…'].")
        texts = [check_text(value) for value in inputs]
        hypotheses = [template.format(label) for label in labels]
        pairs = [text for text in texts for _ in labels], hypotheses * len(texts)
        rows = self.encode(*pairs, **{"truncation": "only_first", **(options or {})})
        items = [self.row_item(row, extra=(text, labels)) for row, text in zip(rows, pairs[0], strict=True)]
        return [items[start : start + len(labels)] for start in range(0, len(items), len(labels))]

    def reduce(self, outputs: Any, items: list[Item], **after: Any) -> Tensor:
        """Contradiction and entailment, (batch, 2)."""
        contradiction = -1 if self.entailment_id == 0 else 0
        return outputs.logits[:, [contradiction, self.entailment_id]].float()

    def unpack(self, reduced: Tensor, items: list[Item], **after: Any) -> list[Any]:
        """Each row's two numbers."""
        if not reduced.isfinite().all():
            raise not_finite("logits")
        return reduced.tolist()

    def finish(self, items: list[Item], values: list[Any], multi_label: bool = False, **after: Any) -> Any:
        """The labels of one text, best first."""
        text, labels = items[0].extra
        logits = np.asarray(values, dtype=np.float64)
        if multi_label or len(labels) == 1:
            scores = 1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -700, 700)))
        else:
            weights = np.exp(logits[:, 1] - logits[:, 1].max())
            scores = weights / weights.sum()
        order = np.argsort(-scores, kind="stable")
        return {"sequence": text, "labels": [labels[i] for i in order], "scores": scores[order].tolist()}


def checked_labels(value: Any) -> tuple[str, ...]:
    """Labels out of a str with commas or a list; raises `InputError`."""
    if isinstance(value, str):
        labels = [part.strip() for part in value.split(",")]
        value = [label for label in labels if label]
    if not isinstance(value, list | tuple):
        raise InputTypeError(
            f"candidate_labels must be a list or a str, got {type(value).__name__}.", "Pass ['…', '…'] or 'a, b'."
        )
    if not value:
        raise InputError("candidate_labels is empty.", "Give at least one label.")
    return tuple(check_text(label, "A candidate label") for label in value)


def checked_template(template: Any) -> str:
    """The template, if a label has a place in it; raises `InputError`."""
    text = check_text(template, "A hypothesis_template")
    try:
        first, second = text.format("a"), text.format("b")
    except (IndexError, KeyError, ValueError):
        first = second = ""
    if first == second:
        raise InputError(
            f"The hypothesis_template {text!r} has no place for a label.", "Write {} there, such as 'It is {}.'."
        )
    return text
