"""How much an account stores, and how much it may."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, Repository, RepositoryObject, StoredObject
from samovar.server.errors import NotFoundError, QuotaExceededError
from samovar.server.services.access import Caller, find_account
from samovar.server.services.audit import record
from samovar.server.settings import Settings


def used_by_repository(session: Session, owner_id: int) -> dict[int, int]:
    """Bytes of each of an account's repositories. What was uploaded counts before any commit refers to it."""
    uploaded = (
        select(RepositoryObject.repository_id, func.sum(StoredObject.size).label("size"))
        .join(StoredObject, StoredObject.sha256 == RepositoryObject.sha256)
        .join(Repository, Repository.id == RepositoryObject.repository_id)
        .where(Repository.owner_id == owner_id)
        .group_by(RepositoryObject.repository_id)
        .subquery()
    )
    rows = session.execute(
        select(Repository.id, Repository.used_storage, uploaded.c.size)
        .outerjoin(uploaded, uploaded.c.repository_id == Repository.id)
        .where(Repository.owner_id == owner_id)
    )
    return {number: max(used, int(size or 0)) for number, used, size in rows}


def allowed(session: Session, settings: Settings, owner_id: int) -> int | None:
    """Bytes that the account may store; None: no limit."""
    own = session.scalar(select(Account.quota).where(Account.id == owner_id))
    return own if own is not None else settings.quota


def check(session: Session, settings: Settings, owner_id: int, new_bytes: int) -> None:
    """Raises `QuotaExceededError` if the account may not store so much more. Asks nothing where there is no limit."""
    limit = allowed(session, settings, owner_id)
    if limit is None:
        return
    used = sum(used_by_repository(session, owner_id).values())
    if used + new_bytes > limit:
        raise QuotaExceededError(
            f"The account stores {used:,} of {limit:,} bytes; {new_bytes:,} more are too many.",
            "Delete what nobody needs, or ask those who run the Hub for more.",
        )


def check_repository(session: Session, settings: Settings, repository_id: int, new_bytes: int) -> None:
    """The same for whoever owns a repository."""
    owner = session.scalar(select(Repository.owner_id).where(Repository.id == repository_id))
    if owner is not None:
        check(session, settings, owner, new_bytes)


def set_limit(database: Database, caller: Caller, name: str, limit: int | None) -> None:
    """Let an account store `limit` bytes; None: what the settings say. Raises `NotFoundError`."""
    with database.write() as session:
        account = find_account(session, name)
        if account is None:
            raise NotFoundError(f"There is no account called {name[:100]}.")
        account.quota = limit
        record(session, caller, "quota.set", account.name, bytes=limit)
