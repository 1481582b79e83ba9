"""A tokenizer whose tokens are bytes, so that characters come in pieces."""

from __future__ import annotations

import functools
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import samovar


@functools.cache
def byte_tokenizer() -> Any:
    """256 tokens, and the words that are merged from them."""
    alphabet = {character: index for index, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("Ġ", "t"), ("e", "a"), ("Ġt", "ea")]
    vocabulary = alphabet | {"".join(pair): 256 + index for index, pair in enumerate(merges)}
    backend = Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return samovar.PreTrainedTokenizerFast(tokenizer_object=backend)


def ids_of(text: str) -> list[int]:
    """The tokens of a text."""
    return list(byte_tokenizer()(text)["input_ids"])
