"""What all text pipelines share: tokenization in chunks, the model's length limit, padding a batch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from torch import Tensor

from samovar.errors import InputError, did_you_mean
from samovar.nn.positions import LearnedPositions, PaddingAwarePositions
from samovar.pipelines.base import Pipeline
from samovar.pipelines.packing import Item, Limits
from samovar.pipelines.transfer import pad_rows

logger = logging.getLogger(__name__)

TOKENIZER_OPTIONS = ("truncation", "max_length", "padding", "add_special_tokens", "tokenizer_kwargs")
# Padded tokens per batch: where matrix multiplication is at its peak and outputs still fit in the cache.
CPU_BUDGET, ACCELERATOR_BUDGET = 1280, 65536
# What a batch costs beside its tokens, in tokens.
CPU_OVERHEAD, ACCELERATOR_OVERHEAD = 40, 4096


class TextPipeline(Pipeline):
    """Base of the text tasks."""

    _load_tokenizer = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.warned = False
        super().__init__(*args, **kwargs)
        if self.tokenizer is None:
            raise InputError(f"{type(self).__name__} needs a tokenizer.", "Pass tokenizer=, an object.")
        self.limit = length_limit(self.model, self.tokenizer)

    def limits(self, batch_size: int | None) -> Limits:
        """A budget of padded tokens."""
        if self.device.type == "cpu":
            return Limits(CPU_BUDGET, batch_size, CPU_OVERHEAD, window=512)
        return Limits(ACCELERATOR_BUDGET, batch_size, ACCELERATOR_OVERHEAD, window=4096)

    def tokenizer_options(self, kwargs: dict[str, Any], known: tuple[str, ...] = ()) -> dict[str, Any]:
        """Take the tokenizer's options out of `kwargs`; raises `InputError` for anything that is left."""
        options = dict(kwargs.pop("tokenizer_kwargs", None) or kwargs.pop("tokenize_kwargs", None) or {})
        for name in TOKENIZER_OPTIONS:
            if name in kwargs:
                options[name] = kwargs.pop(name)
        for name in options:
            if name not in TOKENIZER_OPTIONS:
                hint = did_you_mean(name, TOKENIZER_OPTIONS)
                raise InputError(f"Unknown option of the tokenizer: {name!r}.", hint)
        if not isinstance(options.get("max_length", 0), int | None):
            raise InputError(f"max_length must be an int, got {options['max_length']!r}.", "Give a number of tokens.")
        self.refuse(kwargs, (*known, *TOKENIZER_OPTIONS))
        return options

    # Tokenization -------------------------------------------------------------------------------------------------

    def encode(
        self,
        texts: list[Any],
        pairs: list[Any] | None = None,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        padding: Any = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Texts (and their partners) → one mapping of lists per text, no longer than the model can read.

        Without `truncation` a text that is too long is cut, with one warning per pipeline; `truncation=False` makes
        it an `InputError`.
        """
        limit = self.limit if max_length is None else min(max_length, self.limit or max_length)
        given: dict[str, Any] = {"padding": "max_length", "max_length": limit} if padding == "max_length" else {}
        # The pipeline itself says what it cuts, so the tokenizer need not warn of long texts.
        given |= {"return_attention_mask": bool(given), "verbose": False, **options}
        if max_length is not None and truncation is None:
            truncation = True
        cut: dict[str, Any] = {"truncation": truncation or True, "max_length": limit}
        if limit is not None and truncation not in (None, False, "do_not_truncate"):
            return self.rows(texts, pairs, **(given | cut))
        rows = self.rows(texts, pairs, **given)
        long = [] if limit is None else [i for i, row in enumerate(rows) if len(row["input_ids"]) > limit]
        if long:
            lengths = [len(rows[i]["input_ids"]) for i in long]
            if truncation is not None:
                raise InputError(
                    f"An input has {max(lengths)} tokens; this model reads {limit}.",
                    "Shorten it, or allow truncation=True.",
                )
            self.warn_long(max(lengths))
            again = [texts[i] for i in long], None if pairs is None else [pairs[i] for i in long]
            for i, row in zip(long, self.rows(*again, **(given | cut)), strict=True):
                rows[i] = row
        return rows

    def warn_long(self, length: int) -> None:
        """Say once per pipeline that inputs are cut."""
        if not self.warned:
            self.warned = True
            logger.warning(
                "An input has %d tokens; this model reads %d, so the rest is cut off (as for all later inputs that are "
                "too long). Pass truncation=True to accept this silently, or split the text.", length, self.limit,
            )  # fmt: skip

    def rows(self, texts: list[Any], pairs: list[Any] | None, **options: Any) -> list[dict[str, Any]]:
        """One call of the tokenizer, as one mapping per text."""
        encoding = self.tokenizer(texts, pairs, **options) if pairs is not None else self.tokenizer(texts, **options)
        names = [name for name in encoding.keys() if name != "overflow_to_sample_mapping"]  # noqa: SIM118
        columns = [encoding[name] for name in names]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    # Batches ------------------------------------------------------------------------------------------------------

    def row_item(self, row: dict[str, Any], extra: Any = None) -> Item:
        """A tokenizer's row as an `Item`, without what says nothing: masks of ones and segments of zeros."""
        ids = row["input_ids"] or self.start_ids()
        features = {"input_ids": np.asarray(ids, dtype=np.int64)}
        for name, silent in (("token_type_ids", 0), ("attention_mask", 1)):
            values = row.get(name)
            if values and any(value != silent for value in values):
                features[name] = np.asarray(values, dtype=np.int64)
        return Item(features, len(ids), extra=extra)

    def start_ids(self) -> list[int]:
        """What an empty text is to a tokenizer that adds no special tokens: the token that texts start or end with."""
        for name in ("bos_token_id", "eos_token_id", "cls_token_id"):
            token = getattr(self.tokenizer, name, None)
            if token is not None:
                return [token]
        raise InputError("The text is empty, and the tokenizer adds no special tokens.", "Leave empty texts out.")

    @property
    def pad_id(self) -> int:
        """The id that fills up a batch; the model's own word comes first, as its positions may depend on it."""
        for owner in (self.config, self.tokenizer):
            pad = getattr(owner, "pad_token_id", None)
            if pad is not None:
                return int(pad)
        return 0

    def in_vocabulary(self, ids: Tensor) -> Tensor:
        """`ids`, if the model has a vector for each; raises `InputError`."""
        lowest, highest = ids.aminmax()
        words = getattr(self.config, "vocab_size", None)
        if words is not None and not 0 <= int(lowest) <= int(highest) < words:
            # Found here, as an accelerator would stop the whole process instead.
            raise InputError(
                f"The tokenizer gave the id {int(highest)}, but the model's vocabulary ends at {words - 1}.",
                "Use the tokenizer of this checkpoint, or call `model.resize_token_embeddings(len(tokenizer))`.",
            )
        return ids

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """Padded on the right; without an attention mask when no row is padded, as attention is faster then."""
        ids = [item.features["input_ids"] for item in items]
        batch: dict[str, Any] = {"input_ids": self.in_vocabulary(pad_rows(ids, self.pad_id))}
        if len({item.size for item in items}) > 1 or any("attention_mask" in item.features for item in items):
            ones = [item.features.get("attention_mask", np.ones(item.size, dtype=np.int64)) for item in items]
            batch["attention_mask"] = pad_rows(ones, 0)
        if any("token_type_ids" in item.features for item in items):
            none = [item.features.get("token_type_ids", np.zeros(item.size, dtype=np.int64)) for item in items]
            batch["token_type_ids"] = pad_rows(none, 0)
        return batch


def length_limit(model: Any, tokenizer: Any) -> int | None:
    """The most tokens that both can take; None: no limit."""
    limits = []
    if isinstance(tokenizer.model_max_length, int) and tokenizer.model_max_length < 1_000_000:
        limits.append(tokenizer.model_max_length)
    tables = [module for module in model.modules() if isinstance(module, LearnedPositions)]
    for table in tables:
        # RoBERTa's first positions belong to padding.
        taken = (table.padding_idx or 0) + 1 if isinstance(table, PaddingAwarePositions) else 0
        limits.append(table.num_embeddings - taken)
    positions = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits.append(positions)
    return min(limits, default=None)
