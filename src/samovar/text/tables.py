"""Tables and questions on them as ids, with where in the table each token stands (Herzig et al. 2020, TAPAS)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import InputError, InputTypeError
from samovar.text import quantities
from samovar.text.encoding import BatchEncoding
from samovar.text.templates import BERT_TOKENS, WITH_TYPES
from samovar.text.wordpieces import BertTokenizer

INNER = "##"  # what stands before a piece that goes on a word
STRATEGIES = {True: True, False: False, None: False, "drop_rows_to_fit": True, "do_not_truncate": False}
SEGMENT, COLUMN, ROW = 0, 1, 2


class Table(NamedTuple):
    """Names of columns, and rows of as many texts."""

    header: list[str]
    rows: list[list[str]]

    @classmethod
    def of(cls, value: Any) -> Table:
        """From a data frame, a mapping of column → cells, or a list of mappings of column → cell.

        Cells are written out as texts, missing ones as none. Raises `InputTypeError` for anything else, `InputError`
        for columns of different lengths and for a table without columns.
        """
        if isinstance(value, cls):
            return value
        if hasattr(value, "columns") and hasattr(value, "itertuples"):
            columns, rows = list(value.columns), [list(row) for row in value.itertuples(index=False, name=None)]
        elif isinstance(value, Mapping):
            columns = list(value)
            for name, cells in value.items():
                if isinstance(cells, str) or not isinstance(cells, Sequence | np.ndarray):
                    raise InputTypeError(
                        f"Column {name!r} must be a list of cells, got {type(cells).__name__}.", "Pass {'…': ['…', …]}."
                    )
            lengths = {len(cells) for cells in value.values()}
            if len(lengths) > 1:
                counts = ", ".join(f"{name!r}: {len(cells)}" for name, cells in value.items())
                raise InputError(f"The columns have different numbers of cells ({counts}).", "Give each as many.")
            rows = [list(row) for row in zip(*value.values(), strict=True)]
        elif isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value):
            columns = list(dict.fromkeys(name for row in value for name in row))
            rows = [[row.get(name) for name in columns] for row in value]
        else:
            raise InputTypeError(
                f"A table must be a data frame, a dict of columns or a list of dicts, got {type(value).__name__}.",
                "Pass {'name': ['…', …], …}.",
            )
        if not columns:
            raise InputError("The table has no columns.", "Pass {'name': ['…', …], …}.")
        return cls([written(name) for name in columns], [[written(cell) for cell in row] for row in rows])


def written(cell: Any) -> str:
    """A cell as text; nothing for what is missing."""
    missing = cell is None or (isinstance(cell, float) and cell != cell) or type(cell).__name__ in ("NAType", "NaTType")
    return "" if missing else str(cell)


def says_nothing(text: str) -> bool:
    """No letter or digit, or one of the usual words for a missing value."""
    text = text.lower().strip()
    return text in ("n/a", "?", "nan") or not re.sub(r"[\W_]+", "", text)


class Layout(NamedTuple):
    """A table's tokens: of all of them, the piece, and where it stands."""

    pieces: list[str]
    column: np.ndarray  # from 0
    row: np.ndarray  # from 0, which is the header
    word: np.ndarray  # place in the cell of the piece that begins its word


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


class TableReader:
    """One table, tokenized once, for any number of questions."""

    def __init__(self, tokenizer: TapasTokenizer, table: Table) -> None:
        self.tokenizer, self.table = tokenizer, table
        header = [""] * len(table.header) if tokenizer.option("strip_column_names") else table.header
        cells = [header, *table.rows]
        pieces = tokenizer.pieces(cell for row in cells for cell in row)
        columns = len(table.header)
        words = [begins(cell) for cell in pieces]
        index = np.repeat(np.arange(len(pieces)), [len(cell) for cell in pieces])
        self.layout = Layout(
            [piece for cell in pieces for piece in cell], index % columns, index // columns,
            np.asarray([place for word in words for place in word], dtype=np.int64),
        )  # fmt: skip
        self.longest = max(map(len, pieces), default=0)
        by_column = zip(*table.rows, strict=True) if table.rows else [()] * columns
        self.values = [quantities.of_column(cells) for cells in by_column]
        self.ranks = [quantities.ranks(values) for values in self.values]

    def row(
        self,
        question: str,
        answer: tuple[Any, Any] | None,
        earlier: tuple[Any, Any] | None,
        special: bool,
        cut: bool,
        limit: int | None,
    ) -> dict[str, Any]:
        """The inputs for one question."""
        owner, layout = self.tokenizer, self.layout
        question, asked = self.question(question)
        kept = self.kept(len(asked), cut, limit)
        ids = owner.convert_tokens_to_ids(asked), owner.convert_tokens_to_ids([layout.pieces[i] for i in kept])
        front = [owner.cls_token_id, *ids[0], owner.sep_token_id] if special else ids[0]
        length = len(front) + len(kept)
        longest = limit if limit is not None else owner.model_max_length if cut else None
        if longest is not None and length > longest:
            raise InputError(
                f"The question with the names of the columns has {length} tokens, and {longest} are to be read."
                if cut else f"The question with the table has {length} tokens, more than max_length={longest}.",
                "Shorten the question, leave columns out, or pass a larger max_length."
                if cut else "Pass truncation=True, which cuts cells and leaves rows out.",
            )  # fmt: skip
        kinds = np.zeros((length, 7), dtype=np.int64)
        inside = kinds[len(front) :]
        column, row = layout.column[kept], layout.row[kept]
        inside[:, SEGMENT], inside[:, COLUMN], inside[:, ROW] = 1, column + 1, row
        places: dict[tuple[int, int], list[int]] = {}
        for place, key in enumerate(zip((row - 1).tolist(), column.tolist(), strict=True), len(front)):
            places.setdefault(key, []).append(place)
        if earlier is not None:
            kinds[:, 3] = self.marked(places, length, *earlier)
        related = quantities.quantities(quantities.plain(question))
        for number, values in enumerate(self.values):
            compared = quantities.relations(related, values)
            for at in values:
                for place in places.get((at, number), ()):
                    kinds[place, 4:6] = self.ranks[number].get(at, (0, 0))
                    kinds[place, 6] = compared.get(at, 0)
        encoded: dict[str, Any] = {"input_ids": [*front, *ids[1]]}
        if answer is not None:
            encoded["labels"] = self.marked(places, length, *answer)
            encoded["numeric_values"], encoded["numeric_values_scale"] = self.numbers(places, length)
        encoded["token_type_ids"] = kinds.tolist()
        ends = {0, len(front) - 1} if special else set()
        encoded["special_tokens_mask"] = [int(place in ends) for place in range(length)]
        return encoded

    def question(self, question: str) -> tuple[str, list[str]]:
        """The question and its pieces; nothing of one that is shorter or longer than the settings allow."""
        pieces = self.tokenizer.pieces([question])[0]
        least, most = self.tokenizer.option("min_question_length"), self.tokenizer.option("max_question_length")
        outside = (least is not None and len(pieces) < least) or (most is not None and len(pieces) > most)
        return ("", []) if outside else (question, pieces)

    def kept(self, asked: int, cut: bool, limit: int | None) -> np.ndarray:
        """Which tokens of the table fit beside `asked` tokens of the question."""
        owner, layout = self.tokenizer, self.layout
        rows, columns = len(self.table.rows), len(self.table.header)
        widest = owner.option("max_column_id") or owner.model_max_length
        tallest = owner.option("max_row_id") or owner.model_max_length
        if columns >= widest or (rows >= tallest and not cut):
            count = f"{columns} columns" if columns >= widest else f"{rows} rows"
            raise InputError(
                f"The table has {count}; fewer than {widest if columns >= widest else tallest} can be told apart.",
                "Give a part of it." if columns >= widest else "Give a part of it, or pass truncation=True.",
            )
        if not cut:
            return np.flatnonzero(layout.word < max(self.longest, 1))
        rows = min(rows, tallest - 1)
        room = (limit if limit is not None else owner.model_max_length) - asked - 2
        trim = owner.option("cell_trim_length")
        longest = self.longest if trim < 0 else min(trim, self.longest)
        # How many tokens there are up to each row, when each cell keeps the words that begin before each place.
        counts = np.zeros((len(self.table.rows) + 1, max(self.longest, 1)), dtype=np.int64)
        np.add.at(counts, (layout.row, np.maximum(layout.word, 0)), 1)
        totals = counts.cumsum(0).cumsum(1)
        while rows >= 1:
            fits = [width for width in range(1, longest + 1) if totals[rows, width - 1] <= room]
            width = max(fits, default=0)
            if width == longest or (width and trim < 0):
                return np.flatnonzero((layout.row <= rows) & (layout.word < width))
            rows -= 1
        return np.flatnonzero((layout.row <= rows) & (layout.word < 1))

    def marked(self, places: Mapping[tuple[int, int], list[int]], length: int, cells: Any, texts: Any) -> list[int]:
        """1 for each token of the answer. Raises `InputError` for a cell that is not there."""
        marks = [0] * length
        if self.tokenizer.option("update_answer_coordinates"):
            for text in self.tokenizer.pieces(texts):
                for place in self.found(places, text):
                    marks[place] = 1
            return marks
        for cell in cells:
            found = places.get((int(cell[0]), int(cell[1])))
            if not found:
                raise InputError(
                    f"The answer's cell {tuple(cell)} is not in what is read of the table.",
                    "Count rows and columns from 0; with truncation=True the last rows may be left out.",
                )
            for place in found:
                marks[place] = 1
        return marks

    def found(self, places: Mapping[tuple[int, int], list[int]], text: list[str]) -> list[int]:
        """The tokens of the first cell that has this text in it."""
        every = self.tokenizer.pieces(cell for row in self.table.rows for cell in row)
        columns = len(self.table.header)
        for (row, column), tokens in sorted(places.items()):
            cell = every[row * columns + column] if row >= 0 else []
            for start in range(len(tokens) - len(text) + 1):
                if text and cell[start : start + len(text)] == text:
                    return tokens[start : start + len(text)]
        return []

    def numbers(self, places: Mapping[tuple[int, int], list[int]], length: int) -> tuple[list[float], list[float]]:
        """The number in the cell of each token (NaN: none), and how many tokens share that cell."""
        values, scales = [float("nan")] * length, [1.0] * length
        for (row, column), tokens in places.items():
            if row < 0:
                continue
            value = self.values[column].get(row)
            for place in tokens:
                scales[place] = float(len(tokens))
                if isinstance(value, float):
                    values[place] = value
        return values, scales


def begins(pieces: list[str]) -> list[int]:
    """For each piece of a cell, the place of the one that begins its word; -1: none does."""
    places, start = [], -1
    for place, piece in enumerate(pieces):
        if not piece.startswith(INNER):
            start = place
        places.append(start)
    return places
