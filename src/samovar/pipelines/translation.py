"""`translation` and `translation_xx_to_yy`: a text in another language."""

from __future__ import annotations

import logging
import threading
from typing import Any

from samovar.errors import InputError
from samovar.pipelines.generation import Plan
from samovar.pipelines.languages import code_named, codes_of, pair_of, target_marks
from samovar.pipelines.packing import Item
from samovar.pipelines.text2text import Text2TextGenerationPipeline

logger = logging.getLogger(__name__)


class TranslationPipeline(Text2TextGenerationPipeline):
    """Text → `[{"translation_text": …}]`, or `translation_token_ids` with `return_tensors=True`.

    The languages come from `src_lang` and `tgt_lang`, or from the task's name, `translation_en_to_fr`. What a model is
    told of them depends on what it was trained with: a token of the language begins its answer (mBART, M2M100, NLLB)
    and marks the text, a mark such as `>>fra<<` stands before the text (Marian), or a sentence of the checkpoint's
    `task_specific_params` does (T5). A model of one pair needs neither, which is said once where they are given.
    An unknown language is an `InputError` that lists those which the model knows. Otherwise as text2text-generation.
    """

    answer = "translation"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lock = threading.Lock()
        self.told = False
        super().__init__(*args, **kwargs)

    def _sanitize_parameters(  # type: ignore[override]
        self, src_lang: str | None = None, tgt_lang: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before, during, after = super()._sanitize_parameters(**kwargs)
        given = {"src_lang": src_lang, "tgt_lang": tgt_lang}
        return before | {name: code for name, code in given.items() if code is not None}, during, after

    def named_task(self, before: dict[str, Any]) -> str:
        """The pair's own name, where the languages come by argument."""
        source, target = pair_of(self.task)
        source, target = before.get("src_lang", source), before.get("tgt_lang", target)
        return self.task if source is None or target is None else f"translation_{source}_to_{target}"

    def adjusted(self, before: dict[str, Any], during: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the model is told of the languages: the text's prefix, and the token that the answer begins with."""
        source, target = pair_of(self.task)
        before, asked = dict(before), "src_lang" in before or "tgt_lang" in before
        source, target = before.pop("src_lang", source), before.pop("tgt_lang", target)
        if codes := codes_of(self.tokenizer):
            if source is not None:
                before["source"] = code_named(source, codes, "src_lang")
            if target is not None:
                during = {"forced_bos_token_id": codes[code_named(target, codes, "tgt_lang")]} | during
        elif marks := target_marks(self.tokenizer):
            if target is not None:
                before.setdefault("prefix", f"{marks[code_named(target, marks, 'tgt_lang')]} ")
        elif "prefix" not in before:
            before["prefix"] = self.sentence(source, target)
            if asked and not self.pairs() and not self.told:
                self.told = True
                logger.warning("This model knows one pair of languages: src_lang and tgt_lang change nothing.")
        return super().adjusted(before, during)

    def pairs(self) -> list[str]:
        """The tasks of the checkpoint that name a pair of languages."""
        special = getattr(self.config, "task_specific_params", None) or {}
        return [name for name in special if pair_of(name) != (None, None)]

    def sentence(self, source: str | None, target: str | None) -> str:
        """The prefix of the checkpoint for this pair; raises `InputError` with the pairs that it has."""
        pairs = self.pairs()
        if source is None or target is None or not pairs:
            return self.task_prefix(self.task)
        name = self.named_task({"src_lang": source, "tgt_lang": target})
        if name not in pairs:
            raise InputError(
                f"This model was not trained to translate from {source!r} to {target!r}.",
                f"It knows: {', '.join(sorted(pairs))}.",
            )
        return self.task_prefix(name)

    def prepare_many(  # type: ignore[override]
        self, inputs: list[Any], plan: Plan, source: str | None = None, **options: Any
    ) -> list[list[Item]]:
        """Tokenized as text of its language."""
        if source is None or not hasattr(self.tokenizer, "src_lang"):
            return super().prepare_many(inputs, plan, **options)
        # The language is state of the tokenizer, so a call holds it until its texts are encoded.
        with self.lock:
            before = self.tokenizer.src_lang
            self.tokenizer.src_lang = source
            try:
                return super().prepare_many(inputs, plan, **options)
            finally:
                if before is not None:
                    self.tokenizer.src_lang = before

    def check_lengths(self, length: int, plan: Plan) -> None:
        """A translation is about as long as its text."""
        longest = plan.total if plan.total is not None else plan.new_tokens
        if longest is not None and length > 0.9 * longest:
            self.warn_once(
                plan,
                "long",
                "A text has %d tokens, and its translation ends at %d: it may be cut off. Pass a higher max_length, or "
                "one sentence at a time.",
                length,
                longest,
            )
