"""Gated repositories: who asks for their files, and who lets them in."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import AccessRequest, Account, Repository
from samovar.server.errors import BadRequestError, ConflictError, NotFoundError
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.accounts import user_called
from samovar.server.services.audit import record

Status = Literal["pending", "accepted", "rejected"]
MOST_FIELDS = 50
LONGEST_FIELD = 2000


def gated(session: Session, caller: Caller, type_: RepoType, name: str, right: str = "read") -> Repository:
    """The repository, which must be gated. Raises what `access.find` does, and `BadRequestError`."""
    repository = find(session, type_, name, caller, right)
    if not repository.gated:
        raise BadRequestError(f"{repository.name} is not gated.", "Its files are for everybody who sees it.")
    return repository


def ask(database: Database, caller: Caller, type_: RepoType, name: str, fields: dict[str, Any]) -> Status:
    """The caller asks for the files; what became of it: where gating is `auto`, they are let in at once.

    Raises `BadRequestError`, `UnauthenticatedError`, and `ConflictError` for somebody who was refused.
    """
    if len(fields) > MOST_FIELDS or any(len(str(one)) > LONGEST_FIELD for pair in fields.items() for one in pair):
        raise BadRequestError("The form is too long.", f"Each answer may have {LONGEST_FIELD} characters.")
    with database.write() as session:
        repository = gated(session, caller, type_, name)
        account_id = caller.require_login()
        request = of(session, repository, account_id)
        if request is not None:
            if request.status == "rejected":
                raise ConflictError(f"{repository.owner.name} has refused this.", request.reason)
            return "accepted" if request.status == "accepted" else "pending"
        status: Status = "accepted" if repository.gated == "auto" else "pending"
        session.add(AccessRequest(repository_id=repository.id, account_id=account_id, status=status, fields=fields))
        record(session, caller, "access.ask", f"{type_}:{repository.name}", status=status)
        return status


def of(session: Session, repository: Repository, account_id: int) -> AccessRequest | None:
    """What somebody asked of a repository."""
    return session.scalar(
        select(AccessRequest).where(
            AccessRequest.repository_id == repository.id, AccessRequest.account_id == account_id
        )
    )


def listed(
    session: Session, repository: Repository, status: Status, limit: int, after: int | None
) -> list[tuple[AccessRequest, Account]]:
    """Up to `limit` requests behind the one numbered `after`, with who asked."""
    rows = session.execute(
        select(AccessRequest, Account)
        .join(Account, Account.id == AccessRequest.account_id)
        .where(
            AccessRequest.repository_id == repository.id, AccessRequest.status == status,
            AccessRequest.id > (after or 0),
        )
        .order_by(AccessRequest.id)
        .limit(limit)
    )  # fmt: skip
    return [(request, account) for request, account in rows]


def handle(
    database: Database, caller: Caller, type_: RepoType, name: str, status: Status, user: str | None = None,
    request_id: int | None = None, reason: str = "",
) -> None:  # fmt: skip
    """Accept, reject, or put a request back among the pending ones; it is named by its user or its number.

    Raises what `access.find` does, `BadRequestError`, `NotFoundError` for a user or request that there is not.
    """
    if (user is None) == (request_id is None):
        raise BadRequestError("Whose request is not clear.", "Give `user` or `requestId`.")
    with database.write() as session:
        repository = gated(session, caller, type_, name, "admin")
        if user is not None:
            request = of(session, repository, user_called(session, user).id)
        else:
            request = session.get(AccessRequest, request_id)
        if request is None or request.repository_id != repository.id:
            raise NotFoundError("There is no such request for access.")
        if request.status == status:
            raise NotFoundError(f"The request is {status} already.")
        request.status, request.handled_by = status, caller.account_id
        request.reason = reason if status == "rejected" else ""
        who = session.get_one(Account, request.account_id)
        record(session, caller, f"access.{status}", f"{type_}:{repository.name}", user=who.name)


def grant(database: Database, caller: Caller, type_: RepoType, name: str, user: str) -> None:
    """Let somebody in who need not have asked.

    Raises what `access.find` does, `NotFoundError`, `BadRequestError` if they have access.
    """
    with database.write() as session:
        repository = gated(session, caller, type_, name, "admin")
        account = user_called(session, user)
        request = of(session, repository, account.id)
        if request is not None and request.status == "accepted":
            raise BadRequestError(f"{account.name} has access already.")
        if request is None:
            request = AccessRequest(repository_id=repository.id, account_id=account.id)
            session.add(request)
        request.status, request.handled_by, request.reason = "accepted", caller.account_id, ""
        record(session, caller, "access.granted", f"{type_}:{repository.name}", user=account.name)
