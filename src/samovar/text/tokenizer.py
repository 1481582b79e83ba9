"""`Tokenizer`: text to ids and back, on the Rust `tokenizers` library, with the call surface of the field."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import AddedToken, Encoding
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import InputError, TokenizerError
from samovar.text import backend
from samovar.text.encoding import BatchEncoding
from samovar.text.files import CONFIG_FILE, TOKENIZER_FILE, Files
from samovar.text.inputs import as_batch
from samovar.text.padding import as_columns, pad_columns
from samovar.text.special_tokens import ROLES
from samovar.text.strategies import UNLIMITED, strategies

logger = logging.getLogger(__name__)


# Settings of `tokenizer_config.json` that live in attributes here; all others are kept and written back as read.
OWN_KEYS = {*ROLES, "additional_special_tokens", "extra_special_tokens", "added_tokens_decoder", "model_max_length"}
OWN_KEYS |= {"max_len", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces"}


class Tokenizer(Files):
    """Any tokenizer whose whole behaviour a `tokenizer.json` holds; families add defaults and vocabulary files.

    Built from a folder or repository by `from_pretrained`, or from `tokenizer_object`, `tokenizer_file` or the
    family's own vocabulary files. Settings are those of `tokenizer_config.json`: special tokens by role,
    `padding_side`, `truncation_side`, `model_max_length`, `model_input_names`, `clean_up_tokenization_spaces`.
    """

    defaults: ClassVar[Mapping[str, Any]] = {}
    vocab_files_names: ClassVar[Mapping[str, str]] = {}
    # Files that only some checkpoints of the family have.
    optional_files: ClassVar[Mapping[str, str]] = {}
    is_fast = True
    # What fills up further inputs of the family.
    padding_values: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        vocab_file: str | Path | None = None,
        merges_file: str | Path | None = None,
        *,
        tokenizer_file: str | Path | None = None,
        tokenizer_object: RustTokenizer | None = None,
        name_or_path: str = "",
        **settings: Any,
    ) -> None:
        merged = {**self.defaults, **settings}
        if tokenizer_object is not None:
            rust = copy.deepcopy(tokenizer_object)
        elif tokenizer_file is not None:
            rust = backend.from_json(Path(tokenizer_file))
        else:
            rust = self.build(vocab_file, merges_file, merged)
        # A file may carry a batch's truncation and padding; here both belong to the call.
        rust.no_truncation()
        rust.no_padding()
        self.rust = rust
        self.lock = threading.RLock()
        self.state: tuple[Any, ...] = (None, None)
        self.name_or_path = name_or_path
        self.padding_side = merged.get("padding_side", "right")
        self.truncation_side = merged.get("truncation_side", "right")
        self.model_max_length = int(merged.get("model_max_length") or merged.get("max_len") or UNLIMITED)
        self.model_input_names = list(merged.get("model_input_names", ["input_ids", "attention_mask"]))
        self.clean_up_tokenization_spaces = bool(merged.get("clean_up_tokenization_spaces", False))
        self.pad_token_type_id = 0
        known_keys = {*OWN_KEYS, *self.vocab_files_names, *self.optional_files}
        self.settings = {key: value for key, value in settings.items() if key not in known_keys}
        self.warned_long = False
        if any(side not in ("left", "right") for side in (self.padding_side, self.truncation_side)):
            raise TokenizerError("padding_side and truncation_side are 'left' or 'right'.", "Correct the setting.")
        self.restore_added(merged.get("added_tokens_decoder") or {})
        known = self.rust.get_vocab(with_added_tokens=True)
        given = {role: merged[role] for role in merged if role in OWN_KEYS}
        for role in ROLES:
            # A default that the vocabulary does not have is no token of this checkpoint.
            if role not in settings and role in given and str(given[role]) not in known:
                del given[role]
        self.set_special_tokens(given)

    def build(
        self, vocab_file: str | Path | None, merges_file: str | Path | None, settings: Mapping[str, Any]
    ) -> RustTokenizer:
        """The Rust tokenizer from vocabulary files; families that have such files override this."""
        raise TokenizerError(
            f"{type(self).__name__} is built from {TOKENIZER_FILE}, and none was given.",
            "Give `tokenizer_file` or `tokenizer_object`, or use from_pretrained on a folder that has the file.",
        )

    def restore_added(self, decoder: Mapping[Any, Any]) -> None:
        """Add tokens that only `tokenizer_config.json` lists, in the order of their ids.

        Raises `TokenizerError` where it gives a token another id than the vocabulary does.
        """
        known = self.rust.get_vocab(with_added_tokens=True)
        for index, entry in sorted(decoder.items(), key=lambda item: int(item[0])):
            content, taken = entry["content"], self.rust.id_to_token(int(index))
            if known.get(content, int(index)) != int(index) or taken not in (None, content):
                raise TokenizerError(
                    f"The files contradict each other: {CONFIG_FILE} gives {content!r} the id {index}, and the "
                    f"vocabulary has {content!r} at {known.get(content)} and {taken!r} at {index}.",
                    "Take all tokenizer files from the same checkpoint.",
                )
            if content not in known:
                token = AddedToken(**{k: v for k, v in entry.items() if not k.startswith("__")})
                (self.rust.add_special_tokens if entry.get("special") else self.rust.add_tokens)([token])

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Load from a folder, the cache or the endpoint; keyword arguments override the files' settings.

        Raises `TokenizerError` naming the files that were looked for, or `CorruptFileError`.
        """
        from samovar.text.load import load_tokenizer

        return load_tokenizer(pretrained_model_name_or_path, tokenizer_class=cls, **kwargs)  # type: ignore[return-value]

    # Encoding -------------------------------------------------------------------------------------------------------

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        **options: Any,
    ) -> BatchEncoding:
        """Encode a text, a pair, or a batch of either; `options` are those of `encode_texts`.

        `text_target` is what a model is to answer: encoded alone, or beside a text as `labels`.
        """
        if text_target is None:
            return self.encode_texts(text, text_pair, **options)
        with self.target_mode():
            target = self.encode_texts(text_target, text_pair_target, **options)
        if text is None:
            return target
        encoded = self.encode_texts(text, text_pair, **options)
        encoded["labels"] = target["input_ids"]
        return encoded

    def target_mode(self) -> AbstractContextManager[None]:
        """While it lasts texts are encoded as answers; the same here, and other in translation."""
        return nullcontext()

    def encode_texts(
        self,
        text: Any = None,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Encode a text, a pair, or a batch of either.

        Returns `input_ids` and the other inputs that the model reads, as lists or as tensors (batch, sequence).
        `padding` is False, True or "longest", or "max_length"; `truncation` False, True or "longest_first",
        "only_first" or "only_second"; `stride` tokens overlap between a truncated text and its overflow.
        Raises `InputTypeError` for what is no text, `InputError` for options that contradict each other.
        """
        rows, batched = as_batch(text, text_pair, is_split_into_words)
        cut, fill, length = strategies(padding, truncation, max_length, self.model_max_length, verbose)
        paired = (
            any(isinstance(row, tuple) for row in rows)
            if not is_split_into_words
            else bool(rows and isinstance(rows[0], tuple) and rows[0] and isinstance(rows[0][0], list | tuple))
        )
        if cut == "only_second" and rows and not paired:
            raise InputError("truncation='only_second' was given, but no second text.", "Use truncation=True.")
        side = padding_side or self.padding_side
        encodings = self.encode_rows(
            rows, add_special_tokens, is_split_into_words, cut, fill, length, stride, pad_to_multiple_of, side, paired
        )
        columns, flat = self.columns(
            encodings,
            types="token_type_ids" in self.model_input_names
            if return_token_type_ids is None
            else return_token_type_ids,
            mask="attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask,
            special=return_special_tokens_mask,
            offsets=return_offsets_mapping,
            length=return_length,
            overflow=return_overflowing_tokens,
        )
        self.warn_if_long(columns["input_ids"], length, verbose)
        if return_tensors is None and not batched and not return_overflowing_tokens:
            single = {name: row[0] if isinstance(row[0], list) else row for name, row in columns.items()}
            return BatchEncoding(single, flat)
        return BatchEncoding(columns, flat, return_tensors)

    def encode_rows(
        self,
        rows: list[Any],
        add_special_tokens: bool,
        words: bool,
        cut: str | None,
        fill: str | None,
        length: int | None,
        stride: int,
        multiple: int | None,
        side: str,
        paired: bool,
    ) -> list[Encoding]:
        """The Rust encodings of all rows, truncated and padded."""
        truncation = padding = None
        if cut is not None and length is not None:
            special = self.rust.num_special_tokens_to_add(paired) if add_special_tokens else 0
            if length < special or length < 1:
                raise InputError(
                    f"max_length={length} has no room: {special} special tokens are added to each text.",
                    f"Use at least {special + 1}, or add_special_tokens=False.",
                )
            if stride and stride >= length - special:
                raise InputError(
                    f"stride={stride} leaves no room: {length - special} tokens fit beside the special ones.",
                    "Use a smaller stride or a larger max_length.",
                )
            truncation = (length, stride, cut, self.truncation_side)
        if fill is not None:
            if self.pad_token is None:
                raise InputError(
                    "Padding was asked for, but this tokenizer has no padding token.",
                    "Set one, for example `tokenizer.pad_token = tokenizer.eos_token`.",
                )
            target = length if fill == "max_length" else None
            padding = (target, multiple, side, self.pad_token_id, self.pad_token_type_id, self.pad_token)
        # Truncation and padding are state of the Rust object, so a call holds it until its batch is encoded.
        with self.lock:
            if self.state[0] != truncation:
                self.rust.no_truncation()
                if truncation is not None:
                    size, overlap, strategy, direction = truncation
                    self.rust.enable_truncation(size, stride=overlap, strategy=strategy, direction=direction)
            if self.state[1] != padding:
                self.rust.no_padding()
                if padding is not None:
                    target, multiple, side, index, kind, token = padding
                    self.rust.enable_padding(
                        direction=side,
                        pad_id=index,
                        pad_type_id=kind,
                        pad_token=token,
                        length=target,
                        pad_to_multiple_of=multiple,
                    )
            self.state = (truncation, padding)
            try:
                return self.rust.encode_batch(rows, is_pretokenized=words, add_special_tokens=add_special_tokens)
            except BaseException as error:
                # The Rust side raises bare exceptions, and panics when a stride fills what truncation leaves.
                if type(error).__name__ != "PanicException" and "Truncation error" not in str(error):
                    raise
                raise InputError(
                    f"The texts cannot be truncated as asked: {error}.",
                    "Use truncation=True, a larger max_length or a smaller stride.",
                ) from None

    def columns(
        self,
        encodings: list[Encoding],
        types: bool,
        mask: bool,
        special: bool,
        offsets: bool,
        length: bool,
        overflow: bool,
    ) -> tuple[dict[str, list[Any]], list[Encoding]]:
        """Key → rows; with `overflow` each text's further pieces follow it as rows of their own."""
        flat, sample = encodings, []
        if overflow:
            pieces = [(i, piece) for i, first in enumerate(encodings) for piece in (first, *first.overflowing)]
            sample, flat = [i for i, _ in pieces], [piece for _, piece in pieces]
        columns: dict[str, list[Any]] = {"input_ids": [e.ids for e in flat]}
        if types:
            columns["token_type_ids"] = [e.type_ids for e in flat]
        if mask:
            columns["attention_mask"] = [e.attention_mask for e in flat]
        if special:
            columns["special_tokens_mask"] = [e.special_tokens_mask for e in flat]
        if offsets:
            columns["offset_mapping"] = [e.offsets for e in flat]
        if length:
            columns["length"] = [len(e) for e in flat]
        if overflow:
            columns["overflow_to_sample_mapping"] = sample
        return columns, flat

    def warn_if_long(self, rows: Sequence[Sequence[int]], length: int | None, verbose: bool) -> None:
        """Say once that a text is longer than the model reads."""
        if length is None and verbose and not self.warned_long:
            longest = max(map(len, rows), default=0)
            if longest > self.model_max_length:
                self.warned_long = True
                logger.warning(
                    "A text has %d tokens, more than the %d that the model reads; pass truncation=True.",
                    longest,
                    self.model_max_length,
                )

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids alone."""
        return self(text, text_pair, **options)["input_ids"]

    encode_plus = __call__
    batch_encode_plus = __call__

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text, without special ones unless asked for."""
        return self(text, pair, add_special_tokens=add_special_tokens, verbose=False, **options).tokens()

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Fill up encoded texts — a list of mappings or a mapping of lists — to one length."""
        columns, batched = as_columns(encoded_inputs)
        if any(len(rows) for rows in columns.values()):
            _, fill, length = strategies(padding, False, max_length, self.model_max_length, verbose=False)
            key = "input_ids" if "input_ids" in columns else next(iter(columns))
            longest = max(len(row) for row in columns[key])
            target = longest if fill != "max_length" or length is None else max(longest, length)
            if fill is None:
                target = 0
            elif pad_to_multiple_of:
                target = -(-target // pad_to_multiple_of) * pad_to_multiple_of
            mask = (
                "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask
            )
            side = padding_side or self.padding_side
            kind, further = self.pad_token_type_id, self.padding_values
            columns = pad_columns(columns, target, side, self.pad_token_id, kind, mask, further)
        if not batched and return_tensors is None:
            columns = {name: rows[0] for name, rows in columns.items()}
        return BatchEncoding(columns, tensor_type=return_tensors, prepend_batch_axis=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, lock=threading.RLock())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, padding_side={self.padding_side!r}, "
            f"special_tokens={self.special_tokens_map})"
        )
