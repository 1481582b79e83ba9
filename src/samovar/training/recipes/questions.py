"""question-answering: a span of the context as the answer; long contexts in windows that overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from samovar.auto import AutoModelForQuestionAnswering, AutoTokenizer
from samovar.errors import InputError
from samovar.training.collators import DataCollatorWithPadding
from samovar.training.recipes.options import Options, Prepared, column

INPUTS = ("input_ids", "token_type_ids", "attention_mask")


def answer_of(value: Any, context: str, where: str) -> tuple[str, int]:
    """(text, start) of a row's first answer; ("", 0) for none. Raises `InputError` where it is not in the context."""
    if isinstance(value, dict):
        texts, starts = value.get("text", []), value.get("answer_start", [])
        texts = [texts] if isinstance(texts, str) else list(texts)
        starts = [starts] if isinstance(starts, int) else list(starts)
        if not texts:
            return "", 0
        text, start = str(texts[0]), int(starts[0]) if len(starts) else context.find(str(texts[0]))
    else:
        text = "" if value is None else str(value)
        if not text:
            return "", 0
        start = context.find(text)
    if start < 0 or context[start : start + len(text)] != text:
        raise InputError(f"{where}: the answer {text[:40]!r} does not stand at {start} of its context.", "Correct it.")
    return text, start


def prepare(train: Any, held_out: Any, options: Options) -> Prepared:
    """Windows of question and context, and where the answer begins and ends in each."""
    question = str(column(train, options.text_column, ("question",), "question"))
    context = str(column(train, options.source_column, ("context", "passage", "document"), "context"))
    answers = str(column(train, options.label_column, ("answers", "answer"), "answer"))
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    right = tokenizer.padding_side == "right"

    def encode(data: Any, name: str) -> list[dict[str, Any]]:
        contexts = list(map(str, data[context]))
        spans = [
            answer_of(value, text, f"{name} row {row}")
            for row, (value, text) in enumerate(zip(data[answers], contexts, strict=True))
        ]
        asked = list(map(str, data[question]))
        first, second = (asked, contexts) if right else (contexts, asked)
        encoded = tokenizer(
            first, second, truncation="only_second" if right else "only_first",
            max_length=options.max_length, stride=min(options.stride, options.max_length // 4),
            return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        rows = []
        for place, row in enumerate(encoded["overflow_to_sample_mapping"]):
            own = encoded.sequence_ids(place)
            offsets = encoded["offset_mapping"][place]
            start, end = span(offsets, [part == (1 if right else 0) for part in own], *spans[row])
            fields = {
                key: encoded[key][place] for key in ("input_ids", "token_type_ids", "attention_mask") if key in encoded
            }
            rows.append({**fields, "start_positions": start, "end_positions": end})
        return rows

    rows = encode(train, "Training"), encode(held_out, "Held-out")
    model = AutoModelForQuestionAnswering.from_pretrained(options.model)
    return Prepared(
        model, tokenizer, *rows, DataCollatorWithPadding(tokenizer), exact, "exact_window",
        [f"{question} + {context} → {answers} ({len(rows[0])} windows of {len(train)} questions)"],
    )  # fmt: skip


def span(offsets: Any, inside: list[bool], text: str, start: int) -> tuple[int, int]:
    """First and last token of an answer in this window; (0, 0), the place of no answer, where it is not whole in it."""
    end = start + len(text)
    covering = [
        place
        for place, ((first, last), own) in enumerate(zip(offsets, inside, strict=True))
        if own and first < end and last > start
    ]
    if not text or not covering:
        return 0, 0
    whole = offsets[covering[0]][0] <= start and offsets[covering[-1]][1] >= end
    return (covering[0], covering[-1]) if whole else (0, 0)


def exact(found: Any) -> dict[str, float]:
    """The share of windows whose start and end are both right."""
    starts, ends = (np.argmax(one, axis=-1) for one in found.predictions)
    first, last = found.label_ids
    return {"exact_window": float(((starts == first) & (ends == last)).mean())}
