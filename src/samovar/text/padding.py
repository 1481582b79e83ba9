"""Padding of already encoded texts to one length, for collators and hand-made batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from samovar.errors import InputError, InputTypeError

# What fills up each known key; the tokenizer's own padding id and type come beside these.
FILL = {"attention_mask": 0, "special_tokens_mask": 1, "labels": -100}


def as_columns(encoded: Any) -> tuple[dict[str, list[Any]], bool]:
    """A mapping of key → rows from a list of mappings or a mapping of lists; False: it was a single row."""
    if isinstance(encoded, Mapping):
        columns = {key: to_list(values) for key, values in encoded.items()}
    elif isinstance(encoded, Sequence) and encoded and all(isinstance(row, Mapping) for row in encoded):
        columns = {key: [to_list(row[key]) for row in encoded] for key in encoded[0]}
    elif isinstance(encoded, Sequence) and not encoded:
        return {}, True
    else:
        raise InputTypeError(
            f"A mapping of lists or a list of mappings is expected, got {type(encoded).__name__}.",
            "Give what the tokenizer returned, or a list of such.",
        )
    first: list[Any] = next(iter(columns.values()), [])
    batched = not first or isinstance(first[0], list | tuple)
    return columns if batched else {key: [values] for key, values in columns.items()}, batched


def to_list(values: Any) -> Any:
    """Lists from tensors and arrays; anything else as it is."""
    return values.tolist() if hasattr(values, "tolist") else values


def pad_columns(
    columns: dict[str, list[Any]],
    length: int,
    side: str,
    pad_token_id: int | None,
    pad_token_type_id: int,
    want_mask: bool,
    further: Mapping[str, Any] | None = None,
) -> dict[str, list[Any]]:
    """Rows of every per-token key filled up to `length`; keys with one value a row pass as they are.

    `further` says what fills up other keys, or these in another way.
    """
    key = next((name for name in ("input_ids", "inputs") if name in columns), next(iter(columns)))
    lengths = [len(row) for row in columns[key]]
    if want_mask and "attention_mask" not in columns:
        columns = {**columns, "attention_mask": [[1] * count for count in lengths]}
    if any(count < length for count in lengths) and pad_token_id is None:
        raise InputError(
            "Padding was asked for, but this tokenizer has no padding token.",
            "Set one, for example `tokenizer.pad_token = tokenizer.eos_token`.",
        )
    fill: dict[str, Any] = {key: pad_token_id, "token_type_ids": pad_token_type_id, **FILL, **(further or {})}
    padded = {}
    for name, rows in columns.items():
        if name in fill and all(isinstance(row, list | tuple) for row in rows):
            missing = [[fill[name]] * (length - len(row)) for row in rows]
            both = zip(rows, missing, strict=True)
            padded[name] = [[*row, *gap] if side == "right" else [*gap, *row] for row, gap in both]
        else:
            padded[name] = rows
    return padded
