"""After references have moved: read the default branch again into the columns that lists, pages and searches use.

The files are read outside any transaction; a short one writes what was found, if the branch still stands there.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import pygit2
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from samovar.errors import SamovarError
from samovar.server.db.engine import mark_changed
from samovar.server.db.tables import (
    PendingRefresh,
    Repository,
    RepositoryContent,
    RepositoryObject,
    SearchTerm,
    StoredObject,
)
from samovar.server.db.tables.base import now
from samovar.server.errors import RepositoryNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos.revisions import DEFAULT, referenced
from samovar.server.search.words import count_words
from samovar.server.services.metadata.read import CONTENT, ROW, Metadata, read_metadata

logger = logging.getLogger(__name__)
# Times that a branch may move while it is being read; whoever moves it reads it again as well.
TRIES = 5
# An announcement this old has no living owner.
ABANDONED = timedelta(minutes=2)


def refresh(hub: Hub, repository_id: int, announcement: int | None = None) -> None:
    """Read the default branch and write what it says; `announcement` (of `announce`) is done with then.

    Of several at once the newest state stays. Nothing happens if the repository is gone.
    """
    with hub.database.read() as session:
        type_ = session.scalar(select(Repository.type).where(Repository.id == repository_id))
    if type_ is None:
        return
    try:
        git = hub.folders.open(repository_id)
    except (pygit2.GitError, RepositoryNotFoundError):
        return  # Deleted in between.
    for _ in range(TRIES):
        commit = head_of(git, repository_id)
        found = read_metadata(hub, repository_id, type_, git, commit) if commit else Metadata()
        with hub.database.write() as session:
            head = head_of(git, repository_id)
            if (head.id if head else None) != (commit.id if commit else None):
                continue
            write(session, repository_id, found)
            if announcement is not None:
                session.execute(delete(PendingRefresh).where(PendingRefresh.id == announcement))
            return
    logger.warning("Repository %s moved %d times while it was read; its last writer reads it.", repository_id, TRIES)


def head_of(git: pygit2.Repository, repository_id: int) -> pygit2.Commit | None:
    """The commit of the default branch; None if there is no such branch.

    Raises `SamovarError` if the branch is there and its commit is not: that must not pass for an empty repository.
    """
    commit = referenced(git, DEFAULT)
    if commit is None and git.references.get(f"refs/heads/{DEFAULT}") is not None:
        raise SamovarError(
            f"The default branch of repository {repository_id} leads to no commit.", "Run `samovar hub fsck`."
        )
    return commit


def write(session: Session, repository_id: int, found: Metadata) -> None:
    """Put what was found into the tables, and tell the search index."""
    repository = session.get(Repository, repository_id)
    if repository is None:
        return
    content = session.get(RepositoryContent, repository_id)
    if content is None:
        content = RepositoryContent(repository_id=repository_id)
        session.add(content)
    moved = repository.sha != found.sha
    for name in ROW:
        if name != "sdk" or found.sdk is not None:  # A space keeps the kit it was made with until its card names one.
            setattr(repository, name, getattr(found, name))
    if moved and found.last_modified is not None:
        # Git knows whole seconds, and a history may be older than its repository here.
        repository.last_modified = max(found.last_modified, repository.created_at)
    if content.card_text != found.card_text:
        repository.card_words = write_terms(session, repository_id, found.card_text)
    for name in CONTENT:
        setattr(content, name, getattr(found, name))
    large = session.scalar(
        select(func.coalesce(func.sum(StoredObject.size), 0))
        .join(RepositoryObject, RepositoryObject.sha256 == StoredObject.sha256)
        .where(RepositoryObject.repository_id == repository_id)
    )
    repository.used_storage = int(large or 0) + sum(row[1] for row in found.files if row[3] is None)
    mark_changed(session, repository)


def write_terms(session: Session, repository_id: int, text: str) -> int:
    """Replace the words under which the full-text search finds the card; how many there are, repeated ones too."""
    session.execute(delete(SearchTerm).where(SearchTerm.repository_id == repository_id))
    rows = [{"repository_id": repository_id, "term": term, "count": count} for term, count in count_words(text).items()]
    if rows:
        session.execute(insert(SearchTerm), rows)
    return sum(row["count"] for row in rows)


def refresh_pending(hub: Hub) -> list[int]:
    """Read all repositories again whose references may have moved unnoticed (a kill in between); their numbers.

    Announcements of the last minutes stay: another process may be about to move what they announce.
    """
    with hub.database.read() as session:
        waiting = [(row.id, row.repository_id, row.since) for row in session.scalars(select(PendingRefresh))]
    numbers = sorted({number for _, number, _ in waiting})
    failed: set[int] = set()
    for number in numbers:
        try:
            refresh(hub, number)
        except Exception:
            # One broken repository must not keep the others from being read; `fsck` names it.
            logger.exception("Repository %s cannot be read.", number)
            failed.add(number)
    old = [id_ for id_, number, since in waiting if number not in failed and now() - since > ABANDONED]
    if old:
        with hub.database.write() as session:
            session.execute(delete(PendingRefresh).where(PendingRefresh.id.in_(old)))
    return [number for number in numbers if number not in failed]
