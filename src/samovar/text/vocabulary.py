"""The vocabulary side of a tokenizer: ids to text and tokens, looking tokens up and adding them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Encoding
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import InputTypeError
from samovar.text.special_tokens import SpecialTokens


class Vocabulary(SpecialTokens):
    """Ids, tokens and text; mixed into the tokenizer, which encodes."""

    clean_up_tokenization_spaces: bool
    model_max_length: int

    # Decoding -------------------------------------------------------------------------------------------------------

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> Any:
        """Ids as text; a batch of ids as a list of texts."""
        ids = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        ids = ids["input_ids"] if isinstance(ids, Mapping) else ids
        if isinstance(ids, Sequence) and ids and isinstance(ids[0], list | tuple):
            return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in ids]
        ids = [ids] if isinstance(ids, int) else list(ids)
        text = self.decode_row(ids, skip_special_tokens)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        # In byte-level text every space is the author's own.
        return clean_up(text) if clean and type(self.rust.model).__name__ != "BPE" else text

    def decode_row(self, ids: list[int], skip_special_tokens: bool) -> str:
        """The text of one row of ids."""
        return self.rust.decode(ids, skip_special_tokens=skip_special_tokens)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """A text for each row of ids."""
        rows = sequences.tolist() if hasattr(sequences, "tolist") else sequences
        return [self.decode(row, skip_special_tokens, **options) for row in rows]

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """Ids of tokens; those not in the vocabulary get the unknown token's."""
        if isinstance(tokens, str):
            index = self.rust.token_to_id(tokens)
            return self.unk_token_id if index is None else index
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Tokens of ids."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        if isinstance(ids, int):
            return self.rust.id_to_token(ids)
        left_out = set(self.all_special_ids) if skip_special_tokens else set()
        return [self.rust.id_to_token(index) for index in ids if index not in left_out]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Tokens joined to text as decoding does it."""
        decoder = self.rust.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(tokens)

    # Vocabulary -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.rust.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary, without added ones."""
        return self.rust.get_vocab_size(with_added_tokens=False)

    def get_vocab(self) -> dict[str, int]:
        """Token → id, with added tokens."""
        return self.rust.get_vocab(with_added_tokens=True)

    vocab = property(get_vocab)

    @property
    def backend_tokenizer(self) -> RustTokenizer:
        """The Rust object; options of a call may be set on it."""
        return self.rust

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id → token of what was added to the vocabulary."""
        return dict(sorted(self.rust.get_added_tokens_decoder().items()))

    def get_added_vocab(self) -> dict[str, int]:
        """Token → id of what was added to the vocabulary."""
        return {token.content: index for index, token in self.added_tokens_decoder.items()}

    def add_tokens(
        self, new_tokens: str | AddedToken | Sequence[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens to the vocabulary; returns how many are new. Resize the model's embeddings afterwards."""
        tokens = [new_tokens] if isinstance(new_tokens, str | AddedToken) else list(new_tokens)
        for index, token in enumerate(tokens):
            if not isinstance(token, str | AddedToken):
                raise InputTypeError(f"Token {index} is {type(token).__name__}, not text.", "Give str or AddedToken.")
        return (self.rust.add_special_tokens if special_tokens else self.rust.add_tokens)(tokens)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a text, or a pair of them, gets."""
        return self.rust.num_special_tokens_to_add(pair)

    @property
    def max_len_single_sentence(self) -> int:
        """Tokens of a text that fit beside the special ones."""
        return self.model_max_length - self.num_special_tokens_to_add(False)

    def build_inputs_with_special_tokens(self, ids: list[int], pair: list[int] | None = None) -> list[int]:
        """Ids of one or two texts with the special tokens between and around them."""
        first = self.rust.encode("", add_special_tokens=False)
        second = None if pair is None else self.as_encoding(first, pair)
        return self.rust.post_process(self.as_encoding(first, ids), second, True).ids

    def as_encoding(self, empty: Encoding, ids: list[int]) -> Encoding:
        """An encoding that holds just these ids."""
        merged = copy.deepcopy(empty)
        for index in ids:
            piece = copy.deepcopy(empty)
            piece.pad(1, pad_id=index, pad_token=self.rust.id_to_token(index) or "")
            merged = Encoding.merge([merged, piece], growing_offsets=False)
        return merged

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = True
    ) -> list[int]:
        """1 for special tokens, 0 for the others."""
        ids = token_ids_0
        if not already_has_special_tokens:
            ids = self.build_inputs_with_special_tokens(token_ids_0, token_ids_1)
        special = set(self.all_special_ids)
        return [int(index in special) for index in ids]


def clean_up(text: str) -> str:
    """Take out the spaces that WordPiece puts before punctuation and English contractions."""
    for piece in (".", "?", "!", ","):
        text = text.replace(f" {piece}", piece)
    text = text.replace(" ' ", "'")
    for piece in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {piece}", piece)
    return text
