"""What a metric takes: each kind of column checks a batch, names the row that does not fit, and converts it."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samovar.errors import SamovarError

Values = np.ndarray | list[Any]


class MetricError(SamovarError, ValueError):
    """A metric cannot be computed from these inputs or options."""


@dataclass(frozen=True)
class Column:
    """One kind of input: what it is called in documentation, and how a batch of it is checked and converted."""

    describes: str
    convert: Callable[[Any, str, int], Values]
    # Whether the metric goes through waiting rows one by one, so that they need not be in memory together.
    streamed: bool = False


def as_sequence(values: Any, name: str) -> Any:
    """Tensors, arrays, series, iterators → an array or a list. Raises `MetricError` for a single value."""
    if hasattr(values, "detach"):  # a torch tensor, without importing torch
        values = values.detach().cpu()
        return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    if hasattr(values, "to_numpy"):  # pandas, polars
        values = values.to_numpy()
    if isinstance(values, np.ndarray):
        if values.ndim == 0:
            raise MetricError(f"{name} is one number.", "Give a list of them, or use `add` for single ones.")
        return values.tolist() if values.dtype.kind in "OUS" else values
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise MetricError(
            f"{name} is {type(values).__name__}, a list is due.", "Give a list, or use `add` for single values."
        )
    return values if isinstance(values, list) else list(values)


def shown(value: Any) -> str:
    """A value in an error message, cut to a readable length."""
    text = repr(plain(value))
    return text if len(text) <= 60 else text[:57] + "…"


def refuse(name: str, row: int, value: Any, is_: str, next_step: str) -> MetricError:
    """The error for one row."""
    return MetricError(f"{name}[{row}] is {is_}: {shown(value)}.", next_step)


def is_number(value: Any) -> bool:
    return isinstance(value, numbers.Number | np.bool_) or (hasattr(value, "ndim") and value.ndim == 0)


def to_array(values: Any, name: str, first: int) -> np.ndarray:
    """Real, finite numbers of the type that they came in."""
    values = as_sequence(values, name)
    if isinstance(values, list):
        for row, value in enumerate(values, first):
            items = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
            for item in items:
                if not is_number(item) and not hasattr(item, "ndim"):
                    kind = "text" if isinstance(item, str | bytes) else type(item).__name__
                    raise refuse(name, row, item, f"{kind}, not a number", "Convert the values to numbers first.")
        try:
            values = np.asarray([v.tolist() if hasattr(v, "detach") else v for v in values])
        except ValueError as error:
            raise MetricError(f"{name} has rows of unequal lengths.", "Give every row the same number.") from error
    if values.dtype.kind not in "biuf":
        raise MetricError(f"{name} holds {values.dtype}, not real numbers.", "Convert the values to numbers first.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise refuse(name, row + first, values[row], "not finite", "Leave such rows out, or repair the model first.")
    return values


def to_numbers(values: Any, name: str, first: int) -> np.ndarray:
    """Real, finite numbers: `(rows,)`, or `(rows, outputs)` when each row is a sequence."""
    return to_array(values, name, first).astype(np.float64, copy=False)


def to_labels(values: Any, name: str, first: int) -> Values:
    """Classes: whole numbers or strings, `(rows,)`; whole numbers `(rows, labels)` for several labels a row."""
    values = as_sequence(values, name)
    if isinstance(values, list) and any(isinstance(value, str) for value in values):
        for row, value in enumerate(values, first):
            if not isinstance(value, str):
                raise refuse(name, row, value, "no text, while others are", "Use either strings or numbers throughout.")
        return values
    array = to_array(values, name, first)
    if array.dtype.kind in "bi":
        return array.astype(np.int64, copy=False)
    # Above this, neighbours of a float are further apart than 1, and an unsigned number may not fit.
    if array.size and np.abs(array).max() > 2**53 and (array.dtype.kind == "f" or array.max() > 2**63 - 1):
        raise MetricError(f"{name} has classes too large for {array.dtype}.", "Number classes from 0, or give strings.")
    whole = array == np.round(array)
    if not whole.all():
        row = int(np.argwhere(~whole)[0][0])
        raise refuse(
            name, row + first, array[row], "a score, not a class", "Give classes, for example `scores.argmax(-1)`."
        )
    return array.astype(np.int64)


def to_texts(values: Any, name: str, first: int) -> list[str]:
    """One text a row."""
    values = as_sequence(values, name)
    for row, value in enumerate(values, first):
        if not isinstance(value, str):
            raise refuse(name, row, value, f"{type(value).__name__}, not text", "Give one string a row.")
    return list(values)


def to_text_lists(values: Any, name: str, first: int) -> list[list[str]]:
    """One or more texts a row; a bare string counts as one."""
    rows = []
    for row, value in enumerate(as_sequence(values, name), first):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
            raise refuse(name, row, value, "neither a text nor a list of texts", "Give one or more strings a row.")
        rows.append(list(texts))
    return rows


def to_tags(values: Any, name: str, first: int) -> list[list[str]]:
    """A list of tags, such as `B-PER`, a row."""
    rows = []
    for row, value in enumerate(as_sequence(values, name), first):
        if not isinstance(value, list | tuple) or not all(isinstance(tag, str) for tag in value):
            raise refuse(name, row, value, "no list of tags", "Give a list of strings a row, one tag a token.")
        rows.append(list(value))
    return rows


def to_items(values: Any, name: str, first: int) -> list[list[Any]]:
    """A list of identifiers (strings or whole numbers) a row; sets are sorted."""
    rows = []
    for row, value in enumerate(as_sequence(values, name), first):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        items = items.tolist() if hasattr(items, "tolist") else items
        if not isinstance(items, list | tuple):
            raise refuse(name, row, value, "no list of identifiers", "Give a list of identifiers a row.")
        for item in items:
            if isinstance(item, bool) or not isinstance(item, str | int | np.integer):
                raise refuse(name, row, item, "no identifier", "Use strings or whole numbers.")
        rows.append([item if isinstance(item, str) else int(item) for item in items])
    return rows


def to_maps(values: Any, name: str, first: int) -> list[np.ndarray]:
    """An array of whole numbers a row, such as a segmentation map; rows may differ in shape."""
    if hasattr(values, "detach") or isinstance(values, np.ndarray):
        values = list(as_sequence(values, name))
    rows = []
    for row, value in enumerate(as_sequence(values, name), first):
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        if array.dtype.kind not in "biu" or array.ndim == 0:
            raise refuse(name, row, value, "no array of whole numbers", "Give an integer array a row.")
        rows.append(array)
    return rows


def to_records(*keys: str) -> Callable[[Any, str, int], list[dict[str, Any]]]:
    """A converter for dictionaries that must have these keys."""

    def convert(values: Any, name: str, first: int) -> list[dict[str, Any]]:
        rows = []
        for row, value in enumerate(as_sequence(values, name), first):
            if not isinstance(value, Mapping):
                raise refuse(name, row, value, f"{type(value).__name__}, not a dictionary", f"Its keys: {keys}.")
            missing = [key for key in keys if key not in value]
            if missing:
                raise MetricError(f"{name}[{row}] lacks {', '.join(map(repr, missing))}.", f"Its keys: {keys}.")
            rows.append({key: plain(value[key]) for key in keys})
        return rows

    return convert


def records(describes: str, *keys: str) -> Column:
    """A column of dictionaries."""
    return Column(describes, to_records(*keys))


def whole_number(name: str, value: Any, least: int) -> int:
    """An option that counts something. Raises `MetricError` if it is no whole number, or below `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < least:
        raise MetricError(f"{name}={shown(value)}.", f"Give a whole number, {least} or more.")
    return int(value)


def checked_tokenizer(tokenizer: Any) -> Callable[[str], list[str]]:
    """A function from a text to its tokens that raises `MetricError` where the one given does something else."""
    if not callable(tokenizer):
        raise MetricError(
            f"tokenizer={shown(tokenizer)} is no function.", "Give one from a text to the list of its tokens."
        )

    def tokens(text: str) -> list[str]:
        found = tokenizer(text)
        if not isinstance(found, list | tuple) or not all(isinstance(token, str) for token in found):
            raise MetricError(f"tokenizer gave {shown(found)} for {shown(text)}.", "Let it give a list of strings.")
        return list(found)

    return tokens


def plain(value: Any) -> Any:
    """Arrays, tensors and their scalars → lists and Python numbers, as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


LABELS = Column("classes: whole numbers or strings; rows of 0/1 for several labels", to_labels)
NUMBERS = Column("real numbers, one a row or one row of outputs", to_numbers)
SCORES = Column("scores or probabilities: one a row, or one a row and class", to_numbers)
TEXTS = Column("texts, one a row", to_texts)
TEXT_LISTS = Column("texts, one or more a row", to_text_lists)
TAGS = Column("lists of tags, one tag a token", to_tags)
ITEMS = Column("lists of identifiers: strings or whole numbers", to_items)
MAPS = Column("arrays of class numbers, one an image", to_maps, streamed=True)
