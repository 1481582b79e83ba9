"""Likes: of whom, of what, and how many."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database, mark_changed
from samovar.server.db.tables import Account, Like, Repository
from samovar.server.errors import ForbiddenError
from samovar.server.services.access import Caller, RepoType, find, visible_to


def set_like(database: Database, caller: Caller, type_: RepoType, name: str, liked: bool) -> int:
    """Like a repository, or not any more; how many like it now. Doing it twice is doing it once.

    Raises `RepositoryNotFoundError`, `UnauthenticatedError`, `ForbiddenError` for a token that only reads.
    """
    with database.write() as session:
        repository = find(session, type_, name, caller)
        account_id = caller.require_login()
        if caller.token_role in ("read", "fineGrained"):
            raise ForbiddenError("This token may not like for you.", "Use one with the role `write`.")
        like = session.get(Like, (account_id, repository.id))
        if liked == (like is not None):
            return repository.likes
        if like is None:
            session.add(Like(account_id=account_id, repository_id=repository.id))
        else:
            session.delete(like)
        session.flush()
        repository.likes = (
            session.scalar(select(func.count()).select_from(Like).where(Like.repository_id == repository.id)) or 0
        )
        mark_changed(session, repository)
        return repository.likes


def likers(session: Session, repository: Repository, limit: int, after: int | None) -> list[Account]:
    """Up to `limit` users who like a repository, behind the one numbered `after`."""
    return list(
        session.scalars(
            select(Account)
            .join(Like, Like.account_id == Account.id)
            .where(Like.repository_id == repository.id, Account.id > (after or 0))
            .order_by(Account.id)
            .limit(limit)
        )
    )


def liked(
    session: Session, caller: Caller, account_id: int, limit: int, after: int | None
) -> list[tuple[Like, Repository]]:
    """Up to `limit` repositories that an account likes and the caller sees, behind the one numbered `after`."""
    rows = session.execute(
        select(Like, Repository)
        .join(Repository, Repository.id == Like.repository_id)
        .where(Like.account_id == account_id, Repository.id > (after or 0), visible_to(caller))
        .order_by(Repository.id)
        .limit(limit)
    )
    return [(like, repository) for like, repository in rows]


def newest(session: Session, caller: Caller, account_id: int, limit: int, skip: int = 0) -> list[tuple[RepoType, int]]:
    """(type, id) of the repositories that an account likes and the caller sees, the last liked first."""
    rows = session.execute(
        select(Repository.type, Repository.id)
        .join(Like, Like.repository_id == Repository.id)
        .where(Like.account_id == account_id, visible_to(caller))
        .order_by(Like.created_at.desc(), Repository.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return [(row.type, row.id) for row in rows]


def likes(session: Session, caller: Caller, repository_id: int) -> bool:
    """Whether the caller likes a repository."""
    return caller.account_id is not None and session.get(Like, (caller.account_id, repository_id)) is not None
