"""The search index: everything that lists and searches need of all repositories, in the memory of each process.

Derived from the database alone. Before each search one small question asks whether the change number has moved; if so
the repositories that changed are read again, so a process sees what it and every other has written.
"""

from __future__ import annotations

import logging
import threading

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import DeletedRepository, Sequence
from samovar.server.search.rows import Rows, read_rows
from samovar.server.search.table import Table
from samovar.server.search.vocabulary import Vocabulary

logger = logging.getLogger(__name__)
KINDS = ("model", "dataset", "space")
# A table is compacted when its tail or its dead slots are more than this part of it, and more than `LEAST`.
SHARE, LEAST = 0.05, 5000


class SearchIndex:
    """All repositories in memory. Safe to use from many threads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.lock = threading.RLock()
        self.tables: dict[str, Table] = {}
        self.seen = -1
        """The change number up to which everything is in the tables."""
        self.compacting: threading.Thread | None = None

    def table(self, kind: str) -> Table:
        """The table of a kind, up to date. The first call reads everything."""
        with self.database.read() as session:
            if not self.tables or change_number(session) != self.seen:
                with self.lock:
                    self.update(session)
        return self.tables[kind]

    def update(self, session: Session) -> None:
        """Read what has changed. Holding the lock."""
        # What another thread waited for the lock to do may be done; and the session may see an older state.
        session.rollback()
        number = change_number(session)
        if self.tables and number == self.seen:
            return
        if not self.tables or number < self.seen:
            # The first time; or another database, such as one restored from a copy, has come under this process.
            self.tables = load(session)
        else:
            self.apply(session, self.tables, self.seen)
        self.seen = number
        self.compact_if_due()

    def apply(self, session: Session, tables: dict[str, Table], since: int) -> None:
        """Bring tables up to date that know everything up to a change number."""
        for deleted in session.scalars(
            select(DeletedRepository.repository_id).where(DeletedRepository.changed > since)
        ):
            for table in tables.values():
                table.remove(deleted)
        vocabularies = {kind: table.vocabulary for kind, table in tables.items()}
        for kind, rows in read_rows(session, vocabularies, since):
            tables[kind].put(rows)

    def compact_if_due(self) -> None:
        """Begin to compact, beside everything else, when there is much to gain."""
        due = [
            kind
            for kind, table in self.tables.items()
            if max(table.dead, table.count - table.base) > max(LEAST, SHARE * table.count)
        ]
        if due and (self.compacting is None or not self.compacting.is_alive()):
            self.compacting = threading.Thread(target=self.compact, args=(due,), name="index", daemon=True)
            self.compacting.start()

    def compact(self, kinds: list[str]) -> None:
        """Replace tables by compact ones. What changes meanwhile is read again before they take over."""
        try:
            for kind in kinds:
                with self.lock:
                    old, since = self.tables[kind], self.seen
                new = old.compacted()
                with self.lock, self.database.read() as session:
                    if self.tables.get(kind) is not old:
                        continue
                    number = change_number(session)
                    self.apply(session, {**self.tables, kind: new}, since)
                    self.tables = {**self.tables, kind: new}
                    self.seen = max(self.seen, number)
        except Exception:
            # The old table goes on being right; the next change tries again.
            logger.exception("The search index could not be compacted.")


def change_number(session: Session) -> int:
    """The number of the last change of any repository."""
    return session.scalar(select(Sequence.value).where(Sequence.name == "changes")) or 0


def load(session: Session) -> dict[str, Table]:
    """All tables from the database."""
    vocabularies = {kind: Vocabulary() for kind in KINDS}
    parts: dict[str, list[Rows]] = {kind: [] for kind in KINDS}
    for kind, rows in read_rows(session, vocabularies):
        parts[kind].append(rows)
    return {kind: Table(vocabularies[kind], parts[kind]) for kind in KINDS}
