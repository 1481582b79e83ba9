"""How often repositories are used: counted in memory, written now and then, so that no download waits for the database.

The rule, after the field's: one download is one caller (an account, or an address without one) using one repository
within five minutes, whatever the number of requests: a client asks HEAD and GET for each of many files.
A data set or space is used when any of its files is asked for. A model is used when one of its *query files* is, as
libraries ask for those first and for the weights only when they have none cached; a model that has no such file at its
root counts like a data set. GET counts always, HEAD only from a client that says so (`X-HF-Download-Counter`), since it
asks HEAD alone when the file is cached. Asking for a pointer (`raw`) or with git counts nothing.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database, next_change
from samovar.server.db.tables import DownloadDay, Repository, RepositoryContent
from samovar.server.db.tables.base import now
from samovar.server.services.access import Caller

QUERY_FILES = frozenset({
    "config.json", "config.yaml", "hyperparams.yaml", "params.json", "meta.yaml", "adapter_config.json",
    "model_index.json",
})  # fmt: skip
WINDOW = 300.0
"""Seconds in which a caller counts once."""
MOST_REMEMBERED = 200_000
DAYS = 30
KEPT_DAYS = 400
AT_ONCE = 500
# The search index hears of new counts no more often than this (seconds).
TELLING = 120.0


class Downloads:
    """Downloads of one process that are not written yet. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.counted: Counter[tuple[int, bool, date]] = Counter()
        """(repository, whether by a query file, day) → downloads."""
        self.seen: dict[int, float] = {}
        """Hash of (caller, repository, query file or not) → when it counted."""
        self.untold: set[int] = set()
        self.told_at = -TELLING

    def count(
        self, repository_id: int, path: str, caller: Caller, method: str = "GET", header: str | None = None
    ) -> None:
        """A file was asked for. `header` is the request's `X-HF-Download-Counter`."""
        if method == "HEAD" and not header:
            return
        query = path in QUERY_FILES
        key = hash((caller.account_id or network(caller.address), repository_id, query))
        moment = self.clock()
        with self.lock:
            if moment - self.seen.get(key, -WINDOW) < WINDOW:
                return
            if len(self.seen) >= MOST_REMEMBERED:
                self.forget(moment)
            self.seen[key] = moment
            self.counted[repository_id, query, now().date()] += 1

    def forget(self, moment: float) -> None:
        """Drop what lies outside the window; if that is nothing, everything."""
        self.seen = {key: at for key, at in self.seen.items() if moment - at < WINDOW}
        if len(self.seen) >= MOST_REMEMBERED:
            self.seen = {}

    def flush(self, database: Database, tell: bool = False) -> int:
        """Write what was counted; how many downloads. What cannot be written stays counted.

        The search index is told now and then, or at once with `tell`.
        """
        with self.lock:
            counted, self.counted = self.counted, Counter()
            self.forget(self.clock())
        if not counted and not self.untold:
            return 0
        telling = tell or self.clock() - self.told_at >= TELLING
        try:
            with database.write() as session:
                written = self.written(session, counted)
                self.untold |= {number for number, _ in written}
                if telling:
                    change = next_change(session)
                    for some in batches(sorted(self.untold)):
                        session.execute(update(Repository).where(Repository.id.in_(some)).values(changed=change))
        except Exception:
            with self.lock:
                self.counted.update(counted)
            raise
        if telling:
            self.untold, self.told_at = set(), self.clock()
        return sum(written.values())

    def written(self, session: Session, counted: Counter[tuple[int, bool, date]]) -> Counter[tuple[int, date]]:
        """Add to the counters; (repository, day) → what was added. Repositories that are gone count nothing."""
        ids = sorted({number for number, _, _ in counted})
        types: dict[int, str] = {}
        queried: set[int] = set()
        for some in batches(ids):
            types |= dict(session.execute(select(Repository.id, Repository.type).where(Repository.id.in_(some))).all())
        for some in batches([number for number in ids if types.get(number) == "model"]):
            rows = session.execute(
                select(RepositoryContent.repository_id, RepositoryContent.files)
                .where(RepositoryContent.repository_id.in_(some))
            )  # fmt: skip
            queried |= {number for number, files in rows if any(file[0] in QUERY_FILES for file in files)}
        added: Counter[tuple[int, date]] = Counter()
        for (number, query, day), count in counted.items():
            if number in types and (query or number not in queried):
                added[number, day] += count
        for (number, day), count in added.items():
            row = session.get(DownloadDay, (number, day))
            if row is None:
                session.add(DownloadDay(repository_id=number, day=day, count=count))
            else:
                row.count += count
            session.execute(
                update(Repository)
                .where(Repository.id == number)
                .values(
                    downloads=Repository.downloads + count, downloads_all_time=Repository.downloads_all_time + count
                )
            )
        return added


def roll(database: Database, at: datetime | None = None) -> int:
    """Let days that are over leave the sums of 30 days; how many repositories changed. To be run every hour or so."""
    today = (at or now()).date()
    begin = today - timedelta(days=DAYS - 1)
    recent = (
        select(func.coalesce(func.sum(DownloadDay.count), 0))
        .where(DownloadDay.repository_id == Repository.id, DownloadDay.day >= begin)
        .correlate(Repository)
        .scalar_subquery()
    )
    with database.read() as session:
        wrong = list(
            session.scalars(select(Repository.id).where(Repository.downloads > 0, Repository.downloads != recent))
        )
    for some in batches(wrong):
        with database.write() as session:
            session.execute(
                update(Repository)
                .where(Repository.id.in_(some))
                .values(downloads=recent, changed=next_change(session))
                .execution_options(synchronize_session=False)
            )
    with database.write() as session:
        session.execute(delete(DownloadDay).where(DownloadDay.day < today - timedelta(days=KEPT_DAYS)))
    return len(wrong)


def network(address: str) -> str:
    """The address, or of an IPv6 one the part that its owner does not choose."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def batches(numbers: Sequence[int]) -> list[Sequence[int]]:
    """In parts that a database takes at once."""
    return [numbers[start : start + AT_ONCE] for start in range(0, len(numbers), AT_ONCE)]
