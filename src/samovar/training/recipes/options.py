"""What a recipe is told, and what it hands over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from samovar.errors import InputError, did_you_mean


@dataclass
class Options:
    """How examples are read. Columns that are not named are guessed from their names."""

    model: str
    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    source_column: str | None = None
    target_column: str | None = None
    problem: str | None = None
    label_separator: str | None = None
    max_length: int = 256
    stride: int = 64
    block_size: int = 256
    mlm_probability: float = 0.15
    prefix: str = ""
    trust_remote_code: bool = False


@dataclass
class Prepared:
    """A model and data that a trainer takes."""

    model: Any
    processor: Any
    train: Any
    held_out: Any
    collate: Any = None
    compute_metrics: Callable[[Any], dict[str, float]] | None = None
    best: str = "loss"
    # Said to the user before training: what was understood.
    notes: list[str] = field(default_factory=list)
    generates: bool = False


def column(data: Any, given: str | None, guesses: tuple[str, ...], what: str, required: bool = True) -> str | None:
    """The column of this meaning: as named, or the first of the guesses that there is. Raises `InputError`."""
    names = list(data.column_names)
    if given is not None:
        if given not in names:
            hint = did_you_mean(given, names)
            raise InputError(f"There is no column {given!r}.", f"{hint} There are: {', '.join(names)}.".strip())
        return given
    for guess in guesses:
        if guess in names:
            return guess
    if not required:
        return None
    raise InputError(
        f"Which column is the {what}? There are: {', '.join(names)}.",
        f"Name it, or call it {' or '.join(guesses[:3])}.",
    )


TEXTS = ("text", "sentence", "sentence1", "premise", "review", "content", "body", "document")
PAIRS = ("sentence2", "hypothesis", "text_pair", "text2")
LABELS = ("label", "labels", "class", "category", "target", "score", "stars", "rating")
