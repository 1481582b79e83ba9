"""Named tokenizers: each family's special tokens, inputs, vocabulary files and template, as a few lines of defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import TokenizerError
from samovar.text import backend, multilingual, unigrams
from samovar.text.marian import MarianTokenizer
from samovar.text.ranks import ONE_DIGIT
from samovar.text.tables import TapasTokenizer
from samovar.text.templates import (
    ROBERTA_TOKENS,
    WITHOUT_TYPES,
    register,
    surround,
    texts_of,
)
from samovar.text.tokenizer import Tokenizer
from samovar.text.wordpieces import BertTokenizer, DistilBertTokenizer, ElectraTokenizer, MPNetTokenizer


class PreTrainedTokenizerFast(Tokenizer):
    """Any tokenizer with a tokenizer.json; the name that older files use for it."""


class GPT2Tokenizer(Tokenizer):
    """Byte-level BPE from vocab.json and merges.txt, without special tokens around a text."""

    vocab_files_names = {"vocab_file": "vocab.json", "merges_file": "merges.txt"}
    defaults = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    pattern: ClassVar[str | None] = None
    compose: ClassVar[bool] = False

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
        rust = backend.byte_level_bpe(vocab, merges, settings, self.pattern, self.compose)
        register(rust, settings, self.lstrip_roles)
        rust.post_processor = self.template(rust, texts_of(settings), settings)
        return rust

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """None but those that `add_bos_token` (OPT) and `add_eos_token` ask for."""
        begin, end = bool(settings.get("add_bos_token")), bool(settings.get("add_eos_token"))
        return surround(rust, tokens, begin, end) if begin or end else backend.plain_bytes(rust, tokens)


class RobertaTokenizer(GPT2Tokenizer):
    """Byte-level BPE with `<s>` and `</s>` around a text."""

    defaults = {**ROBERTA_TOKENS, "model_input_names": WITHOUT_TYPES}

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """`<s> A </s></s> B </s>`."""
        return backend.roberta_template(rust, tokens, bool(settings.get("add_prefix_space", False)))


class BartTokenizer(RobertaTokenizer):
    """RoBERTa's tokenizer."""


class LongformerTokenizer(RobertaTokenizer):
    """RoBERTa's tokenizer, for longer texts."""


class GPTNeoXTokenizer(GPT2Tokenizer):
    """Byte-level BPE over composed characters."""

    defaults = {**GPT2Tokenizer.defaults, "pad_token": "<|padding|>"}
    compose = True


class Qwen2Tokenizer(GPT2Tokenizer):
    """Byte-level BPE over composed characters, with each digit by itself."""

    defaults = {"unk_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    pattern = ONE_DIGIT
    compose = True


class BloomTokenizer(Tokenizer):
    """Byte-level BPE over 46 languages, from tokenizer.json."""

    defaults = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    defaults = {**defaults, "padding_side": "left"}


CLASSES: tuple[type[Tokenizer], ...] = (
    BartTokenizer,
    BertTokenizer,
    BloomTokenizer,
    DistilBertTokenizer,
    ElectraTokenizer,
    GPT2Tokenizer,
    GPTNeoXTokenizer,
    LongformerTokenizer,
    MPNetTokenizer,
    MarianTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    RobertaTokenizer,
    TapasTokenizer,
    multilingual.M2M100Tokenizer,
    multilingual.MBart50Tokenizer,
    multilingual.MBartTokenizer,
    multilingual.NllbTokenizer,
    unigrams.AlbertTokenizer,
    unigrams.CamembertTokenizer,
    unigrams.DebertaV2Tokenizer,
    unigrams.GemmaTokenizer,
    unigrams.LlamaTokenizer,
    unigrams.MT5Tokenizer,
    unigrams.PegasusTokenizer,
    unigrams.T5Tokenizer,
    unigrams.XLMRobertaTokenizer,
    unigrams.XLNetTokenizer,
)
# By the names that files use: there is one kind of each, whatever the ending says.
TOKENIZERS: dict[str, type[Tokenizer]] = {
    f"{kind.__name__.removesuffix('Fast')}{suffix}": kind for kind in CLASSES for suffix in ("", "Fast")
}
TOKENIZERS |= {"TokenizersBackend": PreTrainedTokenizerFast, "PreTrainedTokenizer": PreTrainedTokenizerFast}
MODEL_TYPES = {
    BartTokenizer: "bart",
    BertTokenizer: "bert",
    BloomTokenizer: "bloom",
    DistilBertTokenizer: "distilbert",
    ElectraTokenizer: "electra",
    GPT2Tokenizer: "gpt2 opt gpt_neo gptj phi codegen starcoder2",
    GPTNeoXTokenizer: "gpt_neox olmo olmoe mamba rwkv mpt",
    LongformerTokenizer: "longformer",
    MPNetTokenizer: "mpnet",
    MarianTokenizer: "marian",
    Qwen2Tokenizer: "qwen2 qwen2_moe qwen3 qwen3_moe",
    TapasTokenizer: "tapas",
    RobertaTokenizer: "roberta roberta-prelayernorm",
    multilingual.M2M100Tokenizer: "m2m_100",
    multilingual.MBart50Tokenizer: "mbart50",
    multilingual.MBartTokenizer: "mbart",
    multilingual.NllbTokenizer: "nllb nllb-moe",
    unigrams.AlbertTokenizer: "albert",
    unigrams.CamembertTokenizer: "camembert",
    unigrams.DebertaV2Tokenizer: "deberta-v2",
    unigrams.GemmaTokenizer: "gemma gemma2 gemma3 gemma3_text t5gemma recurrent_gemma",
    unigrams.LlamaTokenizer: "llama mistral mixtral phi3",
    unigrams.MT5Tokenizer: "mt5 umt5",
    unigrams.PegasusTokenizer: "pegasus pegasus_x bigbird_pegasus",
    unigrams.T5Tokenizer: "t5 switch_transformers longt5",
    unigrams.XLMRobertaTokenizer: "xlm-roberta xlm-roberta-xl xmod",
    unigrams.XLNetTokenizer: "xlnet",
}
FOR_MODEL_TYPE = {model_type: kind for kind, types in MODEL_TYPES.items() for model_type in types.split()}
