"""Rows of a converted split: a page of them, those that hold words, those that fulfil a condition.

DuckDB reads the Parquet file, in a connection that can open that file and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.server.errors import BusyError, UnprocessableError
from samovar.server.viewer.where import condition, order

if TYPE_CHECKING:
    import duckdb

MEMORY, SECONDS = "1GB", 15.0
INDEX = "__row_idx"


@dataclass(frozen=True)
class Found:
    """Some rows, each with its number in the split, and how many there are in all."""

    rows: list[tuple[int, dict[str, Any]]]
    total: int


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees one file, for a limited time."""
    import duckdb  # Here and below: a Hub that shows no data never loads the readers of data.

    connection = duckdb.connect(":memory:", config={"memory_limit": MEMORY, "threads": 2})
    timer = threading.Timer(SECONDS, connection.interrupt)
    try:
        quoted = str(path).replace("'", "''")
        connection.execute(f"SET allowed_paths = ['{quoted}']")
        connection.execute("SET enable_external_access = false")
        source = f"read_parquet('{quoted}', file_row_number = true)"
        connection.execute(f"CREATE VIEW data AS SELECT *, file_row_number AS {INDEX} FROM {source}")
        connection.execute("SET lock_configuration = true")
        timer.start()
        yield connection
    except duckdb.InterruptException as error:
        raise BusyError("The question took too long.", "Ask for less.") from error
    except duckdb.Error as error:
        raise UnprocessableError(f"The question cannot be answered: {str(error).splitlines()[0][:300]}") from error
    finally:
        timer.cancel()
        connection.close()


def page(path: Path, offset: int, length: int) -> Found:
    """Rows by their number: only the groups of rows that hold them are read."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    file = pq.ParquetFile(path)
    start, rows = 0, list[tuple[int, dict[str, Any]]]()
    for number in range(file.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        if start + count > offset and len(rows) < length:
            group = file.read_row_group(number)
            first = max(0, offset - start)
            part = group.slice(first, length - len(rows))
            rows += [(start + first + at, row) for at, row in enumerate(part.to_pylist())]
        start += count
    return Found(rows, file.metadata.num_rows)


def filtered(path: Path, columns: list[str], where: str, orderby: str, offset: int, length: int) -> Found:
    """Rows that fulfil a condition, in an order. Raises `UnprocessableError`, `BusyError`."""
    sql, values = condition(where, columns) if where.strip() else ("true", [])
    by = order(orderby, columns) if orderby.strip() else INDEX
    return asked(path, sql, values, f"{by}, {INDEX}", offset, length)


def searched(path: Path, texts: list[str], words: str, offset: int, length: int) -> Found:
    """Rows in whose texts every word occurs, in whatever case; the one where they occur most often first."""
    wanted = [word for word in words.lower().split() if word][:20]
    if not texts or not wanted:
        return Found([], 0)
    joined = "lower(concat_ws(' ', " + ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in texts) + "))"
    sql = " AND ".join(f"contains({joined}, ?)" for _ in wanted)
    often = " + ".join(f"(length({joined}) - length(replace({joined}, ?, ''))) / {len(word)}" for word in wanted)
    return asked(path, sql, wanted, f"({often}) DESC, {INDEX}", offset, length, wanted)


def asked(
    path: Path, sql: str, values: list[Any], by: str, offset: int, length: int, more: list[Any] | None = None
) -> Found:
    """The rows, and their number."""
    with opened(path) as connection:
        total = connection.execute(f"SELECT count(*) FROM data WHERE {sql}", values).fetchall()[0][0]
        result = connection.execute(
            f"SELECT * FROM data WHERE {sql} ORDER BY {by} LIMIT ? OFFSET ?", [*values, *(more or []), length, offset]
        )
        names = [one[0] for one in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return Found([(row.pop(INDEX), row) for row in rows], total)
