"""Named tokenizers: each family's special tokens, inputs, vocabulary files and template, as a few lines of defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import TokenizerError
from samovar.text import backend
from samovar.text.special_tokens import ROLES, as_token
from samovar.text.tokenizer import Tokenizer

WITH_TYPES = ["input_ids", "token_type_ids", "attention_mask"]
WITHOUT_TYPES = ["input_ids", "attention_mask"]
BERT_TOKENS = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
BERT_TOKENS["mask_token"] = "[MASK]"
ROBERTA_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>"}
ROBERTA_TOKENS |= {"pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"}


def texts_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Role → token as text."""
    return {role: as_token(settings[role]).content for role in ROLES if settings.get(role) is not None}


def register(rust: RustTokenizer, settings: Mapping[str, Any], lstrip: frozenset[str]) -> None:
    """Make the special tokens known before a template asks for their ids."""
    roles = [role for role in ROLES if settings.get(role) is not None]
    rust.add_special_tokens([as_token(settings[role], lstrip=role in lstrip) for role in roles])


class PreTrainedTokenizerFast(Tokenizer):
    """Any tokenizer with a tokenizer.json; the name that older files use for it."""


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
        return backend.bert_template(rust, tokens)


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


class GPT2Tokenizer(Tokenizer):
    """Byte-level BPE from vocab.json and merges.txt, without special tokens around a text."""

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt"}
    defaults = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")

    def build(
        self, vocab_file: str | Path | None, merges_file: str | Path | None, settings: Mapping[str, Any]
    ) -> RustTokenizer:
        """Byte-level BPE with the family's template."""
        if vocab_file is None or merges_file is None:
            raise TokenizerError(
                f"{type(self).__name__} needs vocab.json and merges.txt, or tokenizer.json.",
                "Give `vocab_file` and `merges_file`.",
            )
        vocab, merges = backend.read_vocab(Path(vocab_file)), backend.read_merges(Path(merges_file))
        rust = backend.byte_level_bpe(vocab, merges, settings)
        register(rust, settings, self.lstrip_roles)
        rust.post_processor = self.template(rust, texts_of(settings), settings)
        return rust

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """No special tokens."""
        return backend.plain_bytes(rust, tokens)


class RobertaTokenizer(GPT2Tokenizer):
    """Byte-level BPE with `<s>` and `</s>` around a text."""

    defaults = {**ROBERTA_TOKENS, "model_input_names": WITHOUT_TYPES}

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """`<s> A </s></s> B </s>`."""
        return backend.roberta_template(rust, tokens, bool(settings.get("add_prefix_space", False)))


class XLMRobertaTokenizer(Tokenizer):
    """Unigram pieces over a hundred languages, from tokenizer.json."""

    defaults = {**ROBERTA_TOKENS, "model_input_names": WITHOUT_TYPES}


class CamembertTokenizer(XLMRobertaTokenizer):
    """Unigram pieces of French, from tokenizer.json."""

    lstrip_roles = frozenset({"mask_token"})


class AlbertTokenizer(Tokenizer):
    """Unigram pieces, from tokenizer.json."""

    defaults = {
        **BERT_TOKENS,
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "model_input_names": WITHOUT_TYPES,
    }


# There is one kind of each; the names of old stay importable.
AlbertTokenizerFast = AlbertTokenizer
BertTokenizerFast = BertTokenizer
CamembertTokenizerFast = CamembertTokenizer
DistilBertTokenizerFast = DistilBertTokenizer
ElectraTokenizerFast = ElectraTokenizer
GPT2TokenizerFast = GPT2Tokenizer
MPNetTokenizerFast = MPNetTokenizer
RobertaTokenizerFast = RobertaTokenizer
XLMRobertaTokenizerFast = XLMRobertaTokenizer

FOR_MODEL_TYPE: dict[str, type[Tokenizer]] = {
    "albert": AlbertTokenizer,
    "bert": BertTokenizer,
    "camembert": CamembertTokenizer,
    "distilbert": DistilBertTokenizer,
    "electra": ElectraTokenizer,
    "gpt2": GPT2Tokenizer,
    "mpnet": MPNetTokenizer,
    "roberta": RobertaTokenizer,
    "roberta-prelayernorm": RobertaTokenizer,
    "xlm-roberta": XLMRobertaTokenizer,
}
TOKENIZERS: dict[str, type[Tokenizer]] = {
    f"{kind.__name__}{suffix}": kind for kind in FOR_MODEL_TYPE.values() for suffix in ("", "Fast")
}
TOKENIZERS |= {"PreTrainedTokenizerFast": PreTrainedTokenizerFast, "TokenizersBackend": PreTrainedTokenizerFast}
