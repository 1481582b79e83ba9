"""What the index keeps of each repository, read from the database in bulk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from samovar.server.db.tables import Repository
from samovar.server.search.groups import mark
from samovar.server.search.postings import distinct
from samovar.server.search.vocabulary import Vocabulary

AT_ONCE = 20_000
TABLE = Repository.__table__
# Times are kept as microseconds since 1970.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUMBERS: dict[str, Any] = {
    "id": np.int64, "owner_id": np.int64, "likes": np.int64, "downloads": np.int64, "trending_score": np.float64,
    "parameters": np.int64, "card_words": np.int32, "created_at": np.int64, "last_modified": np.int64,
    "changed": np.int64,
}  # fmt: skip
"""Columns of numbers, as they are called in the table. An unknown number of parameters is -1."""
MARKED = {"pipeline_tag": "pipeline_tag", "architecture": "architecture", "gated": "gated", "sdk": "sdk"}
"""Columns of texts → the group of their marks among the tags."""
NOT_GATED, IS_PRIVATE = "no", mark("private", "yes")
# A space that names models or data sets in its card.
LINKED = mark("linked", "yes")


@dataclass
class Rows:
    """Some repositories of one kind."""

    numbers: dict[str, npt.NDArray[Any]]
    private: npt.NDArray[np.bool_]
    names: list[str]
    tags: npt.NDArray[np.int32]
    """The tags' numbers, one row after the other."""
    tag_counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)


def read_rows(
    session: Session, vocabularies: dict[str, Vocabulary], since: int | None = None
) -> Iterator[tuple[str, Rows]]:
    """Kind and rows, about `AT_ONCE` at a time: all in the order of their ids, or those changed after a number."""
    # The database's own values, without conversions row by row: those would take most of the time.
    columns = [
        type_coerce(TABLE.c[name], NullType()) for name in ("type", *NUMBERS, "private", "name", "tags", *MARKED)
    ]
    query = select(*columns).order_by(TABLE.c.id) if since is None else (
        # No order: it could tempt the database to walk through all rows instead of the index of changes.
        select(*columns).where(TABLE.c.changed > since)
    )  # fmt: skip
    result = session.connection().execute(query, execution_options={"yield_per": AT_ONCE})
    for part in result.partitions():
        for kind, vocabulary in vocabularies.items():
            rows = [row for row in part if row[0] == kind]
            if rows:
                yield kind, columned(list(zip(*rows, strict=True)), vocabulary)


def columned(values: list[tuple[Any, ...]], vocabulary: Vocabulary) -> Rows:
    """Values by column, as arrays."""
    by_name = dict(zip(("type", *NUMBERS, "private", "name", "tags", *MARKED), values, strict=True))
    numbers = {
        name: moments(by_name[name]) if name in ("created_at", "last_modified")
        else np.array([-1 if one is None else one for one in by_name[name]], kind)
        for name, kind in NUMBERS.items()
    }  # fmt: skip
    names = list(by_name["name"])
    private = np.array(by_name["private"], np.bool_)
    tags = lists(by_name["tags"])
    lengths = np.fromiter(map(len, tags), np.int64, len(tags))
    every = np.arange(len(tags), dtype=np.int64)
    of_rows = [np.repeat(every, lengths)]
    spelled = [np.fromiter(map(vocabulary.__getitem__, chain.from_iterable(tags)), np.int64, int(lengths.sum()))]
    authors = [name[: name.index("/")] for name in names]
    for group, texts in (("author", authors), *((group, by_name[name]) for name, group in MARKED.items())):
        default = NOT_GATED if group == "gated" else None
        marks = {text: vocabulary[mark(group, value)] for text in set(texts) if (value := text or default)}
        found = np.fromiter((marks.get(text, -1) for text in texts), np.int64, len(texts))
        of_rows.append(every[found >= 0])
        spelled.append(found[found >= 0])
    of_rows.append(every[private])
    spelled.append(np.full(len(of_rows[-1]), vocabulary[IS_PRIVATE]))
    if by_name["type"][0] == "space":
        linked = [any(tag.startswith(("model:", "dataset:")) for tag in row) for row in tags]
        of_rows.append(every[np.array(linked, np.bool_)])
        spelled.append(np.full(len(of_rows[-1]), vocabulary[LINKED]))
    # Row and tag in one integer: in order, and each tag of a row once.
    keys = distinct((np.concatenate(of_rows) << 32) | np.concatenate(spelled))
    counts = np.bincount(keys >> 32, minlength=len(tags))
    return Rows(numbers, private, names, (keys & 0xFFFFFFFF).astype(np.int32), counts)


def lists(values: Sequence[Any]) -> list[list[str]]:
    """Lists from JSON, which some databases hand out as text."""
    if all(isinstance(value, str) for value in values):
        # One call for all is several times faster than one for each.
        found: list[list[str]] = json.loads("[" + ",".join(values) + "]")
        return found
    return [json.loads(value) if isinstance(value, str) else list(value or ()) for value in values]


def moments(values: Sequence[Any]) -> npt.NDArray[np.int64]:
    """Microseconds since 1970, from times or from the text that SQLite keeps them as."""
    if all(isinstance(value, str) for value in values):
        return np.array(values, "datetime64[us]").astype(np.int64)
    return np.array([microseconds(value) for value in values], np.int64)


def microseconds(value: Any) -> int:
    """Of one time."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - EPOCH) // (moment.resolution)
