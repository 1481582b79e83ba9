"""What a call was given: one input, a list of them, or a stream; and the checks of single inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from samovar.errors import InputTypeError


def is_single(value: Any) -> bool:
    """Whether a call's argument is one input rather than several: text, a mapping, a path, an image, an array."""
    if isinstance(value, str | bytes | bytearray | dict | Path | int | float) or value is None:
        return True
    if isinstance(value, list | tuple):
        return False
    if isinstance(value, np.ndarray):
        # An array of text is a list; an array of numbers is one image, unless it has a batch dimension.
        return value.dtype.kind not in "OUS" and value.ndim < 4
    if hasattr(value, "ndim") and hasattr(value, "dtype") and hasattr(value, "numpy") and callable(value.numpy):
        return value.ndim < 4
    return not (hasattr(value, "__iter__") or hasattr(value, "__getitem__")) or hasattr(value, "getbands")


def as_list(value: Any) -> list[Any] | None:
    """A list of inputs where the argument is a plain container in memory, else None: it is a stream."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind in "OUS" else list(value)
    if isinstance(value, list | tuple):
        return list(value)
    if hasattr(value, "ndim") and hasattr(value, "unbind"):
        return list(value.unbind())
    return None


def stream_of(source: Any) -> Iterator[Any]:
    """The inputs of a generator, an iterable, a map-style dataset or a `DataLoader` (whose batches are taken apart)."""
    if type(source).__name__ == "DataLoader" and getattr(source, "batch_size", None) is not None:
        return rows_of_batches(source)
    if hasattr(source, "__iter__"):
        return iter(source)
    return (source[index] for index in range(len(source)))


def rows_of_batches(batches: Iterable[Any]) -> Iterator[Any]:
    """The rows of batches that are lists, or mappings of lists."""
    for batch in batches:
        if isinstance(batch, dict):
            names = list(batch)
            for values in zip(*batch.values(), strict=True):
                yield dict(zip(names, values, strict=True))
        else:
            yield from batch


class Stream:
    """Results of a stream, one by one as they are asked for; has a length when its source has one."""

    def __init__(self, results: Iterator[Any], source: Any) -> None:
        self.results = results
        self.source = source

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self.results)

    def __len__(self) -> int:
        if type(self.source).__name__ == "DataLoader":
            return len(self.source.dataset)
        return len(self.source)

    def close(self) -> None:
        """Stop: the source is read no further and the background thread ends."""
        close: Callable[[], None] = getattr(self.results, "close", lambda: None)
        close()


def described(value: Any) -> str:
    """A value's type, and the value itself where it is short."""
    shown = repr(value)
    return type(value).__name__ if value is None or len(shown) > 40 else f"{type(value).__name__} ({shown})"


def check_text(value: Any, name: str = "Text") -> str:
    """`value`, if it is text; raises `InputTypeError` otherwise."""
    if isinstance(value, str):
        return value
    step = "Pass a str, or a list of them."
    if isinstance(value, bytes | bytearray):
        step = "Decode the bytes first, such as value.decode('utf-8')."
    if isinstance(value, float) and value != value:
        step = "This is how tables mark missing text: drop those rows, or replace them with an empty str."
    raise InputTypeError(f"{name} expected, got {described(value)}.", step)


def text_and_pair(value: Any) -> tuple[str, str | None]:
    """A text and its partner, from a str, a pair of them, or a mapping with `text` (and `text_pair`).

    Raises `InputTypeError`.
    """
    if isinstance(value, dict):
        if "text" not in value:
            raise InputTypeError(
                f"A dict without the key 'text' was given; it has {', '.join(map(repr, value)) or 'no keys'}.",
                "Pass {'text': …}, and 'text_pair' beside it for a pair of texts.",
            )
        pair = value.get("text_pair")
        return check_text(value["text"]), None if pair is None else check_text(pair)
    if isinstance(value, list | tuple):
        if len(value) == 1 and isinstance(value[0], list | tuple):
            value = value[0]
        if len(value) == 2:
            return check_text(value[0]), check_text(value[1])
        raise InputTypeError(
            f"A {type(value).__name__} of {len(value)} was given where one text is due.",
            "Pass a str, or {'text': …, 'text_pair': …} for a pair of texts.",
        )
    return check_text(value), None
