"""One table as tokens, for any number of questions: which fit, where each stands, how its number compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from samovar.errors import InputError
from samovar.text import quantities
from samovar.text.table_cells import Table

if TYPE_CHECKING:
    from samovar.text.tables import TapasTokenizer

INNER = "##"  # what stands before a piece that goes on a word
SEGMENT, COLUMN, ROW = 0, 1, 2  # of the numbers that say where a token stands


class Layout(NamedTuple):
    """A table's tokens: of all of them, the piece, and where it stands."""

    pieces: list[str]
    column: np.ndarray  # from 0
    row: np.ndarray  # from 0, which is the header
    word: np.ndarray  # place in the cell of the piece that begins its word


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
