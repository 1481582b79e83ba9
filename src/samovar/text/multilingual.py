"""Tokenizers of translation models, which mark a text with a token of its language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import InputError, TokenizerError, nearest
from samovar.text.backend import read_content, read_vocab
from samovar.text.encoding import BatchEncoding
from samovar.text.languages import M2M100, MBART, MBART50, NLLB
from samovar.text.sentencepiece import Piece, PieceKind
from samovar.text.special_tokens import as_token
from samovar.text.templates import ROBERTA_TOKENS, WITHOUT_TYPES, template
from samovar.text.unigrams import SentencePieceTokenizer, XLMRobertaTokenizer

LANGUAGE_FIRST = ("language:0 $A:0 eos_token:0", "language:0 $A:0 $B:0 eos_token:0")
LANGUAGE_LAST = ("$A:0 eos_token:0 language:0", "$A:0 $B:0 eos_token:0 language:0")


class TranslationTokenizer(SentencePieceTokenizer):
    """Marks texts with `src_lang`, and those given as `text_target` with `tgt_lang`.

    Both are attributes and settings; `lang_code_to_id` holds the languages that the vocabulary knows. Raises
    `InputError` with the list of them for any other.
    """

    codes: ClassVar[tuple[str, ...]] = ()
    written: ClassVar[str] = "{}"
    first: ClassVar[str] = ""

    def __init__(self, *args: Any, src_lang: str | None = None, tgt_lang: str | None = None, **settings: Any) -> None:
        extra = settings.pop("additional_special_tokens", None) or settings.pop("extra_special_tokens", None) or []
        marks = [self.written.format(code) for code in self.codes]
        super().__init__(*args, additional_special_tokens=list(dict.fromkeys([*marks, *extra])), **settings)
        self.languages = {"source": self.first, "target": tgt_lang}
        self.src_lang = self.first if src_lang is None else src_lang
        self.tgt_lang = tgt_lang

    @property
    def lang_code_to_id(self) -> dict[str, int]:
        """Language → the id of its token."""
        found = ((code, self.rust.token_to_id(self.written.format(code))) for code in self.codes)
        return {code: index for code, index in found if index is not None}

    def get_lang_token(self, lang: str) -> str:
        """The token of a language. Raises `InputError` with the languages that the vocabulary knows."""
        known = self.lang_code_to_id
        if lang not in known:
            near = nearest(str(lang), known)
            hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise InputError(f"{lang!r} is no language of this tokenizer.", f"{hint}It knows: {', '.join(known)}.")
        return self.written.format(lang)

    def get_lang_id(self, lang: str) -> int:
        """The id of a language's token, which `forced_bos_token_id` takes."""
        self.get_lang_token(lang)
        return self.lang_code_to_id[lang]

    @property
    def src_lang(self) -> str:
        """The language of texts."""
        return str(self.languages["source"])

    @src_lang.setter
    def src_lang(self, lang: str) -> None:
        self.set_src_lang_special_tokens(lang)
        self.languages["source"] = lang

    @property
    def tgt_lang(self) -> str | None:
        """The language of texts given as `text_target`; that of the others when None."""
        return self.languages["target"]

    @tgt_lang.setter
    def tgt_lang(self, lang: str | None) -> None:
        if lang is not None:
            self.get_lang_token(lang)
        self.languages["target"] = lang

    def __call__(self, text: Any = None, *args: Any, **options: Any) -> BatchEncoding:
        """As of any tokenizer; texts are always marked with `src_lang`, `text_target` always with `tgt_lang`."""
        with self.lock:
            self.set_src_lang_special_tokens(self.src_lang)
            return super().__call__(text, *args, **options)

    def language_layout(self) -> tuple[str, str]:
        """Where the token of the language goes."""
        return LANGUAGE_FIRST

    def set_src_lang_special_tokens(self, src_lang: str) -> None:
        """Mark what `encode_texts` is given next as of this language."""
        tokens = {"language": self.get_lang_token(src_lang), "eos_token": str(self.eos_token)}
        with self.lock:
            self.rust.post_processor = template(self.rust, tokens, self.language_layout())

    set_tgt_lang_special_tokens = set_src_lang_special_tokens

    @contextmanager
    def target_mode(self) -> Iterator[None]:
        """While it lasts texts are marked with `tgt_lang`; other threads wait."""
        with self.lock:
            self.set_tgt_lang_special_tokens(self.tgt_lang or self.src_lang)
            try:
                yield
            finally:
                self.set_src_lang_special_tokens(self.src_lang)

    def template(self, rust: RustTokenizer, tokens: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
        """The language is set once the special tokens are known."""
        return None

    def to_config(self) -> dict[str, Any]:
        """With both languages."""
        return {**super().to_config(), "src_lang": self.src_lang, "tgt_lang": self.tgt_lang}


class MBartTokenizer(TranslationTokenizer, XLMRobertaTokenizer):
    """mBART (Liu et al. 2020): the language behind `</s>`."""

    codes = MBART
    first = "en_XX"
    back = (*MBART, "<mask>")
    lstrip_roles = frozenset({"mask_token"})

    def language_layout(self) -> tuple[str, str]:
        """`A </s> en_XX`."""
        return LANGUAGE_LAST


class MBart50Tokenizer(TranslationTokenizer, XLMRobertaTokenizer):
    """mBART-50 (Tang et al. 2020): the language in front of the text."""

    defaults = {role: token for role, token in XLMRobertaTokenizer.defaults.items() if role != "bos_token"}
    codes = MBART50
    first = "en_XX"
    back = (*MBART50, "<mask>")
    lstrip_roles = frozenset({"mask_token"})


class NllbTokenizer(TranslationTokenizer, XLMRobertaTokenizer):
    """NLLB-200 (2022): the language in front, or behind as in the first release (`legacy_behaviour=True`)."""

    codes = NLLB
    first = "eng_Latn"
    back = (*NLLB, "<mask>")
    lstrip_roles = frozenset({"mask_token"})

    def language_layout(self) -> tuple[str, str]:
        """`eng_Latn A </s>`."""
        return LANGUAGE_LAST if self.settings.get("legacy_behaviour") else LANGUAGE_FIRST


class M2M100Tokenizer(TranslationTokenizer):
    """M2M-100 (Fan et al. 2020): ids from vocab.json, pieces from a SentencePiece model, languages behind them."""

    vocab_files_names = {"vocab_file": "vocab.json", "spm_file": "sentencepiece.bpe.model"}
    codes = M2M100
    written = "__{}__"
    first = "en"
    defaults = {role: token for role, token in ROBERTA_TOKENS.items() if role not in ("cls_token", "mask_token")}
    defaults = {**defaults, "model_input_names": WITHOUT_TYPES}

    def build(
        self, vocab_file: str | Path | None, merges_file: str | Path | None, settings: Mapping[str, Any]
    ) -> RustTokenizer:
        """The pieces of the model under the ids of vocab.json."""
        if vocab_file is None or settings.get("spm_file") is None:
            raise TokenizerError(
                f"{type(self).__name__} needs vocab.json and sentencepiece.bpe.model, or tokenizer.json.",
                "Give `vocab_file` and `spm_file`.",
            )
        vocab, model = Path(vocab_file), Path(settings["spm_file"])
        self.files = {"vocab.json": read_content(vocab), "sentencepiece.bpe.model": read_content(model)}
        return super().build(model, None, {**settings, "vocab": read_vocab(vocab), "vocab_file": str(vocab)})

    def arranged(self, pieces: Sequence[Piece], settings: Mapping[str, Any], path: str) -> list[Piece]:
        """In the order of vocab.json. Raises `TokenizerError` when the two files do not belong together."""
        return by_ids(settings["vocab"], pieces, settings, f"{settings['vocab_file']} and {path}")

    @property
    def lang_token_to_id(self) -> dict[str, int]:
        """Language token → id."""
        return {self.written.format(code): index for code, index in self.lang_code_to_id.items()}


def by_ids(vocab: Mapping[str, int], pieces: Sequence[Piece], settings: Mapping[str, Any], files: str) -> list[Piece]:
    """The pieces in the order of a vocabulary; its tokens that are no pieces come with a score that never wins.

    Raises `TokenizerError` when ids are left out, or fewer than half of the pieces are in the vocabulary.
    """
    if sorted(vocab.values()) != list(range(len(vocab))):
        gap = min(set(range(len(vocab))) - set(vocab.values()))
        raise TokenizerError(f"{files}: the vocabulary has no token of the id {gap}.", "Download the files again.")
    apart = (PieceKind.CONTROL, PieceKind.UNKNOWN)
    known = {piece.text: piece for piece in pieces if piece.kind not in apart}
    shared = sum(text in vocab for text in known)
    if 2 * shared < len(known):
        raise TokenizerError(
            f"{files} contradict each other: {shared} of the model's {len(known)} pieces are in the vocabulary.",
            "Take both files from the same checkpoint.",
        )
    lowest = min((piece.score for piece in known.values()), default=0.0)
    unknown = as_token(settings.get("unk_token", "<unk>")).content
    special = {piece.text for piece in pieces if piece.kind in apart}
    special |= {as_token(token).content for role, token in settings.items() if role.endswith("_token") and token}
    table = []
    for text in sorted(vocab, key=lambda token: vocab[token]):
        kind = PieceKind.CONTROL if text in special else PieceKind.NORMAL
        default = Piece(text, lowest - 9, PieceKind.UNKNOWN if text == unknown else kind)
        table.append(known.get(text, default))
    if not any(piece.kind == PieceKind.UNKNOWN for piece in table):
        raise TokenizerError(
            f"{files}: the vocabulary has no {unknown!r}.", "Give `unk_token` as the vocabulary has it."
        )
    return table
