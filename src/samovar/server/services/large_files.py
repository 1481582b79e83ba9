"""Large files on their way in: who may send what, and the moment at which they are there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from samovar.server.db.tables import Account, Repository, RepositoryObject, StoredObject, Token
from samovar.server.db.tables.base import now
from samovar.server.errors import ForbiddenError, RepositoryNotFoundError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.services import quota
from samovar.server.services.access import Caller, may_read_files, visible_to
from samovar.server.services.credentials import described, scopes_of
from samovar.server.services.uploads import require_proposals

# That somebody uses a large file is written no more often than this.
USE = timedelta(hours=6)
AT_ONCE = 500


class Grant(NamedTuple):
    """What a signed address is for: an account, with the token it used, may send to a repository."""

    account_id: int
    token_id: int | None
    repository_id: int

    @classmethod
    def of(cls, session: Session, caller: Caller, repository: Repository) -> Grant:
        """The caller's, who may see the repository: for whoever may commit to it, or propose changes.

        Raises `UnauthenticatedError`, `ForbiddenError`, `GatedRepositoryError`.
        """
        if not caller.may_write(repository):
            require_proposals(session, caller, repository)
        return cls(caller.require_login(), caller.token_id, repository.id)


def grant_of(signed: dict[str, Any]) -> Grant:
    """The grant in the content of a ticket."""
    return Grant(*signed["grant"])


def uploader(session: Session, grant: Grant) -> tuple[Caller, Repository]:
    """Who sends, and where to, as things stand now.

    Raises `ForbiddenError` when token or account have ended since, what `Grant.of` does, and `RepositoryNotFoundError`.
    """
    account = session.get(Account, grant.account_id)
    token = session.get(Token, grant.token_id) if grant.token_id is not None else None
    ended = token is None if grant.token_id is not None else False
    if token is not None:
        ended = token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now())
    if account is None or account.disabled or ended:
        raise ForbiddenError("The token that this upload began with has ended.", "Begin again with another.")
    more: dict[str, Any] = {}
    if token is not None:
        scopes = scopes_of(token) if token.role == "fineGrained" else frozenset()
        more = {"token_role": token.role, "token_id": token.id, "token_name": token.name, "scopes": scopes}
    caller = described(session, account, **more)
    repository = session.get(Repository, grant.repository_id)
    if repository is None or not caller.may_see(repository):
        raise RepositoryNotFoundError
    Grant.of(session, caller, repository)
    return caller, repository


def readable(session: Session, caller: Caller, wanted: Iterable[str]) -> dict[str, int]:
    """Of these large files those that the caller may read in some repository, with their sizes.

    What was brought to a repository and never committed is not to be read there, except by who brought it.
    """
    found: dict[str, int] = {}
    names = sorted(set(wanted))
    brought: ColumnElement[bool] = RepositoryObject.path != ""
    if caller.account_id is not None:
        brought = or_(brought, RepositoryObject.pushed_by == caller.account_id)
    for start in range(0, len(names), AT_ONCE):
        rows = session.execute(
            select(RepositoryObject.sha256, StoredObject.size, Repository)
            .join(StoredObject, StoredObject.sha256 == RepositoryObject.sha256)
            .join(Repository, Repository.id == RepositoryObject.repository_id)
            .where(RepositoryObject.sha256.in_(names[start : start + AT_ONCE]), brought, visible_to(caller))
        )
        for sha256, size, repository in rows:
            if sha256 not in found and may_read_files(session, caller, repository):
                found[sha256] = size
    return found


def here(session: Session, repository_id: int, wanted: Iterable[str]) -> dict[str, int]:
    """Of these large files those that were brought to the repository, with their sizes."""
    found: dict[str, int] = {}
    names = sorted(set(wanted))
    for start in range(0, len(names), AT_ONCE):
        rows = session.execute(
            select(StoredObject.sha256, StoredObject.size)
            .join(RepositoryObject, RepositoryObject.sha256 == StoredObject.sha256)
            .where(
                RepositoryObject.repository_id == repository_id,
                StoredObject.sha256.in_(names[start : start + AT_ONCE]),
            )
        )
        found.update((row.sha256, row.size) for row in rows)
    return found


def use(session: Session, repository_id: int, wanted: Iterable[str]) -> None:
    """Note that these large files of a repository are needed, so that they are not collected before they are committed.

    Within a write: whoever asks what is `here` in the same one can rely on the answer.
    """
    names = sorted(set(wanted))
    for start in range(0, len(names), AT_ONCE):
        session.execute(
            update(RepositoryObject)
            .where(
                RepositoryObject.repository_id == repository_id,
                RepositoryObject.sha256.in_(names[start : start + AT_ONCE]),
                RepositoryObject.used_at < now() - USE,
            )
            .values(used_at=now())
        )


def committing(session: Session, repository_id: int, paths: dict[str, str]) -> dict[str, int]:
    """Of the large files (SHA-256 → path) that a commit refers to those that were brought here, with their sizes.

    Within a write. They are not collected while the commit is being made.
    """
    found = here(session, repository_id, paths)
    use(session, repository_id, found)
    unnamed = select(RepositoryObject).where(
        RepositoryObject.repository_id == repository_id, RepositoryObject.path == ""
    )
    names = sorted(found)
    for start in range(0, len(names), AT_ONCE):
        for row in session.scalars(unnamed.where(RepositoryObject.sha256.in_(names[start : start + AT_ONCE]))):
            row.path = paths[row.sha256]
    return found


def bring(session: Session, repository_id: int, account_id: int | None, sha256: str) -> None:
    """From now on the repository may refer to the large file."""
    row = session.get(RepositoryObject, (repository_id, sha256))
    if row is None:
        session.add(RepositoryObject(repository_id=repository_id, sha256=sha256, pushed_by=account_id))
    else:
        row.used_at = now()
    session.flush()


def store(hub: Hub, draft: Path, sha256: str, size: int, grant: Grant) -> None:
    """Make a scratch file whose hash was checked an object of the repository. The file is gone afterwards, in any case.

    Raises `QuotaExceededError`, and what `uploader` does.
    """
    try:
        hub.objects.adopt(draft, sha256)
    finally:
        draft.unlink(missing_ok=True)
    with hub.database.write() as session:
        _, repository = uploader(session, grant)
        if session.get(RepositoryObject, (grant.repository_id, sha256)) is None:
            quota.check(session, hub.settings, repository.owner_id, size)
        if session.get(StoredObject, sha256) is None:
            session.add(StoredObject(sha256=sha256, size=size))
            session.flush()
        bring(session, grant.repository_id, grant.account_id, sha256)
    # The collector may have found the file without rows a moment ago.
    if not hub.objects.rescue(sha256):
        raise UnprocessableError("The file was lost on its way.", "Upload it again.")
