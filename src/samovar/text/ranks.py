"""Reads tiktoken files: a line for each token, its bytes in base64 and its rank, which is its id."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import CorruptFileError
from samovar.text import backend

# How texts are cut before bytes are joined: contractions, words with what stands before them, digits, punctuation,
# spaces. The two in use differ in how many digits stay together.
THREE_DIGITS = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
ONE_DIGIT = THREE_DIGITS.replace("{1,3}", "")


def read_ranks(path: Path) -> dict[bytes, int]:
    """Token → rank. Raises `CorruptFileError` naming the line."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(backend.read_content(path).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except ValueError as error:
            raise CorruptFileError(
                f"{path}, line {number}: neither a SentencePiece model nor a token in base64 with its rank.",
                "Download the file again.",
            ) from error
    missing = sorted(set(range(len(ranks))) - set(ranks.values()))[:1]
    absent = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing or absent or not ranks:
        lacks = f"no token of rank {missing[0]}" if missing else f"no token for {len(absent)} of the 256 bytes"
        raise CorruptFileError(f"{path} is no list of tokens, or a part of one: it has {lacks}.", "Download it again.")
    return ranks


def from_ranks(path: Path, settings: Mapping[str, Any], pattern: str = THREE_DIGITS) -> RustTokenizer:
    """Byte-level BPE with the file's tokens, and those that `added_tokens_decoder` puts behind them."""
    ranks = read_ranks(path)
    letters = byte_letters()
    text = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = []
    for token, _ in sorted(ranks.items(), key=lambda item: item[1]):
        cuts = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [cut for cut in cuts if cut[0] in ranks and cut[1] in ranks]
        merges += [(text[a], text[b]) for a, b in sorted(known, key=lambda cut: (ranks[cut[0]], ranks[cut[1]]))]
    vocab = {text[token]: rank for token, rank in ranks.items()}
    rust = RustTokenizer(models.BPE(vocab, merges, fuse_unk=False, ignore_merges=True))
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    rust.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    rust.decoder = decoders.ByteLevel()
    added = {int(index): entry for index, entry in (settings.get("added_tokens_decoder") or {}).items()}
    for index in range(len(vocab), max(added, default=-1) + 1):
        # Ids between the file's and the declared ones belong to tokens that no text holds.
        entry = added.get(index, f"<|reserved_token_{index}|>")
        content = entry["content"] if isinstance(entry, Mapping) else str(entry)
        rust.add_special_tokens([AddedToken(content, normalized=False, special=True)])
    return rust


def byte_letters() -> list[str]:
    """The letter that byte-level vocabularies write each byte with: printable ones as they are, others from 256 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    moved = {byte: chr(256 + place) for place, byte in enumerate(others)}
    return [moved.get(byte, chr(byte)) for byte in range(256)]
