"""What a tokenizer may be given: one text, a pair, a batch of either, split into words or not."""

from __future__ import annotations

from typing import Any

from samovar.errors import InputError, InputTypeError


def reject(value: Any, where: str) -> InputTypeError:
    """The error for what is no text."""
    shown = "None" if value is None else f"{type(value).__name__} ({value!r:.40})"
    step = "Decode bytes first." if isinstance(value, bytes) else "Give a str, or a list of them."
    return InputTypeError(f"Text is expected{where}, got {shown}.", step)


def check_text(value: Any, words: bool, where: str = "") -> None:
    """Raise `InputTypeError` unless `value` is a str, or with `words` a list of str."""
    if words:
        if not isinstance(value, list | tuple):
            raise reject(value, f"{where} as a list of words")
        for index, word in enumerate(value):
            if not isinstance(word, str):
                raise reject(word, f"{where} at word {index}")
    elif not isinstance(value, str):
        raise reject(value, where)


def as_batch(text: Any, pair: Any, words: bool) -> tuple[list[Any], bool]:
    """The rows to encode — texts or `(text, pair)` — and whether a batch was given."""
    if words:
        batched = isinstance(text, list | tuple) and len(text) > 0 and isinstance(text[0], list | tuple)
        batched = batched or (isinstance(text, list | tuple) and len(text) == 0)
    else:
        batched = isinstance(text, list | tuple)
    if not batched:
        check_text(text, words)
        if pair is None:
            return [text], False
        check_text(pair, words, " as the second text")
        return [(text, pair)], False
    rows = list(text)
    if pair is not None:
        if not isinstance(pair, list | tuple):
            raise reject(pair, " as a list of second texts, since the first ones are a list")
        if len(pair) != len(rows):
            raise InputError(f"{len(rows)} first and {len(pair)} second texts were given.", "Give as many of each.")
        rows = list(zip(rows, pair, strict=True))
    for index, row in enumerate(rows):
        is_pair = isinstance(row, list | tuple) and len(row) == 2 and (not words or isinstance(row[0], list | tuple))
        if is_pair:
            check_text(row[0], words, f" at index {index}")
            check_text(row[1], words, f" at index {index}, second text")
            rows[index] = tuple(row)
        else:
            check_text(row, words, f" at index {index}")
    return rows, True
