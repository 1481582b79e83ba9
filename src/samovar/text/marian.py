"""Marian's tokenizer: a SentencePiece model for each side of a translation, and one vocabulary for both or two."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import TokenizerError
from samovar.hub.publish import shares
from samovar.text.backend import read_content, read_vocab
from samovar.text.files import CONFIG_FILE, SPECIAL_FILE
from samovar.text.multilingual import by_ids
from samovar.text.pieces import to_rust
from samovar.text.sentencepiece import Piece, PieceKind, read_sentencepiece
from samovar.text.templates import WITH_ONE_END, WITHOUT_TYPES, register, template, texts_of
from samovar.text.tokenizer import Tokenizer

# A code point that Unicode keeps free: pieces of the other side are named with it, so that no text holds them.
HIDDEN = "\ufdd0"


class MarianTokenizer(Tokenizer):
    """Marian (Junczys-Dowmunt et al. 2018): texts by source.spm, `text_target` by target.spm, ids by vocab.json.

    Models of several languages are told which one to write by a mark in front of a text, such as `>>fra<<`. With
    `separate_vocabs` the ids of the target are those of target_vocab.json, and ids are decoded as the target's.
    """

    vocab_files_names = {"vocab": "vocab.json", "source_spm": "source.spm", "target_spm": "target.spm"}
    optional_files = {"target_vocab_file": "target_vocab.json"}
    has_json = False
    defaults = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "model_input_names": WITHOUT_TYPES}

    def build(
        self, vocab_file: str | Path | None, merges_file: str | Path | None, settings: Mapping[str, Any]
    ) -> RustTokenizer:
        """The tokenizer of the source side; that of the target side is kept for `target_mode`."""
        given = {name: settings.get(argument) for argument, name in self.vocab_files_names.items()}
        paths = {name: Path(path) for name, path in given.items() if path is not None}
        missing = [name for name in given if name not in paths]
        if missing:
            raise TokenizerError(
                f"{type(self).__name__} needs {', '.join(missing)}.", "Give `vocab`, `source_spm` and `target_spm`."
            )
        self.files = {name: read_content(path) for name, path in paths.items()}
        self.ids = self.other_ids = read_vocab(paths["vocab.json"])
        written = "vocab.json"
        if settings.get("separate_vocabs"):
            path = settings.get("target_vocab_file")
            if path is None:
                raise TokenizerError("separate_vocabs=True without a target_vocab.json.", "Give `target_vocab_file`.")
            written = self.optional_files["target_vocab_file"]
            self.files |= {written: read_content(Path(path))}
            self.other_ids = read_vocab(Path(path))
        self.names = sorted(self.other_ids, key=lambda token: self.other_ids[token])
        self.other = self.side(self.other_ids, written, paths["target.spm"], settings)
        return self.side(self.ids, "vocab.json", paths["source.spm"], settings)

    def side(self, ids: Mapping[str, int], name: str, path: Path, settings: Mapping[str, Any]) -> RustTokenizer:
        """The tokenizer of one side, from a vocabulary of this name and a SentencePiece model."""
        model = read_sentencepiece(path)
        own = {piece.text for piece in model.pieces}
        marks = [token for token in ids if token.startswith(">>") and token.endswith("<<")]
        table = [
            piece
            if piece.text in own or piece.kind != PieceKind.NORMAL or piece.text in marks
            else Piece(f"{HIDDEN}{index}", 0.0)
            for index, piece in enumerate(by_ids(ids, model.pieces, settings, f"{name} and {path}"))
        ]
        unknown = next(index for index, piece in enumerate(table) if piece.kind == PieceKind.UNKNOWN)
        rust = to_rust(model, pieces=table, unk_id=unknown)
        rust.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in marks])
        register(rust, settings, self.lstrip_roles)
        rust.post_processor = template(rust, texts_of(settings), WITH_ONE_END)
        return rust

    @contextmanager
    def target_mode(self) -> Iterator[None]:
        """While it lasts texts are cut by target.spm; other threads wait."""
        with self.lock:
            before, self.state = self.state, (None, None)
            self.other.no_truncation()
            self.other.no_padding()
            self.exchange()
            try:
                yield
            finally:
                self.exchange()
                self.state = before

    def exchange(self) -> None:
        """Let the two sides change places."""
        self.rust, self.other = self.other, self.rust
        self.ids, self.other_ids = self.other_ids, self.ids

    @property
    def supported_language_codes(self) -> list[str]:
        """The marks that name a target language."""
        return [name for name in self.ids if name.startswith(">>") and name.endswith("<<")]

    def get_vocab(self) -> dict[str, int]:
        """Token → id, of the source; where there is one vocabulary, of both sides."""
        return {**self.ids, **self.get_added_vocab()}

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Ids of tokens of the source, or of either side where there is one vocabulary."""
        if isinstance(tokens, str) and tokens in self.ids:
            return self.ids[tokens]
        return super().convert_tokens_to_ids(tokens)

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Tokens of ids, of either side; of the target where there are two vocabularies."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        if isinstance(ids, int):
            return self.names[ids] if 0 <= ids < len(self.names) else self.rust.id_to_token(ids)
        left_out = set(self.all_special_tokens) if skip_special_tokens else set()
        tokens = [self.convert_ids_to_tokens(index) for index in ids]
        return [token for token in tokens if token not in left_out]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Tokens joined to text."""
        return "".join(tokens).replace("▁", " ").strip()

    def decode_row(self, ids: list[int], skip_special_tokens: bool) -> str:
        """The text of a row, of either side."""
        return self.convert_tokens_to_string(self.convert_ids_to_tokens(ids, skip_special_tokens))

    @shares
    def save_pretrained(self, save_directory: str | Path, **options: Any) -> tuple[str, ...]:
        """Write the files of the family and the settings; returns their paths."""
        from samovar.hub.atomic import write_file

        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        config = {CONFIG_FILE: self.to_config(), SPECIAL_FILE: self.special_tokens_map}
        texts = {name: (json.dumps(c, indent=2, sort_keys=True) + "\n").encode() for name, c in config.items()}
        for name, content in {**self.files, **texts}.items():
            write_file(folder / name, content)
        return tuple(str(folder / name) for name in (*self.files, *texts))
