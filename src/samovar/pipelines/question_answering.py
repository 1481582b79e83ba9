"""`question-answering`: the place in a text that answers a question (Rajpurkar et al. 2016, SQuAD)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError, InputTypeError
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import checked_top_k, not_finite
from samovar.pipelines.text import TextPipeline
from samovar.pipelines.transfer import pad_rows

DEFAULT_LENGTH, DEFAULT_STRIDE = 384, 128


class QuestionAnsweringPipeline(TextPipeline):
    """`question` and `context` → `{"score", "start", "end", "answer"}`, or a list of them with `top_k` above 1.

    Called as `answer(question=…, context=…)` (both may be lists; one context may serve several questions), or on
    `{"question": …, "context": …}`, a SquadExample, a list or a stream of them. `start` and `end` count characters of
    the context.

    `max_seq_len` (384) and `doc_stride` (128) cut a long context into parts that overlap by that many tokens;
    `max_question_len` (64) tokens of the question are read; an answer has at most `max_answer_len` (15) tokens, and
    goes to the ends of its words unless `align_to_words=False`. The score is P(start) · P(end) over the tokens of its
    part of the context; of several spans at one place, or of one in two parts, the best counts.
    `handle_impossible_answer` lets an empty answer win, with the score of the first token (Rajpurkar et al. 2018).
    """

    model_tasks = ("question-answering",)

    def _sanitize_parameters(
        self,
        top_k: Any = None,
        topk: Any = None,
        doc_stride: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        max_answer_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        kwargs.pop("padding", None)
        before = {"doc_stride": doc_stride, "max_seq_len": max_seq_len, "max_question_len": max_question_len}
        after = {
            "top_k": checked_top_k(topk if top_k is None else top_k),
            "longest": max_answer_len,
            "impossible": handle_impossible_answer,
            "whole_words": align_to_words,
        }
        self.refuse(kwargs, ("top_k", *before, "max_answer_len", "handle_impossible_answer", "align_to_words"))
        if max_answer_len is not None and max_answer_len < 1:
            raise InputError(f"max_answer_len must be at least 1, got {max_answer_len}.", "Give the number of tokens.")
        return given(before), {}, given(after)

    def __call__(self, inputs: Any = None, *, question: Any = None, context: Any = None, **kwargs: Any) -> Any:
        """See the class."""
        if inputs is None:
            inputs = paired(question, context)
        return super().__call__(inputs, **kwargs)

    def prepare_many(
        self,
        inputs: list[Any],
        doc_stride: int | None = None,
        max_seq_len: int = DEFAULT_LENGTH,
        max_question_len: int = 64,
        **options: Any,
    ) -> list[list[Item]]:
        """One row per part of a context; all of a chunk are tokenized in one call."""
        asked = [question_and_context(value) for value in inputs]
        questions, contexts = [pair[0] for pair in asked], [pair[1] for pair in asked]
        limit = min(max_seq_len, self.limit or max_seq_len)
        stride = min(DEFAULT_STRIDE, limit // 2) if doc_stride is None else doc_stride
        short = self.tokenizer(
            questions,
            truncation=True,
            max_length=max_question_len,
            add_special_tokens=False,
            return_offsets_mapping=True,
        )["offset_mapping"]
        special = self.tokenizer.num_special_tokens_to_add(pair=True)
        for place in short:
            room = limit - len(place) - special
            if not 0 <= stride < room:
                raise InputError(
                    f"The question has {len(place)} tokens, which leaves {max(room, 0)} of {limit} for the context; "
                    f"doc_stride is {stride}.",
                    "Choose a larger max_seq_len, a smaller max_question_len, or a doc_stride below the room that is "
                    "left.",
                )
        questions = [text[: place[-1][1]] if place else "" for text, place in zip(questions, short, strict=True)]
        encoding = self.tokenizer(
            questions,
            contexts,
            truncation="only_second",
            max_length=limit,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        items: list[list[Item]] = [[] for _ in asked]
        names = [name for name in ("input_ids", "token_type_ids") if name in encoding]
        for number, source in enumerate(encoding["overflow_to_sample_mapping"]):
            row = {name: encoding[name][number] for name in names}
            part = Part(
                contexts[source],
                np.asarray(encoding.sequence_ids(number), dtype=float) == 1,
                np.asarray(encoding["offset_mapping"][number]).reshape(-1, 2),
                np.asarray(encoding.word_ids(number), dtype=float),
            )
            items[source].append(self.row_item(row, extra=part))
        return items

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """The places where answers may stand travel with the batch."""
        inside = pad_rows([item.extra.inside.astype(np.int64) for item in items], 0)
        return {**super().collate(items), "inside": inside.bool()}

    def _forward(self, model_inputs: dict[str, Any], **parameters: Any) -> Any:
        """Both ends' logits (batch, tokens), and where answers may stand."""
        inside = model_inputs.pop("inside")
        out = self.model(**model_inputs)
        return out.start_logits.float(), out.end_logits.float(), inside

    def reduce(
        self, outputs: Any, items: list[Item], top_k: int | None = 1, longest: int = 15, **after: Any
    ) -> tuple[Tensor, ...]:
        """The best spans of each row, on the device: scores and places (batch, count), and that of no answer."""
        starts, ends, inside = outputs
        allowed = inside.clone()
        # The first token stands for "no answer" and shares the probability, also when that may not win.
        allowed[:, 0] = True
        sound = ((starts.isfinite() & ends.isfinite()) | ~allowed).all(-1)
        start, end = (part.masked_fill(~allowed, -math.inf).softmax(-1) for part in (starts, ends))
        nothing = (start[:, 0] * end[:, 0]).where(sound, math.nan)
        start, end = start * inside, end * inside
        width = min(longest, start.shape[1])
        # (batch, first token, how many follow): every span that is not too long, and no other.
        spans = start[:, :, None] * torch.nn.functional.pad(end, (0, width - 1)).unfold(1, width, 1)
        flat = spans.flatten(1)
        # Several spans of tokens may be the same words, so that more than `top_k` may be needed.
        scores, places = flat.max(-1, keepdim=True) if top_k == 1 else flat.sort(dim=-1, descending=True, stable=True)
        return scores, places // width, places // width + places % width, nothing

    def unpack(self, reduced: tuple[Tensor, ...], items: list[Item], **after: Any) -> list[Any]:
        """Each row's spans, best first."""
        if not reduced[3].isfinite().all():
            raise not_finite("logits")
        return list(zip(*(part.numpy() for part in reduced), strict=True))

    def finish(
        self,
        items: list[Item],
        values: list[Any],
        top_k: int | None = 1,
        impossible: bool = False,
        whole_words: bool = True,
        **after: Any,
    ) -> Any:
        """The best answers of all parts of a context."""
        found: dict[tuple[int, int], float] = {}
        for item, (scores, firsts, lasts, _) in zip(items, values, strict=True):
            part: Part = item.extra
            own: dict[tuple[int, int], float] = {}
            for score, first, last in zip(scores.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
                if score <= 0 or (top_k is not None and len(own) >= top_k):
                    break
                own.setdefault(part.place(first, last, whole_words), score)
            for place, score in own.items():
                found[place] = max(found.get(place, 0.0), score)
        context = items[0].extra.context
        answers = [{"score": s, "start": a, "end": b, "answer": context[a:b]} for (a, b), s in found.items()]
        if impossible:
            nothing = min(float(value[3]) for value in values)
            answers.append({"score": nothing, "start": 0, "end": 0, "answer": ""})
        answers.sort(key=lambda answer: -answer["score"])
        return answers[0] if top_k == 1 else answers[:top_k]


@dataclass(slots=True)
class Part:
    """A piece of a context: which tokens are the context's, their places in it (tokens, 2), and their words."""

    context: str
    inside: np.ndarray
    offsets: np.ndarray
    words: np.ndarray

    def place(self, first: int, last: int, whole_words: bool) -> tuple[int, int]:
        """From which character to which a span of tokens goes, to the ends of its words if asked."""
        if whole_words:
            first = self.at_edge(first, -1)
            last = self.at_edge(last, 1)
        return int(self.offsets[first, 0]), int(self.offsets[last, 1])

    def at_edge(self, token: int, step: int) -> int:
        """The first or last token of this one's word inside the part."""
        word = self.words[token]
        while 0 <= token + step < len(self.words) and self.inside[token + step] and self.words[token + step] == word:
            token += step
        return token


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Without what was left out."""
    return {name: value for name, value in options.items() if value is not None}


def paired(question: Any, context: Any) -> Any:
    """The two arguments of a call as one mapping or a list of them; raises `InputTypeError`."""
    if question is None or context is None:
        raise InputTypeError("A question and a context are needed.", "Call it with question=… and context=….")
    if not isinstance(question, list | tuple) and not isinstance(context, list | tuple):
        return {"question": question, "context": context}
    questions = list(question) if isinstance(question, list | tuple) else [question] * len(context)
    contexts = list(context) if isinstance(context, list | tuple) else [context] * len(questions)
    if len(questions) != len(contexts):
        raise InputError(
            f"{len(questions)} questions and {len(contexts)} contexts were given.", "Give as many, or one context."
        )
    return [{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)]


def question_and_context(value: Any) -> tuple[str, str]:
    """Both texts of one input; raises `InputTypeError`, or `InputError` for an empty context."""
    if hasattr(value, "question_text") and hasattr(value, "context_text"):  # a SquadExample
        value = {"question": value.question_text, "context": value.context_text}
    if not isinstance(value, dict) or "question" not in value or "context" not in value:
        held = f"a dict with {', '.join(map(repr, value))}" if isinstance(value, dict) else type(value).__name__
        raise InputTypeError(
            f"A question with its context expected, got {held}.", "Pass {'question': …, 'context': …}."
        )
    question, context = check_text(value["question"], "A question"), check_text(value["context"], "A context")
    if not question.strip():
        raise InputError("The question is empty.", "Ask something.")
    if not context.strip():
        raise InputError("The context is empty, so there is nothing to find an answer in.", "Give a text.")
    return question, context
