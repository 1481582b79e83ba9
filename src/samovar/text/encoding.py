"""`BatchEncoding`: what a tokenizer returns — ids and masks by key, and the way back from tokens to the text."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Encoding

from samovar.errors import InputError
from samovar.extras import require


class BatchEncoding(UserDict):
    """A mapping of model inputs, also by attribute, with the Rust encodings that they were made from.

    Methods that look into a text take `(index in the batch, position)`, or the position alone for the first text.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encodings: Sequence[Encoding] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
    ) -> None:
        super().__init__(data or {})
        self._encodings = list(encodings) if encodings is not None else None
        if tensor_type is not None:
            self.convert_to_tensors(tensor_type, prepend_batch_axis)

    def __getattr__(self, name: str) -> Any:
        if name not in ("data", "_encodings") and name in self.data:
            return self.data[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; it holds {', '.join(self.data)}.")

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.data[key]
        if isinstance(key, slice):
            return {name: values[key] for name, values in self.data.items()}
        return self.encoding(key)

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "_encodings": self._encodings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def is_fast(self) -> bool:
        """True when the way back to the text is known."""
        return self._encodings is not None

    @property
    def encodings(self) -> list[Encoding] | None:
        """The Rust encodings, one per row."""
        return self._encodings

    def encoding(self, index: int) -> Encoding:
        """The Rust encoding of a row. Raises `InputError` when this mapping was not made by a tokenizer's call."""
        if self._encodings is None:
            raise InputError("This mapping holds no encodings.", "Ask the object that the tokenizer's call returned.")
        if not -len(self._encodings) <= index < len(self._encodings):
            raise InputError(f"There is no row {index} among {len(self._encodings)}.", "Count from 0.")
        return self._encodings[index]

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Turn lists into `"pt"` or `"np"` tensors in place. Raises `InputError` for rows of different lengths."""
        if tensor_type is None:
            return self
        for name, values in self.data.items():
            self.data[name] = as_tensor(name, [values] if prepend_batch_axis else values, str(tensor_type))
        return self

    def to(self, device: Any, non_blocking: bool = False) -> BatchEncoding:
        """Move all torch tensors, in place."""
        for name, values in self.data.items():
            if hasattr(values, "to"):
                self.data[name] = values.to(device, non_blocking=non_blocking)
        return self

    # Rows to text ---------------------------------------------------------------------------------------------------

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row."""
        return self.encoding(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the index of its word; None for special tokens."""
        return self.encoding(batch_index).word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token 0 or 1, the text of the pair it comes from; None for special tokens."""
        return self.encoding(batch_index).sequence_ids

    def _row(self, first: int, second: int | None) -> tuple[Encoding, int]:
        row, position = (0, first) if second is None else (first, second)
        encoding = self.encoding(row)
        return encoding, position + len(encoding) if position < 0 else position

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Which text of the pair a token comes from."""
        encoding, token = self._row(batch_or_token_index, token_index)
        return encoding.token_to_sequence(token)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The word that a token belongs to."""
        encoding, token = self._row(batch_or_token_index, token_index)
        found = encoding.token_to_word(token)
        return found[1] if isinstance(found, tuple) else found

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """The span of tokens of a word: first, one past the last."""
        encoding, word = self._row(batch_or_word_index, word_index)
        return encoding.word_to_tokens(word, sequence_index)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> tuple[int, int] | None:
        """The span of characters of a token in its text: first, one past the last."""
        encoding, token = self._row(batch_or_token_index, token_index)
        found = encoding.token_to_chars(token)
        return None if found is None else found[1] if isinstance(found[1], tuple) else found

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that holds a character of a text."""
        row, char = (0, batch_or_char_index) if char_index is None else (batch_or_char_index, char_index)
        return self.encoding(row).char_to_token(char, sequence_index)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """The span of characters of a word in its text."""
        row, word = (0, batch_or_word_index) if word_index is None else (batch_or_word_index, word_index)
        return self.encoding(row).word_to_chars(word, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word that holds a character of a text."""
        row, char = (0, batch_or_char_index) if char_index is None else (batch_or_char_index, char_index)
        return self.encoding(row).char_to_word(char, sequence_index)


def as_tensor(name: str, values: Any, kind: str) -> Any:
    """Lists as one tensor of `kind` `"pt"` or `"np"`. Raises `InputError` for other kinds and ragged lists."""
    if kind not in ("pt", "np"):
        raise InputError(f"return_tensors={kind!r} is unknown.", 'Use "pt" for PyTorch or "np" for NumPy.')
    if hasattr(values, "dtype") and kind == ("pt" if hasattr(values, "device") and hasattr(values, "dim") else "np"):
        return values
    import numpy as np

    try:
        array = np.asarray(values)
        if array.dtype == object:
            raise ValueError("rows of different lengths")
    except ValueError as error:
        raise InputError(
            f"{name!r} has rows of different lengths and cannot be one tensor.",
            "Pass padding=True, and truncation=True with a max_length where texts are long.",
        ) from error
    array = array.astype(np.int64) if array.dtype.kind in "iu" or array.size == 0 else array
    return require("torch", 'return_tensors="pt"').from_numpy(array) if kind == "pt" else array
