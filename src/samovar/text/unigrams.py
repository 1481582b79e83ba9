"""Tokenizers of SentencePiece models: for each family the order of its ids, its template and what it does before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer as RustTokenizer
from tokenizers import normalizers, pre_tokenizers

from samovar.errors import TokenizerError
from samovar.text.pieces import is_sentencepiece, to_rust
from samovar.text.ranks import from_ranks
from samovar.text.sentencepiece import Piece, PieceKind, read_sentencepiece
from samovar.text.special_tokens import as_token
from samovar.text.templates import (
    AS_BERT,
    AS_ROBERTA,
    AS_XLNET,
    BERT_TOKENS,
    PLAIN,
    ROBERTA_TOKENS,
    WITH_END,
    WITH_ONE_END,
    WITH_TYPES,
    WITHOUT_TYPES,
    register,
    surround,
    template,
    texts_of,
)
from samovar.text.tokenizer import Tokenizer

GENERAL = "PreTrainedTokenizerFast"


class SentencePieceTokenizer(Tokenizer):
    """A `.model` file with the ids and the spaces that it says; families change the order and add a template.

    A file of the same name that lists tokens in base64 (tiktoken) is read as such. Raises `TokenizerError` for a file
    that does not fit the family, `CorruptFileError` for one that cannot be read.
    """

    vocab_files_names = {"vocab_file": "spiece.model"}
    defaults: ClassVar[Mapping[str, Any]] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    layout: ClassVar[tuple[str, str]] = PLAIN
    # Ids that begin the vocabulary, in place of as many pieces of the file, and those that end it.
    front: ClassVar[tuple[str, ...]] = ()
    replaced: ClassVar[int] = 0
    back: ClassVar[tuple[str, ...]] = ()
    scheme: ClassVar[str | None] = None

    def build(
        self, vocab_file: str | Path | None, merges_file: str | Path | None, settings: Mapping[str, Any]
    ) -> RustTokenizer:
        """The file's pieces in the family's order, with its template."""
        if vocab_file is None:
            name = self.vocab_files_names["vocab_file"]
            raise TokenizerError(f"{type(self).__name__} needs {name} or tokenizer.json.", "Give `vocab_file`.")
        if not is_sentencepiece(Path(vocab_file)):
            rust = from_ranks(Path(vocab_file), settings)
            given = {role: token for role, token in settings.items() if settings.get(role) != self.defaults.get(role)}
            register(rust, given, self.lstrip_roles)
            rust.post_processor = surround(
                rust, texts_of(given), bool(given.get("add_bos_token")), bool(given.get("add_eos_token"))
            )
            return rust
        model = read_sentencepiece(Path(vocab_file))
        tokens = texts_of(settings)
        pieces = self.arranged(model.pieces, settings, str(vocab_file))
        unknown = next((i for i, piece in enumerate(pieces) if piece.kind == PieceKind.UNKNOWN), None)
        rust = to_rust(model, pieces=pieces, unk_id=unknown, before=self.before(settings), scheme=self.spaces(settings))
        if type(self) is SentencePieceTokenizer:
            # Without a family the defaults are a guess, and a guess adds no token.
            known = {piece.text for piece in pieces}
            settings = {role: token for role, token in settings.items() if tokens.get(role, "<unk>") in known}
        register(rust, settings, self.lstrip_roles)
        rust.post_processor = self.template(rust, tokens, settings)
        return rust

    def to_config(self) -> dict[str, Any]:
        """Under the general name where there is no family."""
        config = super().to_config()
        return {**config, "tokenizer_class": GENERAL} if type(self) is SentencePieceTokenizer else config

    def arranged(self, pieces: Sequence[Piece], settings: Mapping[str, Any], path: str) -> list[Piece]:
        """The vocabulary in the order of its ids."""
        lost = [piece.text for piece in pieces[: self.replaced] if piece.kind == PieceKind.NORMAL]
        if lost:
            raise TokenizerError(
                f"{path} is no model for {type(self).__name__}: its first {self.replaced} pieces are to be special "
                f"tokens, and {lost[0]!r} is among them.",
                "Use the class that the checkpoint names, or the general AutoTokenizer.",
            )
        middle = pieces[self.replaced :]
        known = {piece.text for piece in middle} | set(self.front)
        unknown = as_token(settings.get("unk_token", "<unk>")).content
        first = [Piece(t, 0.0, PieceKind.UNKNOWN if t == unknown else PieceKind.CONTROL) for t in self.front]
        last = [Piece(text, 0.0, PieceKind.CONTROL) for text in self.ending(settings) if text not in known]
        return [*first, *middle, *last]

    def ending(self, settings: Mapping[str, Any]) -> Sequence[str]:
        """The special tokens that end the vocabulary."""
        return self.back

    def before(self, settings: Mapping[str, Any]) -> list[Any]:
        """What happens to a text before the model's own map of characters."""
        return []

    def spaces(self, settings: Mapping[str, Any]) -> str | None:
        """Which parts of a text get a space in front; None for what the model says."""
        return self.scheme

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """Where special tokens go."""
        return template(rust, tokens, self.layout)


class T5Tokenizer(SentencePieceTokenizer):
    """T5 (Raffel et al. 2020): `</s>` behind each text, and `extra_ids` sentinels that count down to the last id."""

    layout = WITH_END
    defaults = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "model_input_names": WITHOUT_TYPES}

    def __init__(self, *args: Any, extra_ids: int = 100, **settings: Any) -> None:
        sentinels = [f"<extra_id_{index}>" for index in range(extra_ids)]
        given = settings.pop("additional_special_tokens", None) or settings.pop("extra_special_tokens", None) or []
        own = [as_token(token).content for token in given]
        named = [*given, *(token for token in sentinels if token not in own)]
        super().__init__(*args, extra_ids=extra_ids, additional_special_tokens=named, **settings)

    def ending(self, settings: Mapping[str, Any]) -> Sequence[str]:
        """The sentinels, the last one first."""
        return [f"<extra_id_{index}>" for index in reversed(range(settings["extra_ids"]))]

    def get_sentinel_tokens(self) -> list[str]:
        """The sentinels."""
        return [token for token in self.additional_special_tokens if token.startswith("<extra_id_")]

    def get_sentinel_token_ids(self) -> list[int]:
        """Their ids."""
        return self.convert_tokens_to_ids(self.get_sentinel_tokens())


class MT5Tokenizer(T5Tokenizer):
    """T5's tokenizer over a hundred languages."""


class PegasusTokenizer(SentencePieceTokenizer):
    """PEGASUS (Zhang et al. 2020): `</s>` behind, and 103 ids of masks and reserved tokens in front."""

    layout = WITH_ONE_END
    front = ("<pad>", "</s>", "<mask_1>", "<mask_2>", *(f"<unk_{index}>" for index in range(2, 103)))
    replaced = 2
    defaults = {
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask_2>",
        "additional_special_tokens": ["<mask_1>", *front[4:]],
        "model_input_names": WITHOUT_TYPES,
    }


class XLMRobertaTokenizer(SentencePieceTokenizer):
    """XLM-R (Conneau et al. 2020): fairseq's order of ids, RoBERTa's template."""

    vocab_files_names = {"vocab_file": "sentencepiece.bpe.model"}
    layout = AS_ROBERTA
    front: ClassVar[tuple[str, ...]] = ("<s>", "<pad>", "</s>", "<unk>")
    replaced = 3
    back: ClassVar[tuple[str, ...]] = ("<mask>",)
    defaults = {**ROBERTA_TOKENS, "model_input_names": WITHOUT_TYPES}


class CamembertTokenizer(XLMRobertaTokenizer):
    """CamemBERT (Martin et al. 2020): French, with fairseq's four ids in front of those that the model has itself."""

    front = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED")
    replaced = 1
    lstrip_roles = frozenset({"mask_token"})


class AlbertTokenizer(SentencePieceTokenizer):
    """ALBERT (Lan et al. 2020): lower-cased and without accents unless settings say otherwise, BERT's template."""

    layout = AS_BERT
    defaults = {
        **BERT_TOKENS,
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "model_input_names": WITHOUT_TYPES,
    }
    lower: ClassVar[bool] = True

    def arranged(self, pieces: Sequence[Piece], settings: Mapping[str, Any], path: str) -> list[Piece]:
        """The file's order; pieces of a digit and a comma are made unlikely, since these models cut them apart."""
        return [
            Piece(p.text, p.score - 100 * (len(p.text) > 1 and p.text[-1] == "," and p.text[-2].isdigit()), p.kind)
            for p in super().arranged(pieces, settings, path)
        ]

    def before(self, settings: Mapping[str, Any]) -> list[Any]:
        """Quotes made of two characters, accents, and case."""
        steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        if not settings.get("keep_accents", False):
            steps += [normalizers.NFKD(), normalizers.StripAccents()]
        return [*steps, normalizers.Lowercase()] if settings.get("do_lower_case", self.lower) else steps


class XLNetTokenizer(AlbertTokenizer):
    """XLNet (Yang et al. 2019): special tokens behind the text, which is padded in front."""

    layout = AS_XLNET
    lower = False
    lstrip_roles = frozenset({"mask_token"})
    defaults = {
        **ROBERTA_TOKENS,
        "sep_token": "<sep>",
        "cls_token": "<cls>",
        "additional_special_tokens": ["<eop>", "<eod>"],
        "padding_side": "left",
        "model_input_names": WITH_TYPES,
    }

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.pad_token_type_id = 3


class DebertaV2Tokenizer(SentencePieceTokenizer):
    """DeBERTa-v2 and v3 (He et al. 2021): BERT's special tokens and template."""

    vocab_files_names = {"vocab_file": "spm.model"}
    layout = AS_BERT
    back = ("[MASK]",)
    defaults = {**BERT_TOKENS, "bos_token": "[CLS]", "eos_token": "[SEP]", "model_input_names": WITH_TYPES}

    def before(self, settings: Mapping[str, Any]) -> list[Any]:
        """Case."""
        return [normalizers.Lowercase()] if settings.get("do_lower_case", False) else []

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """BERT's; where `split_by_punct` says so no piece reaches over punctuation."""
        if settings.get("split_by_punct", False):
            rust.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Punctuation("isolated"), rust.pre_tokenizer])
        return super().template(rust, tokens, settings)


class LlamaTokenizer(SentencePieceTokenizer):
    """LLaMA (Touvron et al. 2023): BPE with bytes for what is no piece, and `<s>` in front of a text."""

    vocab_files_names = {"vocab_file": "tokenizer.model"}
    defaults = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "padding_side": "left",
        "model_input_names": WITHOUT_TYPES,
    }

    def spaces(self, settings: Mapping[str, Any]) -> str | None:
        """In front of the text, and as older versions did (`legacy`) also behind each special token."""
        if not settings.get("add_prefix_space", True):
            return "never"
        return "always" if settings.get("legacy", False) else "first"

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """`<s>` unless `add_bos_token=False`; `</s>` with `add_eos_token=True`."""
        return surround(rust, tokens, bool(settings.get("add_bos_token", True)), bool(settings.get("add_eos_token")))


class GemmaTokenizer(LlamaTokenizer):
    """Gemma (2024): as LLaMA, without a space in front of a text."""

    scheme = "never"
    defaults = {
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "padding_side": "left",
        "model_input_names": WITHOUT_TYPES,
    }

    def spaces(self, settings: Mapping[str, Any]) -> str | None:
        """Nowhere."""
        return self.scheme
