"""summarization and translation: a text for a text, by an encoder–decoder model."""

from __future__ import annotations

from typing import Any

import numpy as np

from samovar.auto import AutoModelForSeq2SeqLM, AutoTokenizer
from samovar.training.collators import DataCollatorForSeq2Seq
from samovar.training.recipes.options import Options, Prepared, column

IGNORED = -100
SOURCES = ("document", "article", "text", "source", "dialogue")
TARGETS = ("summary", "highlights", "target", "translation", "label")


def prepare(train: Any, held_out: Any, options: Options) -> Prepared:
    """Both texts tokenized; the evaluation writes texts and compares them by their shared words."""
    source = str(column(train, options.source_column or options.text_column, SOURCES, "source text"))
    target = str(column(train, options.target_column or options.label_column, TARGETS, "target text"))
    tokenizer = AutoTokenizer.from_pretrained(options.model)

    def encode(data: Any) -> list[dict[str, Any]]:
        texts = [options.prefix + str(text) for text in data[source]]
        inputs = tokenizer(texts, truncation=True, max_length=options.max_length)
        labels = tokenizer(list(map(str, data[target])), truncation=True, max_length=options.max_length)
        return [
            {**{key: values[row] for key, values in inputs.items()}, "labels": labels["input_ids"][row]}
            for row in range(len(texts))
        ]

    model = AutoModelForSeq2SeqLM.from_pretrained(options.model)

    def compute(found: Any) -> dict[str, float]:
        from samovar.evaluate import load

        def texts(ids: Any) -> list[str]:
            ids = np.where(np.asarray(ids) == IGNORED, tokenizer.pad_token_id, ids)
            return list(tokenizer.batch_decode(ids, skip_special_tokens=True))

        guesses, truth = texts(found.predictions), texts(found.label_ids)
        score = load("chrf").compute(predictions=guesses, references=[[one] for one in truth])["score"]
        return {"chrf": float(score)}

    notes = [f"{source} → {target}"]
    collate = DataCollatorForSeq2Seq(tokenizer, model=model)
    return Prepared(model, tokenizer, encode(train), encode(held_out), collate, compute, "loss", notes, generates=True)
