"""token-classification: a tag for each word."""

from __future__ import annotations

from typing import Any

import numpy as np

from samovar.auto import AutoModelForTokenClassification, AutoTokenizer
from samovar.errors import InputError
from samovar.training.collators import DataCollatorForTokenClassification
from samovar.training.recipes.options import Options, Prepared, column

IGNORED = -100
WORDS, TAGS = ("tokens", "words", "text"), ("ner_tags", "tags", "labels", "pos_tags", "label")


def pieces(value: Any) -> list[Any]:
    """Words of a list, or of a text with spaces between them."""
    return value.split() if isinstance(value, str) else list(value)


def prepare(train: Any, held_out: Any, options: Options) -> Prepared:
    """Words tokenized; a word's first piece has its tag, the others none."""
    words = str(column(train, options.text_column, WORDS, "words"))
    tags = str(column(train, options.label_column, TAGS, "tags"))
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    classes = sorted({str(tag) for row in train[tags] for tag in pieces(row)}, key=order)
    numbers = {name: number for number, name in enumerate(classes)}

    def encode(data: Any, name: str) -> list[dict[str, Any]]:
        split, marked = [pieces(row) for row in data[words]], [pieces(row) for row in data[tags]]
        for row, (one, other) in enumerate(zip(split, marked, strict=True)):
            if len(one) != len(other):
                raise InputError(f"{name} row {row} has {len(one)} words and {len(other)} tags.", "One tag a word.")
            unknown = [tag for tag in map(str, other) if tag not in numbers]
            if unknown:
                raise InputError(f"{name} row {row} has the tag {unknown[0]!r}.", f"Known: {', '.join(classes)}.")
        encoded = tokenizer(split, is_split_into_words=True, truncation=True, max_length=options.max_length)
        rows = []
        for row, own in enumerate(marked):
            before, labels = None, []
            for word in encoded.word_ids(row):
                labels.append(IGNORED if word is None or word == before else numbers[str(own[word])])
                before = word
            rows.append({**{key: values[row] for key, values in encoded.items()}, "labels": labels})
        return rows

    rows = encode(train, "Training"), encode(held_out, "Held-out")
    model = AutoModelForTokenClassification.from_pretrained(
        options.model, id2label=dict(enumerate(classes)), label2id=numbers, ignore_mismatched_sizes=True
    )
    return Prepared(
        model, tokenizer, *rows, DataCollatorForTokenClassification(tokenizer), measure(classes), "f1",
        [f"{words} → {tags} ({len(classes)} tags: {', '.join(classes[:8])}{' …' if len(classes) > 8 else ''})"],
    )  # fmt: skip


def order(tag: str) -> tuple[bool, str]:
    """O first, as 0, then by name."""
    return (tag != "O", tag)


def measure(classes: list[str]) -> Any:
    """Entities where tags are of the kind B-…, I-…; the share of right tags in any case."""

    def compute(found: Any) -> dict[str, float]:
        guesses, truth = np.argmax(found.predictions, axis=-1), np.asarray(found.label_ids)
        kept = truth != IGNORED
        result = {"accuracy": float((guesses == truth)[kept].mean())}
        if any(one.startswith(("B-", "I-")) for one in classes):
            from samovar.evaluate import load

            both = {
                "predictions": [[classes[one] for one in row[own]] for row, own in zip(guesses, kept, strict=True)],
                "references": [[classes[one] for one in row[own]] for row, own in zip(truth, kept, strict=True)],
            }
            found_all = load("seqeval").compute(**both, zero_division=0)
            result |= {name: found_all[f"overall_{name}"] for name in ("precision", "recall", "f1")}
        else:
            result["f1"] = result["accuracy"]
        return result

    return compute
