"""`text2text-generation` and `summarization`: a text for a text, by an encoder–decoder."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from torch import Tensor

from samovar.pipelines.generation import GenerationPipeline, Plan, return_kind
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.text import TOKENIZER_OPTIONS

logger = logging.getLogger(__name__)

ENCODING = ("truncation", "padding", "add_special_tokens", "tokenizer_kwargs")


class Text2TextGenerationPipeline(GenerationPipeline):
    """Text → `[{"generated_text": …}]`; a list in is a list of such entries, or of lists with several answers each.

    With `return_tensors=True` the entries hold ids, `generated_token_ids`. A prefix that the checkpoint has for this
    task (`task_specific_params`, or `prefix`) is put before each text. A text that is longer than the encoder's
    positions is cut with one warning; `truncation=False` makes that an `InputError`. Encoders with relative positions
    read any length; there, `truncation=True` cuts at the tokenizer's `model_max_length`.
    """

    model_tasks = ("seq2seq-lm",)
    answer: ClassVar[str] = "generated"
    first_token = 1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reads = self.limit
        if not self.ends_hard:
            self.limit = None

    def _sanitize_parameters(
        self,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        skip_special_tokens: bool | None = None,
        stop_sequence: str | list[str] | None = None,
        prefix: str | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        chosen = {name: kwargs.pop(name) for name in ENCODING if kwargs.get(name) is not None}
        before: dict[str, Any] = {"encode": chosen.pop("tokenizer_kwargs", {}) | chosen} if chosen else {}
        if prefix is not None:
            before["prefix"] = prefix
        after = {
            "kind": return_kind(return_tensors, return_text),
            "clean": clean_up_tokenization_spaces,
            "skip_special_tokens": skip_special_tokens,
        }
        if stop_sequence is not None:
            kwargs["stop_strings"] = [stop_sequence] if isinstance(stop_sequence, str) else list(stop_sequence)
        known = (*TOKENIZER_OPTIONS, "return_tensors", "clean_up_tokenization_spaces", "stop_sequence", "stream")
        during = self.generate_options(kwargs, known)
        return before, during, {name: value for name, value in after.items() if value is not None}

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:
        """See the class."""
        result = super().__call__(inputs, **kwargs)
        if isinstance(result, list) and isinstance(inputs, list | tuple) and all(len(row) == 1 for row in result):
            return [row[0] for row in result]
        return result

    def adjusted(self, before: dict[str, Any], during: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The prefix of this task, where none was given."""
        return {"prefix": self.task_prefix(self.task)} | before, during

    def task_prefix(self, name: str) -> str:
        """What the checkpoint was trained to see before a text."""
        special = (getattr(self.config, "task_specific_params", None) or {}).get(name) or {}
        return special.get("prefix") or getattr(self.config, "prefix", None) or ""

    def prepare_many(  # type: ignore[override]
        self, inputs: list[Any], plan: Plan, prefix: str = "", encode: dict[str, Any] | None = None, **more: Any
    ) -> list[list[Item]]:
        """Tokenized in one call."""
        options = dict(encode or {})
        if options.get("truncation") and self.limit is None:
            options.setdefault("max_length", self.reads)
        texts = [prefix + check_text(value) for value in inputs]
        rows = self.encode(texts, **options)
        for row in rows:
            self.check_lengths(len(row["input_ids"]), plan)
        return [[self.text_item(row["input_ids"], plan, None, None)] for row in rows]

    def check_lengths(self, length: int, plan: Plan) -> None:
        """Say what looks like a mistake, in a text of so many tokens."""

    def reduce(self, outputs: Tensor, items: list[Item], **after: Any) -> Tensor:
        """All that the decoder wrote."""
        return outputs

    def finish(  # type: ignore[override]
        self,
        items: list[Item],
        values: list[Any],
        plan: Plan,
        kind: str = "new",
        clean: bool | None = None,
        skip_special_tokens: bool = True,
    ) -> Any:
        """One entry per answer."""
        if kind == "tensors":
            return [{f"{self.answer}_token_ids": ids} for ids in values[0]]
        return [{f"{self.answer}_text": self.tokenizer.decode(ids, skip_special_tokens, clean)} for ids in values[0]]

    def warn_once(self, plan: Plan, kind: str, message: str, *values: Any) -> None:
        """A warning, once per call."""
        if kind not in plan.warned:
            plan.warned.add(kind)
            logger.warning(message, *values)


class SummarizationPipeline(Text2TextGenerationPipeline):
    """Text → `[{"summary_text": …}]`, or `summary_token_ids` with `return_tensors=True`.

    A `max_length` that the text does not even have is told of, once per call; a `min_length` above `max_length` is a
    `ConfigError`. Otherwise as text2text-generation.
    """

    answer = "summary"

    def check_lengths(self, length: int, plan: Plan) -> None:
        """A summary should be shorter than its text."""
        longest = plan.total if plan.total is not None else plan.new_tokens
        if longest is not None and length < longest:
            self.warn_once(
                plan,
                "short",
                "A text has %d tokens, and its summary may have %d. A summary is shorter than its text: pass a lower "
                "max_length, such as %d.",
                length,
                longest,
                max(length // 2, 1),
            )
