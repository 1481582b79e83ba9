"""tiktoken files give tiktoken's ids, under any of the names that they have."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
import tiktoken
from tokenizers import Tokenizer as RustTokenizer

import samovar
from samovar.errors import CorruptFileError
from samovar.text.ranks import ONE_DIGIT, THREE_DIGITS, byte_letters

sys.path.insert(0, str(Path(__file__).parents[1] / "text"))
from sentencepieces import HARD
from vocabularies import write_bpe, write_config


def write_ranks(folder: Path, name: str) -> dict[bytes, int]:
    """A tiktoken file with the pieces of a small byte-level BPE, in the order in which they are joined."""
    write_bpe(folder)
    letters = {letter: byte for byte, letter in enumerate(byte_letters())}
    ranks = {bytes([byte]): byte for byte in range(256)}
    for line in (folder / "merges.txt").read_text("utf-8").splitlines()[1:]:
        ranks.setdefault(bytes(letters[letter] for letter in line.replace(" ", "")), len(ranks))
    (folder / "vocab.json").unlink()
    (folder / "merges.txt").unlink()
    lines = (f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items())
    (folder / name).write_text("".join(lines))
    return ranks


@pytest.mark.parametrize(
    ("file", "kind", "pattern"),
    [
        ("tokenizer.model", "Llama", THREE_DIGITS),
        ("qwen.tiktoken", "Qwen2", ONE_DIGIT),
        ("tiktoken.model", "PreTrained", THREE_DIGITS),
    ],
)
def test_tiktoken_files_give_tiktokens_ids(file: str, kind: str, pattern: str, tmp_path: Path) -> None:
    ranks = write_ranks(tmp_path, file)
    entry = {"content": "<|end|>", "special": True, "lstrip": False, "rstrip": False, "normalized": False}
    index = len(ranks) + 2
    write_config(
        tmp_path, tokenizer_class=f"{kind}TokenizerFast", eos_token="<|end|>", added_tokens_decoder={index: entry}
    )
    special = {"<|end|>": index}
    theirs = tiktoken.Encoding("small", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    ours = samovar.AutoTokenizer.from_pretrained(tmp_path)
    for text in [*(text for text in HARD if len(text) < 20_000), "low<|end|>lower 12345"]:
        ids = ours(text)["input_ids"]
        assert ids == theirs.encode(text, allowed_special="all"), text[:60]
        assert ours.decode(ids) == text
    assert ours.eos_token_id == index
    ours.save_pretrained(tmp_path / "saved")
    rust = RustTokenizer.from_file(str(tmp_path / "saved" / "tokenizer.json"))
    assert rust.encode(HARD[0]).ids == theirs.encode(HARD[0])


def test_a_cut_tiktoken_file_is_named(tmp_path: Path) -> None:
    write_ranks(tmp_path, "tokenizer.model")
    content = (tmp_path / "tokenizer.model").read_bytes()
    for size in (0, 1, 100, 1500):
        (tmp_path / "tokenizer.model").write_bytes(content[:size])
        with pytest.raises(CorruptFileError, match=r"tokenizer\.model"):
            samovar.LlamaTokenizer.from_pretrained(tmp_path)
