"""SentencePiece models on the Rust backend give the ids of SentencePiece itself; damaged files say what is wrong."""

from __future__ import annotations

import itertools
import math
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from sentencepieces import HARD, train_model
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import CorruptFileError, TokenizerError
from samovar.text.pieces import to_rust
from samovar.text.sentencepiece import PieceKind, SentencePieceModel, read_sentencepiece

OWN = ["<user>", "▁▁", "wi"]
CASES = [
    {
        "model_type": kind,
        "byte_fallback": fallback,
        "normalization_rule_name": rule,
        "add_dummy_prefix": prefix,
        "remove_extra_whitespaces": remove,
        "user_defined_symbols": own,
    }
    for kind, fallback, rule, prefix, remove, own in itertools.product(
        ("unigram", "bpe"), (True, False), ("nmt_nfkc", "identity"), (True, False), (True, False), ([], OWN)
    )
]
CASES += [
    {"normalization_rule_name": "nmt_nfkc_cf"},
    {"normalization_rule_name": "nfkc", "split_by_whitespace": False},
    {"model_type": "char"},
    {"model_type": "bpe", "split_by_whitespace": False},
]


def name_of(case: dict[str, Any]) -> str:
    return "-".join(f"{value:d}" if isinstance(value, bool) else str(value) for value in case.values())


@pytest.fixture(scope="module", params=CASES, ids=name_of)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """SentencePiece's own tokenizer, the model as read here, and the Rust tokenizer of it."""
    case = request.param
    size = {"vocab_size": 600} if case.get("byte_fallback") else {}
    path = train_model(tmp_path_factory.mktemp("spm"), **case, **size)
    model = read_sentencepiece(path)
    return sentencepiece.SentencePieceProcessor(model_file=str(path)), model, to_rust(model)


def total(model: SentencePieceModel, ids: list[int]) -> float:
    """The score of a cut: what a unigram model makes as large as it can."""
    normal = [piece.score for piece in model.pieces if piece.kind == PieceKind.NORMAL]
    scores = {PieceKind.USER_DEFINED: -0.1, PieceKind.UNKNOWN: min(normal) - 10, PieceKind.BYTE: 0.0}
    return math.fsum(scores.get(model.pieces[index].kind, model.pieces[index].score) for index in ids)


@pytest.mark.slow
def test_the_file_is_read_whole(trained: tuple[Any, ...]) -> None:
    theirs, model, rust = trained
    assert [piece.text for piece in model.pieces] == [theirs.id_to_piece(i) for i in range(theirs.get_piece_size())]
    assert [piece.score for piece in model.pieces] == [theirs.get_score(i) for i in range(theirs.get_piece_size())]
    assert model.unk_id == theirs.unk_id()
    assert model.texts(PieceKind.CONTROL) == ["<s>", "</s>"]
    assert rust.get_vocab() == {piece.text: index for index, piece in enumerate(model.pieces)}


@pytest.mark.slow
def test_hard_texts_get_the_same_ids_and_text_back(trained: tuple[Any, ...]) -> None:
    theirs, model, rust = trained
    equal = 0
    for text in HARD:
        ids, expected = rust.encode(text).ids, theirs.encode(text)
        if ids != expected:
            # Cuts of the same score: which comes out is rounding, of 32 bits there and of 64 here.
            assert theirs.decode(ids) == theirs.decode(expected), text[:80]
            assert total(model, ids) == pytest.approx(total(model, expected), rel=1e-6), text[:80]
        else:
            equal += 1
        if not text.startswith("▁"):  # SentencePiece drops a text's own marks there as if they were spaces.
            assert rust.decode(ids) == theirs.decode(ids).replace(" ⁇ ", model.pieces[model.unk_id].text)
    assert equal >= len(HARD) - 3


@pytest.mark.slow
def test_a_tokenizer_json_keeps_all_of_it(trained: tuple[Any, ...]) -> None:
    _, _, rust = trained
    again = RustTokenizer.from_str(rust.to_str())
    for text in HARD:
        assert again.encode(text).ids == rust.encode(text).ids
    assert again.decode(again.encode(HARD[0]).ids) == rust.decode(rust.encode(HARD[0]).ids)


def test_offsets_lead_back_to_the_characters(trained: tuple[Any, ...]) -> None:
    _, _, rust = trained
    text = "hello unaffordable low world"
    encoded = rust.encode(text)
    for token, (start, end) in zip(encoded.tokens, encoded.offsets, strict=True):
        letters = token.replace("▁", "")
        if letters and not letters.startswith("<"):
            assert text[start:end].strip() == letters


@pytest.mark.parametrize("rule", ["nmt_nfkc", "nfkc", "nmt_nfkc_cf"])
def test_every_character_is_normalised_as_there(rule: str, tmp_path: Path) -> None:
    path = train_model(tmp_path, normalization_rule_name=rule, remove_extra_whitespaces=False, add_dummy_prefix=False)
    theirs, rust = sentencepiece.SentencePieceProcessor(model_file=str(path)), to_rust(read_sentencepiece(path))
    assert rust.normalizer is not None
    # U+0344 is two accents, which SentencePiece's map does not know.
    different = [
        hex(code)
        for code in range(1, 0x3400)
        if code != 0x344 and theirs.normalize(f"a{chr(code)}b") != rust.normalizer.normalize_str(f"a{chr(code)}b")
    ]
    assert different == []
    for text in ("Ёлка и йод", "Việt Nam: phở", "がぎぐ ｶﾞｷﾞ", "한국어", "éàü Å ñ", "a\r\nb\rc\nd"):
        for form in ("NFC", "NFD"):
            given = unicodedata.normalize(form, text)
            assert rust.normalizer.normalize_str(given) == theirs.normalize(given)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_model(tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
def test_a_cut_file_is_named(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    path = tmp_path / "spiece.model"
    for size in [*range(0, 400), *range(400, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(CorruptFileError, match=r"spiece\.model is no SentencePiece model, or a part of one"):
            read_sentencepiece(path)


@pytest.mark.slow
def test_a_damaged_file_never_raises_anything_else(whole: Path, tmp_path: Path) -> None:
    content = bytearray(whole.read_bytes())
    path = tmp_path / "spiece.model"
    refused = 0
    for position in range(0, len(content), 499):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            to_rust(read_sentencepiece(path))
        except (CorruptFileError, TokenizerError):
            refused += 1
    assert refused > 0


def test_a_pointer_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "spiece.model"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n")
    with pytest.raises(CorruptFileError, match="pointer"):
        read_sentencepiece(path)
    with pytest.raises(TokenizerError, match="cannot be read"):
        read_sentencepiece(tmp_path / "none.model")


def test_what_cannot_be_carried_over_is_refused(tmp_path: Path) -> None:
    path = train_model(tmp_path, treat_whitespace_as_suffix=True)
    with pytest.raises(TokenizerError, match="spaces behind words"):
        to_rust(read_sentencepiece(path))
