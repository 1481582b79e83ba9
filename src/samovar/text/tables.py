"""Tables and questions on them as ids, with where in the table each token stands (Herzig et al. 2020, TAPAS)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import InputError, InputTypeError
from samovar.text.encoding import BatchEncoding
from samovar.text.table_cells import Table, says_nothing
from samovar.text.table_reader import COLUMN, ROW, SEGMENT, TableReader
from samovar.text.templates import BERT_TOKENS, WITH_TYPES
from samovar.text.wordpieces import BertTokenizer

STRATEGIES = {True: True, False: False, None: False, "drop_rows_to_fit": True, "do_not_truncate": False}


class TapasTokenizer(BertTokenizer):
    """WordPiece over a question and a table: `tokenizer(table, queries)`.

    `token_type_ids` are (sequence, 7) for each question: 1 in the table, column and row from 1 (0: none), 1 in the
    cells of the answer before, the rank of the cell's number or date in its column from below and from above, and how
    numbers and dates of the question are to it (equal 1, less 2, greater 4, summed).
    """

    defaults = {**BERT_TOKENS, "model_input_names": WITH_TYPES, "model_max_length": 512, "empty_token": "[EMPTY]"}
    # Of a cell_trim_length of -1 cells are cut to what fits.
    options: ClassVar[Mapping[str, Any]] = {
        "empty_token": "[EMPTY]", "cell_trim_length": -1, "max_column_id": None, "max_row_id": None,
        "strip_column_names": False, "update_answer_coordinates": False, "min_question_length": None,
        "max_question_length": None,
    }  # fmt: skip
    padding_values = {"token_type_ids": [0] * 7, "labels": 0, "numeric_values": float("nan")}
    padding_values |= {"numeric_values_scale": 1.0}

    def build(
        self, vocab_file: str | Path | None, merges_file: str | Path | None, settings: Mapping[str, Any]
    ) -> RustTokenizer:
        """As BERT's, with a token for empty cells."""
        rust = super().build(vocab_file, merges_file, settings)
        rust.add_special_tokens([str(settings["empty_token"])])
        return rust

    def __init__(self, *files: Any, additional_special_tokens: Sequence[str] | None = None, **settings: Any) -> None:
        empty = str(settings.get("empty_token", self.options["empty_token"]))
        further = [token for token in additional_special_tokens or [] if str(token) != empty]
        super().__init__(*files, additional_special_tokens=[*further, empty], **settings)

    @property
    def files(self) -> dict[str, bytes]:  # type: ignore[override]
        """vocab.txt, which is all that other tools read of this family."""
        known = self.rust.get_vocab(with_added_tokens=False)
        return {"vocab.txt": "".join(f"{piece}\n" for piece in sorted(known, key=known.__getitem__)).encode()}

    def option(self, name: str) -> Any:
        """A setting of this family."""
        return self.settings.get(name, self.options[name])

    # Encoding -------------------------------------------------------------------------------------------------------

    def __call__(  # type: ignore[override]
        self,
        table: Any,
        queries: Any = None,
        answer_coordinates: Any = None,
        answer_text: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = False,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_special_tokens_mask: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Encode a question on a table, or several that belong together (Iyyer et al. 2017).

        With `truncation` cells are cut to as many tokens as fit, and when that is none the last rows are left out.
        `answer_coordinates`, pairs (row, column) from 0 for each question, give `labels`, `numeric_values` and
        `numeric_values_scale`, and mark each answer for the question after it; with `update_answer_coordinates` they
        are found by `answer_text`. Raises `InputError` for a table that is too large, or too long without truncation.
        """
        batched = not isinstance(queries, str)
        if batched and not (isinstance(queries, Sequence) and all(isinstance(one, str) for one in queries)):
            raise InputTypeError(f"queries must be a str or a list of them, got {queries!r}.", "Pass the question.")
        if truncation not in STRATEGIES:
            raise InputError(f"Unknown truncation {truncation!r}.", "Use True or 'drop_rows_to_fit', or False.")
        table, questions = Table.of(table), list(queries) if batched else [queries]
        answers = [None] * len(questions) if answer_coordinates is None else answer_coordinates
        texts = [None] * len(questions) if answer_text is None else answer_text
        if not batched:
            answers = [answer_coordinates]
            texts = [answer_text]
        if not len(answers) == len(texts) == len(questions):
            raise InputError(
                f"{len(questions)} questions came with {len(answers)} coordinates and {len(texts)} texts of answers.",
                "Give one list for each question.",
            )
        reader = TableReader(self, table)
        rows, earlier = [], None
        for question, place, text in zip(questions, answers, texts, strict=True):
            known = None if place is None and text is None else (place or [], text or [])
            row = reader.row(question, known, earlier, add_special_tokens, STRATEGIES[truncation], max_length)
            rows.append(row)
            earlier = known
        columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {"input_ids": []}
        special, kinds = columns.pop("special_tokens_mask", None), columns.pop("token_type_ids", None)
        if return_token_type_ids is not False and kinds is not None:
            columns["token_type_ids"] = kinds
        if return_special_tokens_mask and special is not None:
            columns["special_tokens_mask"] = special
        if return_length:
            columns["length"] = [len(row) for row in columns["input_ids"]]
        self.warn_if_long(columns["input_ids"], max_length, verbose)
        encoded = self.pad(
            columns, padding, max_length, pad_to_multiple_of, padding_side, return_attention_mask,
        )  # fmt: skip
        if not batched and return_tensors is None:
            encoded = BatchEncoding({name: values[0] for name, values in encoded.items()})
        return encoded.convert_to_tensors(return_tensors)

    encode_plus = __call__  # type: ignore[assignment]
    batch_encode_plus = __call__  # type: ignore[assignment]

    def encode(self, table: Any, query: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """The ids alone."""
        return self(table, query, **options)["input_ids"]

    def tokenize(self, text: str, pair: str | None = None, **options: Any) -> list[str]:  # type: ignore[override]
        """The pieces of a question or of a cell."""
        return self.pieces([text])[0]

    def pieces(self, texts: Iterable[str]) -> list[list[str]]:
        """The pieces of each; one token for those that say nothing."""
        texts = list(texts)
        empty = self.option("empty_token")
        with self.lock:
            self.rust.no_truncation()
            self.rust.no_padding()
            self.state = (None, None)
            found = self.rust.encode_batch(texts, add_special_tokens=False)
        both = zip(texts, found, strict=True)
        return [[empty] if text and says_nothing(text) else encoding.tokens for text, encoding in both]

    # Answers --------------------------------------------------------------------------------------------------------

    def convert_logits_to_predictions(
        self, data: Mapping[str, Any], logits: Any, logits_agg: Any = None, cell_classification_threshold: float = 0.5
    ) -> tuple[Any, ...]:
        """The cells of each question's answer as pairs (row, column) from 0, and the operations where there are any.

        `data` is what this tokenizer returned, `logits` (batch, sequence) and `logits_agg` (batch, operations) are
        the model's. A cell belongs to the answer when the mean probability of its tokens is above the threshold.
        """
        numbers = np.asarray(logits, dtype=np.float64)
        chances = 1 / (1 + np.exp(-np.clip(numbers, -88.7, None))) * np.asarray(data["attention_mask"])
        kinds = np.asarray(data["token_type_ids"])
        cells = [
            chosen_cells(row, kind, cell_classification_threshold) for row, kind in zip(chances, kinds, strict=True)
        ]
        return (cells,) if logits_agg is None else (cells, np.asarray(logits_agg).argmax(-1).tolist())


def chosen_cells(chances: np.ndarray, kinds: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """The cells (row, column) whose tokens' probabilities (sequence) have a mean above the threshold, in order."""
    inside = (kinds[:, SEGMENT] == 1) & (kinds[:, COLUMN] > 0) & (kinds[:, ROW] > 0)
    places = list(zip(kinds[inside, ROW].tolist(), kinds[inside, COLUMN].tolist(), strict=True))
    found: dict[tuple[int, int], list[float]] = {}
    for place, chance in zip(places, chances[inside].tolist(), strict=True):
        found.setdefault(place, []).append(chance)
    return sorted((row - 1, column - 1) for (row, column), all_ in found.items() if np.mean(all_) > threshold)
