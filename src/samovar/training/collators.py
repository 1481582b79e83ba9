"""Rows of a data set → one batch of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError
from samovar.text.tokenizer import Tokenizer

Rows = Sequence[Mapping[str, Any]]
# What losses leave out.
IGNORED = -100
BY_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "special_tokens_mask")
LABEL_NAMES = ("label", "label_ids", "labels")


def as_tensor(values: Sequence[Any], name: str) -> Tensor:
    """One column of a batch. Raises `InputError` for rows of unequal shapes and for what is no number."""
    first = values[0]
    try:
        if isinstance(first, Tensor):
            return torch.stack(list(values))
        if isinstance(first, np.ndarray):
            return torch.from_numpy(np.stack(values))
        return torch.tensor(list(values))
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"The column {name!r} cannot become one tensor: {str(error).splitlines()[0]}",
            "Pad it in a collator of your own, or pad=True and truncation=True in the tokenizer.",
        ) from error


def default_data_collator(features: Sequence[Any], return_tensors: str = "pt") -> dict[str, Tensor]:
    """Rows of equal shapes → tensors; `label` (a number) and `label_ids` (a list) become `labels`; text is left out."""
    rows = [row if isinstance(row, Mapping) else vars(row) for row in features]
    batch: dict[str, Tensor] = {}
    for name, value in rows[0].items():
        if value is None or isinstance(value, str):
            continue
        column = as_tensor([row[name] for row in rows], name)
        if name in LABEL_NAMES:
            name, column = "labels", column.long() if column.dtype == torch.bool else column
        batch[name] = column
    return batch


class DefaultDataCollator:
    """`default_data_collator` as an object."""

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> dict[str, Tensor]:
        """A batch."""
        return default_data_collator(features)


@dataclass
class DataCollatorWithPadding:
    """Pads what the tokenizer made to the longest row (or `max_length`), and stacks all else."""

    tokenizer: Tokenizer
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Rows) -> dict[str, Any]:
        """A batch."""
        return self.split(features, ())

    def split(self, features: Rows, by_token: Sequence[str]) -> dict[str, Any]:
        """The tokenizer's columns padded, those of `by_token` left out, all others stacked."""
        ours = {
            "input_ids",
            "attention_mask",
            "token_type_ids",
            "special_tokens_mask",
            *self.tokenizer.model_input_names,
        }
        names = [name for name in features[0] if name in ours]
        columns = {name: [list(row[name]) for row in features] for name in names}
        padded = self.tokenizer.pad(
            columns, padding=self.padding, max_length=self.max_length, pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors="pt",
        )  # fmt: skip
        rest = [{k: v for k, v in row.items() if k not in ours and k not in by_token} for row in features]
        return {**dict(padded), **(default_data_collator(rest) if rest[0] else {})}


@dataclass
class DataCollatorForTokenClassification(DataCollatorWithPadding):
    """Pads labels along with the tokens, by `label_pad_token_id`, which the loss leaves out."""

    label_pad_token_id: int = IGNORED

    def __call__(self, features: Rows) -> dict[str, Any]:
        """A batch."""
        name = next((one for one in ("labels", "label") if one in features[0]), None)
        batch = self.split(features, ("labels", "label"))
        if name is None:
            return batch
        width = batch["input_ids"].shape[1]
        rows = [list(row[name]) for row in features]
        for number, (row, features_row) in enumerate(zip(rows, features, strict=True)):
            if len(row) != len(features_row["input_ids"]):
                raise InputError(
                    f"Row {number} has {len(row)} labels and {len(features_row['input_ids'])} tokens.",
                    "Give each token a label, -100 where there is none.",
                )
        return batch | {"labels": pad_to(rows, width, self.label_pad_token_id, self.tokenizer.padding_side)}


def pad_to(rows: Sequence[Sequence[int]], width: int, fill: int, side: str = "right") -> Tensor:
    """Rows (length,) → (batch, width)."""
    table = torch.full((len(rows), width), fill, dtype=torch.long)
    for target, row in zip(table, rows, strict=True):
        if len(row):
            place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
            target[place] = torch.as_tensor(row)
    return table


@dataclass
class DataCollatorForSeq2Seq(DataCollatorWithPadding):
    """Pads inputs and labels, each to its own longest; asks the model for `decoder_input_ids` where it makes them."""

    model: Any = None
    label_pad_token_id: int = IGNORED

    def __call__(self, features: Rows) -> dict[str, Any]:
        """A batch."""
        batch = self.split(features, ("labels",))
        if "labels" not in features[0] or features[0]["labels"] is None:
            return batch
        rows = [list(row["labels"]) for row in features]
        width = self.max_length if self.padding == "max_length" and self.max_length else max(map(len, rows))
        if self.pad_to_multiple_of:
            width = -(-width // self.pad_to_multiple_of) * self.pad_to_multiple_of
        batch["labels"] = pad_to(rows, width, self.label_pad_token_id, self.tokenizer.padding_side)
        shift = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if shift is not None:
            batch["decoder_input_ids"] = shift(labels=batch["labels"])
        return batch


@dataclass
class DataCollatorForLanguageModeling:
    """Labels from the inputs: hidden words (`mlm`, Devlin et al., arXiv:1810.04805), or the inputs themselves.

    Of the tokens drawn with `mlm_probability`, `mask_replace_prob` become the mask, `random_replace_prob` a random
    word, and the rest stay; all others have the label -100. `seed` makes the draws repeat.
    """

    tokenizer: Tokenizer
    mlm: bool = True
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None
    generator: torch.Generator | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.mlm and self.tokenizer.mask_token_id is None:
            raise InputError("This tokenizer has no mask token.", "Pass mlm=False for causal language modelling.")
        if not 0 <= self.mask_replace_prob + self.random_replace_prob <= 1:
            raise InputError("mask_replace_prob + random_replace_prob exceeds 1.", "They are shares of one whole.")
        if self.seed is not None:
            self.generator = torch.Generator().manual_seed(self.seed)

    def __call__(self, features: Sequence[Any]) -> dict[str, Any]:
        """A batch."""
        rows = [row if isinstance(row, Mapping) else {"input_ids": row} for row in features]
        batch = DataCollatorWithPadding(self.tokenizer, pad_to_multiple_of=self.pad_to_multiple_of)(rows)
        special = batch.pop("special_tokens_mask", None)
        if self.mlm:
            batch["input_ids"], batch["labels"] = self.mask_tokens(batch["input_ids"], special)
            return batch
        batch["labels"] = batch["input_ids"].clone()
        if self.tokenizer.pad_token_id is not None:
            batch["labels"][batch["labels"] == self.tokenizer.pad_token_id] = IGNORED
        return batch

    def mask_tokens(self, ids: Tensor, special: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, sequence) → the ids with words hidden, and the labels."""
        labels, ids = ids.clone(), ids.clone()
        if special is None:
            special = torch.isin(ids, torch.tensor(self.tokenizer.all_special_ids))
        drawn = self.uniform(ids.shape) < self.mlm_probability * (special == 0)
        labels[~drawn] = IGNORED
        way = self.uniform(ids.shape)
        ids[drawn & (way < self.mask_replace_prob)] = self.tokenizer.mask_token_id
        words = torch.randint(len(self.tokenizer), ids.shape, generator=self.generator)
        swapped = drawn & (way >= self.mask_replace_prob) & (way < self.mask_replace_prob + self.random_replace_prob)
        ids[swapped] = words[swapped]
        return ids, labels

    def uniform(self, shape: torch.Size) -> Tensor:
        """Numbers in 0 … 1."""
        return torch.rand(shape, generator=self.generator)


@dataclass
class DataCollatorForMultipleChoice(DataCollatorWithPadding):
    """Rows of several continuations → (batch, choices, sequence)."""

    def __call__(self, features: Rows) -> dict[str, Any]:
        """A batch."""
        counts = {len(row["input_ids"]) for row in features}
        if len(counts) != 1:
            raise InputError(f"Rows with {sorted(counts)} choices in one batch.", "Give all rows as many.")
        (count,) = counts
        names = [name for name in features[0] if name not in LABEL_NAMES]
        flat = [{name: row[name][choice] for name in names} for row in features for choice in range(count)]
        batch = {name: value.view(len(features), count, -1) for name, value in self.split(flat, ()).items()}
        labels = [{name: row[name] for name in LABEL_NAMES if name in row} for row in features]
        return batch | (default_data_collator(labels) if labels[0] else {})


DataCollator = Callable[[list[Any]], dict[str, Any]]


def trimmed(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The batch without the columns at its end that are padding in every row: they cost time and change nothing.

    Cuts every tensor whose first two sizes are those of `attention_mask` (batch, sequence). A column that some row has
    a label in is none of them.
    """
    mask = batch.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.ndim != 2 or not mask.numel():
        return dict(batch)
    live = mask.any(0)
    for name in LABEL_NAMES:
        labels = batch.get(name)
        if isinstance(labels, Tensor) and labels.shape == mask.shape:
            live = live | (labels != IGNORED).any(0)
    used = live.nonzero()
    if not len(used):
        return dict(batch)
    # Padding on the left gives tokens their positions; only what follows the last token is free of meaning.
    end = int(used[-1]) + 1
    if end == mask.shape[1]:
        return dict(batch)
    return {
        name: value[:, :end] if isinstance(value, Tensor) and value.shape[:2] == mask.shape else value
        for name, value in batch.items()
    }
