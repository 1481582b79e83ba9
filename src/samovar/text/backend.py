"""Rust tokenizers from vocabulary files: WordPiece (`vocab.txt`) and byte-level BPE (`vocab.json` + `merges.txt`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import CorruptFileError, TokenizerError


def read_content(path: Path) -> bytes:
    """A file's bytes. Raises `TokenizerError` when it cannot be read, `CorruptFileError` for a pointer of git-lfs."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    if content.startswith(b"version https://git-lfs"):
        raise CorruptFileError(f"{path} is a pointer to a large file, not the file.", "Fetch it: git lfs pull.")
    return content


def from_json(path: Path) -> RustTokenizer:
    """Read tokenizer.json. Raises `CorruptFileError`."""
    content = read_content(path)
    try:
        return RustTokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # The Rust side raises bare `Exception` for whatever it cannot parse.
        raise CorruptFileError(f"{path} is no tokenizer: {error}.", "Download the file again.") from error


def read_vocab(path: Path) -> dict[str, int]:
    """vocab.txt (one token a line) or vocab.json (token → id). Raises `CorruptFileError` or `TokenizerError`."""
    content = read_content(path)
    try:
        text = content.decode("utf-8")
        if path.suffix == ".json":
            vocab = {str(token): int(index) for token, index in json.loads(text).items()}
        else:
            lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
            vocab = {token: index for index, token in enumerate(lines) if token}
    except (ValueError, AttributeError, TypeError) as error:
        raise CorruptFileError(f"{path} is no vocabulary: {error}.", "Download the file again.") from error
    if not vocab:
        raise TokenizerError(f"{path} holds no token.", "Give a vocabulary with one token a line.")
    if len(set(vocab.values())) < len(vocab):
        taken: dict[int, str] = {}
        first, second = next((taken[i], token) for token, i in vocab.items() if taken.setdefault(i, token) != token)
        raise TokenizerError(
            f"{path} gives the tokens {first!r} and {second!r} one id ({vocab[second]}).", "Download the file again."
        )
    return vocab


def read_merges(path: Path) -> list[tuple[str, str]]:
    """merges.txt: a pair of pieces a line, the most frequent first. Raises `CorruptFileError`."""
    try:
        content = read_content(path).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"{path} is no list of merges: {error}.", "Download the file again.") from error
    merges = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right:
            raise CorruptFileError(f"{path}, line {number}: {line!r} is no pair of pieces.", "Download it again.")
        merges.append((left, right))
    return merges


def wordpiece(vocab: Mapping[str, int], settings: Mapping[str, Any], tokens: Mapping[str, str]) -> RustTokenizer:
    """WordPiece as in BERT (Devlin et al. 2019): clean, lower-case, split at spaces and punctuation, longest match."""
    rust = RustTokenizer(models.WordPiece(dict(vocab), unk_token=tokens["unk_token"], max_input_chars_per_word=100))
    rust.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.WordPiece(prefix="##")
    return rust


def byte_level_bpe(
    vocab: Mapping[str, int],
    merges: list[tuple[str, str]],
    settings: Mapping[str, Any],
    pattern: str | None = None,
    compose: bool = False,
) -> RustTokenizer:
    """Byte-pair encoding over bytes (Radford et al. 2019).

    `pattern` cuts the text first, GPT-2's own by default; with `compose` accents are joined with their letters (NFC).
    Raises `TokenizerError` when the merges need a piece that the vocabulary does not have.
    """
    for left, right in merges:
        for piece in (left, right, left + right):
            if piece not in vocab:
                raise TokenizerError(
                    f"The merges and the vocabulary contradict each other: {left!r} and {right!r} are to be joined, "
                    f"and {piece!r} is no token.",
                    "Take both files from the same checkpoint.",
                )
    rust = RustTokenizer(models.BPE(dict(vocab), merges, fuse_unk=False))
    prefix = bool(settings.get("add_prefix_space"))
    cut: pre_tokenizers.PreTokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=pattern is None)
    if pattern is not None:
        cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), cut])
    if compose:
        rust.normalizer = normalizers.NFC()
    rust.pre_tokenizer = cut
    rust.decoder = decoders.ByteLevel()
    return rust


def roberta_template(
    rust: RustTokenizer, tokens: Mapping[str, str], add_prefix_space: bool
) -> processors.PostProcessor:
    """`<s> A </s></s> B </s>`, all of type 0; offsets leave out the space before a word."""
    pairs = [(token, rust.token_to_id(token) or 0) for token in (tokens["sep_token"], tokens["cls_token"])]
    return processors.RobertaProcessing(pairs[0], pairs[1], trim_offsets=True, add_prefix_space=add_prefix_space)


def plain_bytes(rust: RustTokenizer, tokens: Mapping[str, str]) -> processors.PostProcessor:
    """No special tokens; offsets keep the space before a word."""
    return processors.ByteLevel(trim_offsets=False)


def with_settings(rust: RustTokenizer, settings: Mapping[str, Any]) -> RustTokenizer:
    """The tokenizer with settings that the caller gave laid over what its file says.

    `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` belong to BERT's normaliser, `add_prefix_space` to
    the byte-level pre-tokeniser.
    """
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    }
    wanted = {names[name]: value for name, value in settings.items() if name in names}
    if wanted and isinstance(rust.normalizer, normalizers.BertNormalizer):
        state = json.loads(rust.to_str())["normalizer"]
        state.pop("type")
        state["handle_chinese_chars"] = state.get("handle_chinese_chars", True)
        rust.normalizer = normalizers.BertNormalizer(**{**state, **wanted})
    if "add_prefix_space" in settings and isinstance(rust.pre_tokenizer, pre_tokenizers.ByteLevel):
        rust.pre_tokenizer.add_prefix_space = settings["add_prefix_space"]
    return rust
