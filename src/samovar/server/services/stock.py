"""What a Hub holds and how much room it has left: numbers for its operator."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import func, select

from samovar.server.db.tables import Account, PendingRefresh, Repository, StoredObject
from samovar.server.hub import Hub
from samovar.server.services.access import TYPES

# Counting a million rows takes a moment: no more often than this (seconds).
AGE = 15.0


@dataclass(frozen=True)
class Stock:
    """How much there is of everything."""

    repositories: dict[str, int]
    accounts: dict[str, int]
    objects: int
    object_bytes: int
    pending: int
    """References that have moved and have not been read yet."""
    disk_free: int
    disk_total: int


class StockTaking:
    """Counts when asked, and remembers the answer for a few seconds."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.lock = Lock()
        self.taken: tuple[float, Stock] | None = None

    def now(self) -> Stock:
        """What there is. Of several that ask at once, one counts."""
        with self.lock:
            if self.taken is None or time.monotonic() - self.taken[0] > AGE:
                self.taken = time.monotonic(), count(self.hub)
            return self.taken[1]


def count(hub: Hub) -> Stock:
    """Count everything."""
    disk = shutil.disk_usage(hub.settings.data)
    with hub.database.read() as session:
        repositories = dict(session.execute(select(Repository.type, func.count()).group_by(Repository.type)).all())
        accounts = dict(session.execute(select(Account.kind, func.count()).group_by(Account.kind)).all())
        objects, size = session.execute(select(func.count(), func.coalesce(func.sum(StoredObject.size), 0))).one()
        pending = session.scalar(select(func.count()).select_from(PendingRefresh)) or 0
    return Stock(
        repositories={type_: repositories.get(type_, 0) for type_ in TYPES},
        accounts={kind: accounts.get(kind, 0) for kind in ("user", "org")},
        objects=objects,
        object_bytes=int(size),
        pending=pending,
        disk_free=disk.free,
        disk_total=disk.total,
    )
