"""Sessions: readers do not wait for writers, writers queue, and a database that stays locked is an error of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from samovar.server.db.tables import Repository, Sequence
from samovar.server.errors import BusyError, StorageFullError

# How long a writer waits for its turn (seconds).
PATIENCE = 15


class Database:
    """One database by its SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        more: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}} if self.is_sqlite else {"pool_pre_ping": True}
        self.engine: Engine = create_engine(url, pool_size=32, max_overflow=32, **more)
        writers = self.engine.execution_options(takes_turn=True)
        if self.is_sqlite:
            event.listen(self.engine, "connect", prepare_sqlite)
            event.listen(self.engine, "begin", begin_sqlite)
        self.readers = sessionmaker(self.engine, expire_on_commit=False)
        self.writers = sessionmaker(writers, expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database and writes nothing."""
        with named_errors(), self.readers() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes become lasting together at its end, or not at all.

        SQLite has one writer at a time: the turn is taken at the beginning, so that nothing read in it is stale.
        Do no slow work (git, hashing, network) within. Raises `BusyError` when no turn comes.
        """
        with named_errors(), self.writers.begin() as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    """Readers beside a writer; a commit is on the disk when it returns; references are checked."""
    # SQLAlchemy begins transactions itself, so that `write` can begin one that takes the turn.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -32000"):
        connection.execute(f"PRAGMA {pragma}")


def begin_sqlite(connection: Connection) -> None:
    """Begin a transaction: a writer takes its turn at once, so that it never finds out at its end that it came late."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("takes_turn") else "BEGIN")


@contextmanager
def named_errors() -> Iterator[None]:
    """A locked or full database as the Hub's own errors."""
    try:
        yield
    except OperationalError as error:
        said = str(error.orig).lower()
        if "locked" in said or "busy" in said:
            raise BusyError("The database is busy.", "Try again in a moment.", {"Retry-After": "1"}) from error
        if "full" in said or "no space" in said:
            raise StorageFullError("The disk of the database is full.", "Tell the Hub's operator.") from error
        raise
    except DBAPIError as error:
        if error.connection_invalidated:
            raise BusyError("The database went away.", "Try again in a moment.", {"Retry-After": "1"}) from error
        raise


def next_change(session: Session) -> int:
    """The next change number. Within a write, so numbers become visible in order."""
    sequence = session.get(Sequence, "changes", with_for_update=True)
    if sequence is None:
        sequence = Sequence(name="changes", value=0)
        session.add(sequence)
    sequence.value += 1
    return sequence.value


def mark_changed(session: Session, repository: Repository) -> None:
    """Tell the search index, in every process, to read this repository again."""
    repository.changed = next_change(session)
