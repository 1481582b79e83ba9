"""`table-question-answering`: the cells of a table that answer a question, and what is to be done with them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError, InputTypeError, did_you_mean
from samovar.nn.tables import COLUMN, ROW
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.scores import not_finite
from samovar.pipelines.text import TextPipeline
from samovar.pipelines.transfer import pad_rows
from samovar.text.table_cells import Table
from samovar.text.tables import chosen_cells

logger = logging.getLogger(__name__)

KEYS = ("table", "query")
EARLIER = 3  # the number of a token that says: it was in the answer before
THRESHOLD = 0.5


@dataclass
class Asked:
    """Questions on one table that the model reads together, and the inputs of each."""

    table: Table
    rows: list[dict[str, Any]]


class TableQuestionAnsweringPipeline(TextPipeline):
    """`table` and `query` → `{"answer", "coordinates", "cells"}`, and `"aggregator"` where the model has operations.

    Called as `answer(table=…, query=…)`, as `answer(table, query)`, or on `{"table": …, "query": …}`, a list or a
    stream of them; several queries give a list. A table is a data frame, a dict of column → cells or a list of dicts;
    cells are read as texts. `coordinates` are pairs (row, column) from 0; an operation such as COUNT stands before the
    cells: `"COUNT > 3, 5"`. With `sequential=True` each query is read with the answer to the one before it, as models
    for conversations need it (Iyyer et al. 2017). Of a table that is too long cells are cut, then the last rows are
    left out (with one warning); with `truncation=False` it is an `InputError`.
    """

    model_tasks = ("table-question-answering",)

    def _sanitize_parameters(
        self, sequential: bool | None = None, truncation: bool | str | None = None, padding: Any = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        self.refuse(kwargs, ("sequential", "truncation", *KEYS))
        before: dict[str, Any] = {} if truncation is None else {"truncation": truncation}
        during: dict[str, Any] = {}
        if sequential is not None:
            before["sequential"] = during["sequential"] = bool(sequential)
        return before, during, {}

    def __call__(self, inputs: Any = None, query: Any = None, **kwargs: Any) -> Any:
        """See the class."""
        table = kwargs.pop("table", inputs)
        if table is None:
            raise InputTypeError("No table was given.", "Pass table={'…': ['…', …]} and query='…'.")
        return super().__call__(table if query is None else {"table": table, "query": query}, **kwargs)

    def prepare_many(
        self, inputs: list[Any], sequential: bool = False, truncation: bool | str = True, **options: Any
    ) -> list[list[Item]]:
        """A row per query, or one for all queries on a table where each needs the answer before."""
        prepared = []
        for value in inputs:
            table, queries = self.asked(value)
            encoded = self.tokenizer(
                table, queries, truncation=truncation, max_length=self.limit, return_attention_mask=False,
                verbose=False,
            )  # fmt: skip
            names = ("input_ids", "token_type_ids")
            both = zip(*(encoded[name] for name in names), strict=True)
            rows = [{name: np.asarray(one) for name, one in zip(names, row, strict=True)} for row in both]
            self.warn_cut(table, rows)
            groups = [rows] if sequential else [[row] for row in rows]
            # Questions that follow one another run alone.
            apart = (lambda: object()) if sequential else (lambda: None)
            prepared.append(
                [
                    Item({}, sum(len(row["input_ids"]) for row in group), apart(), Asked(table, group))
                    for group in groups
                ]
            )
        return prepared

    def asked(self, value: Any) -> tuple[Table, list[str]]:
        """A table and its queries; raises `InputTypeError` or `InputError`."""
        if not isinstance(value, dict) or any(value.get(key) is None for key in KEYS):
            wrong = [key for key in value if key not in KEYS] if isinstance(value, dict) else []
            hint = did_you_mean(str(wrong[0]), KEYS) if wrong else ""
            raise InputTypeError(
                "A dict with a table and a query expected, got "
                + (f"one with {', '.join(map(repr, value)) or 'no keys'}." if isinstance(value, dict) else
                   f"{type(value).__name__}."),
                hint or "Pass {'table': {'…': ['…', …]}, 'query': '…'}.",
            )  # fmt: skip
        table, query = Table.of(value["table"]), value["query"]
        if not table.rows:
            raise InputError("The table has no rows.", "Give the names of the columns and at least one row.")
        queries = list(query) if isinstance(query, list | tuple) else [query]
        if not queries or not all(check_text(one, "A query").strip() for one in queries):
            raise InputError("A query is empty.", "Ask for something.")
        widest, tallest = (self.config.type_vocab_sizes[place] for place in (COLUMN, ROW))
        if len(table.header) >= widest:
            raise InputError(
                f"The table has {len(table.header)} columns; this model tells {widest - 1} apart.", "Leave some out."
            )
        if len(table.rows) >= tallest:
            self.warn_rows(len(table.rows), tallest - 1)
            table = table._replace(rows=table.rows[: tallest - 1])
        return table, queries

    def warn_cut(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Say when the last rows of a table do not fit."""
        read = min((int(row["token_type_ids"][:, ROW].max()) for row in rows), default=len(table.rows))
        filled = max(index for index, row in enumerate([table.header, *table.rows]) if index == 0 or any(row))
        if read < filled:
            self.warn_rows(len(table.rows), read)

    def warn_rows(self, count: int, read: int) -> None:
        """Say once per pipeline that rows are left out."""
        if not self.warned:
            self.warned = True
            logger.warning(
                "A table has %d rows, of which this model reads %d: the last ones are left out (as for all later "
                "tables that are too long). Ask on a part of the table.", count, read,
            )  # fmt: skip

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """All rows, padded on the right."""
        rows = [row for item in items for row in item.extra.rows]
        ids = [row["input_ids"] for row in rows]
        batch: dict[str, Any] = {"input_ids": self.in_vocabulary(pad_rows(ids, self.pad_id))}
        if len({len(one) for one in ids}) > 1:
            batch["attention_mask"] = pad_rows([np.ones(len(one), dtype=np.int64) for one in ids], 0)
        kinds = np.zeros((*batch["input_ids"].shape, rows[0]["token_type_ids"].shape[-1]), dtype=np.int64)
        for target, row in zip(kinds, rows, strict=True):
            target[: len(row["input_ids"])] = row["token_type_ids"]
        return {**batch, "token_type_ids": torch.from_numpy(kinds)}

    def _forward(self, model_inputs: dict[str, Any], sequential: bool = False, **parameters: Any) -> Any:
        """Probabilities of cells (rows, tokens), logits of operations (rows, operations), the tokens' numbers."""
        if not sequential:
            out = self.model(**model_inputs)
            return out.logits.float().sigmoid(), out.logits_aggregation, model_inputs["token_type_ids"]
        kinds, chances, operations = model_inputs["token_type_ids"], [], []
        earlier: list[tuple[int, int]] = []
        for index in range(len(kinds)):
            row = {name: value[index : index + 1] for name, value in model_inputs.items()}
            marked = kinds.new_zeros(kinds.shape[1], dtype=torch.bool)
            for line, column in earlier:
                marked |= (kinds[index, :, ROW] == line + 1) & (kinds[index, :, COLUMN] == column + 1)
            row["token_type_ids"][:, :, EARLIER] = marked.long()
            out = self.model(**row)
            chance = out.logits.float().sigmoid()
            chances.append(chance)
            operations.append(out.logits_aggregation)
            earlier = chosen_cells(chance[0].cpu().numpy(), kinds[index].cpu().numpy(), THRESHOLD)
        every = None if operations[0] is None else torch.cat(operations)
        return torch.cat(chances), every, kinds

    def reduce(self, outputs: Any, items: list[Item], **after: Any) -> tuple[Tensor, ...]:
        """Probabilities (rows, tokens) and the number of the best operation (rows)."""
        chances, operations, _ = outputs
        best = chances.new_zeros(len(chances)).long() if operations is None else operations.argmax(-1)
        return chances, best

    def unpack(self, reduced: Any, items: list[Item], **after: Any) -> list[Any]:
        """For each item, what is chosen for each of its rows: cells and operation."""
        chances, best = reduced
        if not chances.isfinite().all():
            raise not_finite("logits")
        values, start = [], 0
        for item in items:
            chosen = []
            for row in item.extra.rows:
                kinds = row["token_type_ids"]
                cells = chosen_cells(chances[start, : len(kinds)].numpy(), kinds, THRESHOLD)
                chosen.append((cells, int(best[start])))
                start += 1
            values.append(chosen)
        return values

    def finish(self, items: list[Item], values: list[Any], **after: Any) -> Any:
        """The answer to one query, or to each of several."""
        answers = [
            self.answer(item.extra.table, *chosen)
            for item, every in zip(items, values, strict=True)
            for chosen in every
        ]
        return answers[0] if len(answers) == 1 else answers

    def answer(self, table: Table, coordinates: list[tuple[int, int]], operation: int) -> dict[str, Any]:
        """The cells, and the operation before them unless it is none."""
        cells = [table.rows[row][column] for row, column in coordinates]
        answer: dict[str, Any] = {"answer": ", ".join(cells), "coordinates": coordinates, "cells": cells}
        names = self.config.aggregation_labels if self.config.num_aggregation_labels else None
        if names:
            answer["aggregator"] = names[operation]
            if operation != self.config.no_aggregation_label_index:
                answer["answer"] = f"{names[operation]} > {answer['answer']}"
        return answer
