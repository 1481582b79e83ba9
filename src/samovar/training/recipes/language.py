"""Language modelling: masked words, or the next word, on texts that are joined and cut into blocks."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

from samovar.auto import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer
from samovar.errors import InputError
from samovar.training.collators import DataCollatorForLanguageModeling, default_data_collator
from samovar.training.recipes.options import TEXTS, Options, Prepared, column


def blocks(data: Any, name: str, tokenizer: Any, size: int) -> list[dict[str, Any]]:
    """All texts one after the other, an end mark between them, in blocks of `size` tokens; the rest is left out."""
    texts = [str(text) for text in data[name] if text]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    between = [mark] if (mark := end_mark(tokenizer)) is not None else []
    joined = list(chain.from_iterable([*row, *between] for row in ids))
    usable = min(size, len(joined))
    if usable < 2:
        raise InputError("The texts are too short to learn from.", "Give more, or longer ones.")
    return [
        {"input_ids": joined[start : start + usable], "attention_mask": [1] * usable}
        for start in range(0, len(joined) - usable + 1, usable)
    ]


def end_mark(tokenizer: Any) -> int | None:
    """What stands between two texts."""
    for name in ("eos_token_id", "sep_token_id"):
        if getattr(tokenizer, name, None) is not None:
            return int(getattr(tokenizer, name))
    return None


def prepare_masked(train: Any, held_out: Any, options: Options) -> Prepared:
    """Blocks in which words are hidden, others in each epoch."""
    text = str(column(train, options.text_column, TEXTS, "text"))
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    if tokenizer.mask_token_id is None:
        raise InputError(f"{options.model} has no token that hides words.", "Train it for text-generation.")
    rows = tuple(blocks(part, text, tokenizer, options.block_size) for part in (train, held_out))
    collate = DataCollatorForLanguageModeling(tokenizer, mlm=True, mlm_probability=options.mlm_probability)
    model = AutoModelForMaskedLM.from_pretrained(options.model)
    return Prepared(
        model, tokenizer, rows[0], rows[1], collate, None, "loss", [f"{text}: {len(rows[0])} blocks, words hidden"]
    )


def prepare_causal(train: Any, held_out: Any, options: Options) -> Prepared:
    """Blocks in which each token is learned from those before it."""
    text = str(column(train, options.text_column, TEXTS, "text"))
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    rows = tuple(
        [row | {"labels": row["input_ids"]} for row in blocks(part, text, tokenizer, options.block_size)]
        for part in (train, held_out)
    )
    model = AutoModelForCausalLM.from_pretrained(options.model)
    notes = [f"{text}: {len(rows[0])} blocks, the next token"]
    return Prepared(model, tokenizer, rows[0], rows[1], default_data_collator, None, "loss", notes)


def perplexity(loss: float) -> float:
    """exp(loss): among how many tokens the model hesitates."""
    return math.exp(min(loss, 700.0))
