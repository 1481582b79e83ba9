"""Whose turn it is: work that one of several processes does for all, agreed on in the database."""

from __future__ import annotations

from datetime import timedelta

from samovar.server.db.engine import Database
from samovar.server.db.tables import Lease
from samovar.server.db.tables.base import now


def take(database: Database, name: str, holder: str, seconds: float) -> bool:
    """Whether `holder` may do the work called `name` now; nobody else may for so many seconds."""
    with database.write() as session:
        lease = session.get(Lease, name, with_for_update=True)
        if lease is not None and lease.until > now():
            return False
        if lease is None:
            lease = Lease(name=name)
            session.add(lease)
        lease.holder, lease.until = holder, now() + timedelta(seconds=seconds)
        return True


def give_back(database: Database, name: str, holder: str) -> None:
    """Let somebody else do the work at once, as it failed here."""
    with database.write() as session:
        lease = session.get(Lease, name, with_for_update=True)
        if lease is not None and lease.holder == holder:
            session.delete(lease)
