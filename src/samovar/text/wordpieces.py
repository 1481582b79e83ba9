"""Named tokenizers that cut words into pieces by the longest match, as BERT does (Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import TokenizerError
from samovar.text import backend
from samovar.text.templates import (
    AS_BERT,
    BERT_TOKENS,
    ROBERTA_TOKENS,
    WITH_TYPES,
    WITHOUT_TYPES,
    register,
    template,
    texts_of,
)
from samovar.text.tokenizer import Tokenizer


class BertTokenizer(Tokenizer):
    """WordPiece from vocab.txt, lower-cased unless `do_lower_case=False`."""

    vocab_files_names = {"vocab_file": "vocab.txt"}
    defaults = {**BERT_TOKENS, "model_input_names": WITH_TYPES}

    def build(
        self, vocab_file: str | Path | None, merges_file: str | Path | None, settings: Mapping[str, Any]
    ) -> RustTokenizer:
        """WordPiece with the family's template."""
        if vocab_file is None:
            raise TokenizerError(f"{type(self).__name__} needs vocab.txt or tokenizer.json.", "Give `vocab_file`.")
        tokens = texts_of(settings)
        rust = backend.wordpiece(backend.read_vocab(Path(vocab_file)), settings, tokens)
        register(rust, settings, self.lstrip_roles)
        rust.post_processor = self.template(rust, tokens)
        return rust

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str]) -> Any:
        """Where special tokens go."""
        return template(rust, tokens, AS_BERT)


class ElectraTokenizer(BertTokenizer):
    """BERT's tokenizer."""


class DistilBertTokenizer(BertTokenizer):
    """BERT's tokenizer for a model that reads no token types."""

    defaults = {**BERT_TOKENS, "model_input_names": WITHOUT_TYPES}


class MPNetTokenizer(BertTokenizer):
    """BERT's WordPiece with RoBERTa's special tokens and template."""

    defaults = {**ROBERTA_TOKENS, "unk_token": "[UNK]", "model_input_names": WITHOUT_TYPES}
    lstrip_roles = frozenset({"mask_token"})

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str]) -> Any:
        """`<s> A </s></s> B </s>`."""
        return backend.roberta_template(rust, tokens, add_prefix_space=False)
