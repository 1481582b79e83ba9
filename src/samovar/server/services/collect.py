"""Garbage collection of large files: what nothing refers to any more, and nobody has used for long, goes.

Git is the truth: a file stays as long as any revision of any reference of any repository points to it. Beside that the
files stay that somebody brought, or was told that they need not bring, a short while ago; a commit notes that it uses a
file in the same transaction in which it makes sure that it may. So a file is either noted before the rows go, and
stays, or the commit finds no row, and is refused before anything refers to it.

First the rows go, then files are put into a bin. Whoever brings a file at that very moment takes it back out of there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pygit2
from sqlalchemy import Select, delete, exists, select

from samovar.server.db.tables import Repository, RepositoryObject, StoredObject, Xorb, XorbHolder, XorbRun
from samovar.server.db.tables.base import now
from samovar.server.errors import RepositoryNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos.reachable import large_files
from samovar.server.services import xorbs
from samovar.server.services.derived import clear_derived
from samovar.server.services.large_files import AT_ONCE, USE

logger = logging.getLogger(__name__)
# Nothing younger is collected, whatever the settings say: uses are not noted more often than `USE`.
LEAST = 2 * USE
# A file in the bin is deleted after this: by then whoever brought it once more has taken it back.
BIN = timedelta(hours=1)
# Files without a row, and xorbs without a file, may be on their way for this long.
UNDER_WAY = timedelta(days=1)


@dataclass
class Collected:
    """What went, or would go."""

    references: int = 0
    """Permissions of repositories to refer to a file."""
    objects: list[str] = field(default_factory=list)
    size: int = 0
    """Bytes of the objects."""
    freed: int = 0
    """Bytes that were freed just now: of drafts, of what went into the bin earlier, of folders made of old commits."""
    unreadable: list[int] = field(default_factory=list)
    """Repositories whose git cannot be read: all their files stay."""


def collect(hub: Hub, dry_run: bool = False) -> Collected:
    """Collect once. Safe beside a running Hub, in several processes, and to be cut off anywhere."""
    found = Collected()
    before = now() - max(hub.settings.keep_unreferenced, LEAST)
    # One question for all: a question for each of very many repositories would take the time of those who read pages.
    with hub.database.read() as session:
        of_old = select(RepositoryObject.repository_id).where(RepositoryObject.used_at < before)
        numbers = list(session.scalars(select(Repository.id).where(Repository.id.in_(of_old)).order_by(Repository.id)))
    unused: dict[int, set[str]] = {}
    for number in numbers:
        try:
            if names := unreferenced(hub, number, before):
                unused[number] = names
        except (pygit2.GitError, KeyError, ValueError) as error:
            logger.warning("The large files of repository %d stay, as its git cannot be read: %s", number, error)
            found.unreadable.append(number)
        except RepositoryNotFoundError:
            continue
    for number, names in unused.items():
        found.references += release(hub, number, names, before, dry_run)
    found.objects, found.size = sweep(hub, before, unused, dry_run)
    if not dry_run:
        forget_xorbs(hub, before)
        found.freed = hub.objects.forget_drafts(max(2 * hub.settings.upload_lifetime, UNDER_WAY).total_seconds())
        found.freed += hub.objects.empty_bin(BIN.total_seconds())
        found.freed += clear_derived(hub)
    return found


def unreferenced(hub: Hub, number: int, before: datetime) -> set[str]:
    """Files of a repository that nobody has used since, and that git does not refer to."""
    with hub.database.read() as session:
        old = set(
            session.scalars(
                select(RepositoryObject.sha256).where(
                    RepositoryObject.repository_id == number, RepositoryObject.used_at < before
                )
            )
        )
    return old - large_files(hub.folders.open(number)) if old else set()


def release(hub: Hub, number: int, names: set[str], before: datetime, dry_run: bool) -> int:
    """Take the repository's permission to refer to these, unless they have been used meanwhile; how many."""
    if dry_run:
        return len(names)
    count = 0
    for some in batches(names):
        with hub.database.write() as session:
            done = session.execute(
                delete(RepositoryObject)
                .where(
                    RepositoryObject.repository_id == number,
                    RepositoryObject.sha256.in_(some),
                    RepositoryObject.used_at < before,
                )
                .returning(RepositoryObject.sha256)
            )
            count += len(done.all())
    return count


def unowned(before: datetime) -> Select[str, int]:
    """Objects that no repository may refer to, and that no client counts on when it sends only what has changed."""
    counted_on = (
        select(XorbRun.id)
        .join(XorbHolder, XorbHolder.hash == XorbRun.hash)
        .where(XorbRun.sha256 == StoredObject.sha256, XorbHolder.used_at >= before)
    )
    return select(StoredObject.sha256, StoredObject.size).where(
        StoredObject.created_at < before,
        ~exists().where(RepositoryObject.sha256 == StoredObject.sha256),
        ~exists(counted_on),
    )


def sweep(hub: Hub, before: datetime, unused: dict[int, set[str]], dry_run: bool) -> tuple[list[str], int]:
    """Remove objects that nobody may refer to, first their rows, then the files; names and bytes."""
    if dry_run:
        return would_go(hub, before, unused)
    names: list[str] = []
    size = 0
    while True:
        with hub.database.write() as session:
            rows = session.execute(unowned(before).limit(AT_ONCE)).all()
            session.execute(delete(StoredObject).where(StoredObject.sha256.in_([row.sha256 for row in rows])))
        if not rows:
            break
        names += [row.sha256 for row in rows]
        size += sum(row.size for row in rows)
        discard(hub, [row.sha256 for row in rows])
    lost = [sha256 for sha256 in hub.objects.all() if hub.objects.age(sha256) > UNDER_WAY.total_seconds()]
    for some in batches(set(lost)):
        with hub.database.read() as session:
            known = set(session.scalars(select(StoredObject.sha256).where(StoredObject.sha256.in_(some))))
        discard(hub, sorted(set(some) - known))
        names += sorted(set(some) - known)
    return names, size


def would_go(hub: Hub, before: datetime, unused: dict[int, set[str]]) -> tuple[list[str], int]:
    """What `sweep` would remove."""
    kept: set[str] = set()
    sizes: dict[str, int] = {}
    candidates = {sha256 for names in unused.values() for sha256 in names}
    with hub.database.read() as session:
        sizes.update((row.sha256, row.size) for row in session.execute(unowned(before)))
        for some in batches(candidates):
            for number, sha256 in session.execute(
                select(RepositoryObject.repository_id, RepositoryObject.sha256).where(RepositoryObject.sha256.in_(some))
            ):
                if sha256 not in unused.get(number, set()):
                    kept.add(sha256)
            query = select(StoredObject.sha256, StoredObject.size)
            query = query.where(StoredObject.sha256.in_(some), StoredObject.created_at < before)
            sizes.update((row.sha256, row.size) for row in session.execute(query))
    names = sorted(sizes.keys() - kept)
    return names, sum(sizes[sha256] for sha256 in names)


def discard(hub: Hub, names: list[str]) -> None:
    """Put files into the bin, and take back those that somebody has brought again meanwhile."""
    for sha256 in names:
        hub.objects.discard(sha256)
    with hub.database.read() as session:
        again = session.scalars(select(StoredObject.sha256).where(StoredObject.sha256.in_(names))).all()
    for sha256 in again:
        hub.objects.rescue(sha256)


def forget_xorbs(hub: Hub, before: datetime) -> None:
    """Forget who sent what long ago, and blocks whose bytes are nowhere any more."""
    with hub.database.write() as session:
        session.execute(delete(XorbHolder).where(XorbHolder.used_at < before))
    with hub.database.read() as session:
        empty = session.scalars(
            select(Xorb.hash).where(~exists().where(XorbRun.hash == Xorb.hash), Xorb.created_at < now() - UNDER_WAY)
        ).all()
    gone = {xorb for xorb in empty if not xorbs.draft_of(hub, xorb).exists()}
    for some in batches(gone):
        with hub.database.write() as session:
            session.execute(delete(Xorb).where(Xorb.hash.in_(some), ~exists().where(XorbRun.hash == Xorb.hash)))


def batches(names: set[str]) -> list[list[str]]:
    """Cut into pieces that a statement can name."""
    ordered = sorted(names)
    return [ordered[first : first + AT_ONCE] for first in range(0, len(ordered), AT_ONCE)]
