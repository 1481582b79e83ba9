"""SentencePiece models on the Rust backend: the same pieces for the same text.

Normalisation, spaces, byte fallback and scores are carried over one by one, so that a text gets the ids that
SentencePiece itself gives it. Control pieces (`<s>`) become special tokens, which a text may hold, as everywhere here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import CorruptFileError, TokenizerError
from samovar.text.sentencepiece import ModelKind, Piece, PieceKind, SentencePieceModel

SPACE = "▁"
# SentencePiece gives a user-defined piece the best score that it knows — zero, as all are logarithms of probabilities —
# less this, so that it wins against all others.
USER_DEFINED_SCORE = -0.1


def to_rust(
    model: SentencePieceModel,
    *,
    pieces: Sequence[Piece] | None = None,
    unk_id: int | None = None,
    before: Sequence[Any] = (),
    scheme: str | None = None,
) -> RustTokenizer:
    """The Rust tokenizer of a model, without special tokens around a text.

    `pieces` and `unk_id` replace the model's own where a family orders its vocabulary differently; `before` are
    normalisers that run ahead of the model's map of characters; `scheme` is "always", "first" or "never": which parts
    of a text that special tokens cut get a space in front (by default as the model says).
    """
    if model.whitespace_as_suffix or not model.escape_whitespaces:
        raise TokenizerError(
            "This SentencePiece model puts spaces behind words, or leaves them as they are, which is not supported.",
            "Train it without treat_whitespace_as_suffix and with escape_whitespaces.",
        )
    table = list(model.pieces if pieces is None else pieces)
    unknown = model.unk_id if unk_id is None else unk_id
    rust = RustTokenizer(rust_model(model, table, unknown))
    spaces = scheme or ("always" if model.add_dummy_prefix else "never")
    rust.normalizer, cut = spacing(model, table, spaces, list(before))
    inside = any(SPACE in piece.text[1:] for piece in table)
    rust.decoder = decoder(model.byte_fallback or inside, spaces != "never")
    special = [AddedToken(p.text, normalized=False, special=True) for p in table if p.kind == PieceKind.CONTROL]
    rust.add_special_tokens(special)
    own = [piece.text for piece in table if piece.kind == PieceKind.USER_DEFINED]
    # Normalisation leaves user-defined pieces alone. Those that it would change are cut out of the text before it.
    changed = [text for text in own if f"a{text}a" not in normalised(rust.normalizer, f"a{text}a")]
    rust.add_tokens([AddedToken(text, normalized=False, special=False) for text in changed])
    kept = sorted((text for text in own if text not in changed), key=len, reverse=True)
    if kept and model.kind != ModelKind.UNIGRAM:
        # A unigram model finds its user-defined pieces by their scores; the others have them cut out first.
        each = pre_tokenizers.Split(Regex("|".join(map(re.escape, kept))), "isolated")
        cut = pre_tokenizers.Sequence([cut, each])
    rust.pre_tokenizer = cut
    return rust


def normalised(normalizer: normalizers.Normalizer | None, text: str) -> str:
    """The text as the model sees it."""
    return text if normalizer is None else normalizer.normalize_str(text)


def rust_model(model: SentencePieceModel, table: list[Piece], unknown: int) -> models.Model:
    """The algorithm with its vocabulary."""
    vocab = {piece.text: index for index, piece in enumerate(table)}
    unk_token = table[unknown].text
    if model.kind == ModelKind.UNIGRAM:
        return models.Unigram(scores(table), unk_id=unknown, byte_fallback=model.byte_fallback)
    if model.kind == ModelKind.WORD:
        return models.WordLevel(vocab, unk_token=unk_token)
    merges = merges_of(table) if model.kind == ModelKind.BPE else []
    # User-defined pieces, which no merge builds, are taken whole where the text was cut around them.
    whole = any(piece.kind == PieceKind.USER_DEFINED for piece in table)
    options = {"fuse_unk": True, "byte_fallback": model.byte_fallback, "ignore_merges": whole}
    return models.BPE(vocab, merges, unk_token=unk_token, **options)


def character_map(charsmap: bytes) -> list[normalizers.Normalizer]:
    """The model's map of characters, with what the Rust map does differently.

    SentencePiece replaces the longest match anywhere in the text. The Rust map goes by grapheme clusters, and of a
    short one that begins with a mapped character it drops the rest. So letters are joined with accents before it and
    after it, where the model's map does that. Left are accents that no letter of Unicode has: behind a mapped character
    they are dropped, and several of them are sorted.
    """
    try:
        mapped = normalizers.Precompiled(charsmap)
    except Exception as error:  # The Rust side raises a bare `Exception`.
        raise CorruptFileError(
            f"The model's map of characters cannot be read: {error}.", "Download it again."
        ) from error
    joins = mapped.normalize_str("e\u0301") == "é"
    steps: list[normalizers.Normalizer] = [normalizers.NFC(), mapped, normalizers.NFC()] if joins else [mapped]
    if mapped.normalize_str("\r") != "\r":
        # The one cluster of two control characters, of which the second would be lost.
        steps.insert(0, normalizers.Replace("\r\n", "\n\n"))
    return steps


def scores(table: list[Piece]) -> list[tuple[str, float]]:
    """Piece and score; pieces that no text may match cannot win against the characters that they are written with."""
    return [(p.text, USER_DEFINED_SCORE if p.kind == PieceKind.USER_DEFINED else p.score) for p in table]


def merges_of(table: Sequence[Piece]) -> list[tuple[str, str]]:
    """The pairs that BPE joins, the best score first.

    SentencePiece joins any two neighbours whose text together is a piece, so each piece stands for all the ways to cut
    it in two. Of the cuts of one piece, those with the longer left part come first.
    """
    known = {piece.text for piece in table if piece.kind in (PieceKind.NORMAL, PieceKind.UNUSED)}
    ranked = sorted(
        (piece for piece in table if piece.kind == PieceKind.NORMAL and len(piece.text) > 1),
        key=lambda piece: -piece.score,
    )
    merges = []
    for piece in ranked:
        text = piece.text
        for cut in range(len(text) - 1, 0, -1):
            left, right = text[:cut], text[cut:]
            if left in known and right in known:
                merges.append((left, right))
    return merges


def spacing(
    model: SentencePieceModel, table: list[Piece], scheme: str, before: list[Any]
) -> tuple[normalizers.Normalizer | None, pre_tokenizers.PreTokenizer]:
    """The normaliser, and the cut into parts that no piece crosses."""
    steps = list(before)
    if model.charsmap:
        steps += character_map(model.charsmap)
    normal = [piece.text for piece in table if piece.kind in (PieceKind.NORMAL, PieceKind.USER_DEFINED)]
    # Where a word's end and the next word's space can be one piece, the text stays whole.
    crossing = any(SPACE in text.lstrip(SPACE) for text in normal)
    runs = any(text.startswith(SPACE * 2) for text in normal)
    whole = crossing or SPACE not in normal
    if model.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +|[ ▁]+\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
        if scheme == "always" and not whole and not runs:
            # A space of the text is the mark in front of a word: without it the offsets are those of the word alone.
            steps.append(normalizers.Replace(Regex("(?<![^ ])▁"), SPACE * 2))
            words = pre_tokenizers.CharDelimiterSplit(" ")
            marks = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=True)
            return normalizers.Sequence(steps), pre_tokenizers.Sequence([words, marks])
    if scheme == "first":
        cut = pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=not whole and not runs)
        return (normalizers.Sequence(steps) if steps else None), cut
    if scheme == "always":
        steps.append(normalizers.Prepend(SPACE))
    steps.append(normalizers.Replace(" ", SPACE))
    if runs and not whole:
        return normalizers.Sequence(steps), pre_tokenizers.Split(Regex("▁+[^▁]*"), "isolated")
    return normalizers.Sequence(steps), pre_tokenizers.Metaspace(SPACE, prepend_scheme="never", split=not whole)


def decoder(whole: bool, prefix: bool) -> decoders.Decoder:
    """Pieces back to text; the space in front of the first word goes when the model put it there.

    `whole` is for models with bytes, or with spaces within pieces; for the others a piece is a text by itself.
    """
    if not whole:
        return decoders.Metaspace(SPACE, prepend_scheme="always" if prefix else "never")
    steps: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefix else steps)


def is_sentencepiece(path: Path) -> bool:
    """Whether a `.model` file is SentencePiece's own and not a list of byte ranks under the same name."""
    with path.open("rb") as file:
        return file.read(1) == b"\n"
