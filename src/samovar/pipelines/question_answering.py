"""`question-answering`: the place in a text that answers a question (Rajpurkar et al. 2016, SQuAD)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from samovar.errors import InputError, InputTypeError
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import checked_top_k, not_finite
from samovar.pipelines.text import TextPipeline

DEFAULT_LENGTH, DEFAULT_STRIDE = 384, 128


class QuestionAnsweringPipeline(TextPipeline):
    """`question` and `context` → `{"score", "start", "end", "answer"}`, or a list of them with `top_k` above 1.

    Called as `answer(question=…, context=…)` (both may be lists; one context may serve several questions), or on
    `{"question": …, "context": …}`, a list or a stream of them. `start` and `end` count characters of the context.

    `max_seq_len` (384) and `doc_stride` (128) cut a long context into parts that overlap by that many tokens;
    `max_question_len` (64) tokens of the question are read; an answer has at most `max_answer_len` (15) tokens. The
    score is P(start) · P(end) over the context's tokens. `handle_impossible_answer` lets an empty answer win, with the
    score of the first token (Rajpurkar et al. 2018).
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
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for unused in ("padding", "align_to_words"):
            kwargs.pop(unused, None)
        before = {"doc_stride": doc_stride, "max_seq_len": max_seq_len, "max_question_len": max_question_len}
        after = {
            "top_k": checked_top_k(topk if top_k is None else top_k),
            "longest": max_answer_len,
            "impossible": handle_impossible_answer,
        }
        self.refuse(kwargs, ("top_k", *before, "max_answer_len", "handle_impossible_answer"))
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
        """One row per part of a context."""
        limit = min(max_seq_len, self.limit or max_seq_len)
        stride = min(DEFAULT_STRIDE, limit // 2) if doc_stride is None else doc_stride
        return [self.parts(*question_and_context(value), limit, stride, max_question_len) for value in inputs]

    def parts(self, question: str, context: str, limit: int, stride: int, question_length: int) -> list[Item]:
        """One pair's rows; raises `InputError` when the question leaves no room for the context."""
        short = self.tokenizer(
            [question],
            truncation=True,
            max_length=question_length,
            add_special_tokens=False,
            return_offsets_mapping=True,
        )["offset_mapping"][0]
        question = question[: short[-1][1]] if short else ""
        room = limit - len(short) - self.tokenizer.num_special_tokens_to_add(pair=True)
        if not 0 <= stride < room:
            raise InputError(
                f"The question has {len(short)} tokens, which leaves {max(room, 0)} of {limit} for the context; "
                f"doc_stride is {stride}.",
                "Choose a larger max_seq_len, a smaller max_question_len, or a doc_stride below the room that is left.",
            )
        encoding = self.tokenizer(
            [question],
            [context],
            truncation="only_second",
            max_length=limit,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        items = []
        for number in range(len(encoding["input_ids"])):
            row = {name: encoding[name][number] for name in encoding.keys()}  # noqa: SIM118
            inside = np.array([part == 1 for part in encoding.sequence_ids(number)], dtype=bool)
            items.append(self.row_item(row, extra=(context, inside, row["offset_mapping"])))
        return items

    def reduce(self, outputs: Any, items: list[Item], **after: Any) -> tuple[Tensor, Tensor]:
        """Both ends' logits (batch, tokens)."""
        return outputs.start_logits.float(), outputs.end_logits.float()

    def unpack(self, reduced: tuple[Tensor, Tensor], items: list[Item], **after: Any) -> list[Any]:
        """Each row's logits, without padding."""
        starts, ends = (part.numpy() for part in reduced)
        rows = [(starts[i, : item.size], ends[i, : item.size]) for i, item in enumerate(items)]
        if not all(np.isfinite(start).all() and np.isfinite(end).all() for start, end in rows):
            raise not_finite("logits")
        return rows

    def finish(
        self,
        items: list[Item],
        values: list[Any],
        top_k: int = 1,
        longest: int = 15,
        impossible: bool = False,
        **after: Any,
    ) -> Any:
        """The best answers of all parts of a context."""
        found: dict[tuple[int, int], dict[str, Any]] = {}
        nothing = math.inf
        for item, (starts, ends) in zip(items, values, strict=True):
            context, inside, offsets = item.extra
            allowed = inside.copy()
            # The first token stands for "no answer" and shares the probability, also when that may not win.
            allowed[0] = True
            start, end = probabilities(starts, allowed), probabilities(ends, allowed)
            nothing = min(nothing, float(start[0] * end[0]))
            for first, last, score in spans(start * inside, end * inside, longest, top_k):
                place = (int(offsets[first][0]), int(offsets[last][1]))
                if place not in found or found[place]["score"] < score:
                    answer = context[place[0] : place[1]]
                    found[place] = {"score": score, "start": place[0], "end": place[1], "answer": answer}
        answers = list(found.values())
        if impossible:
            answers.append({"score": nothing, "start": 0, "end": 0, "answer": ""})
        answers.sort(key=lambda answer: -answer["score"])
        return answers[0] if top_k == 1 else answers[:top_k]


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
    if not isinstance(value, dict) or "question" not in value or "context" not in value:
        held = f"a dict with {', '.join(map(repr, value))}" if isinstance(value, dict) else type(value).__name__
        raise InputTypeError(
            f"A question with its context expected, got {held}.", "Pass {'question': …, 'context': …}."
        )
    question, context = check_text(value["question"], "A question"), check_text(value["context"], "A context")
    if not context.strip():
        raise InputError("The context is empty, so there is nothing to find an answer in.", "Give a text.")
    return question, context


def probabilities(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Softmax over the allowed tokens, 0 elsewhere."""
    weights = np.exp(logits - logits[allowed].max()) * allowed
    return weights / weights.sum()


def spans(start: np.ndarray, end: np.ndarray, longest: int, count: int) -> list[tuple[int, int, float]]:
    """The `count` best (first, last, score) with first <= last < first + `longest`."""
    scores = np.triu(np.outer(start, end))
    scores -= np.triu(scores, longest)
    best = np.argsort(-scores, axis=None, kind="stable")[: min(count, scores.size)]
    firsts, lasts = np.unravel_index(best, scores.shape)
    return [
        (int(first), int(last), float(scores[first, last]))
        for first, last in zip(firsts, lasts, strict=True)
        if scores[first, last] > 0
    ]
