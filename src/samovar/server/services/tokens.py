"""Access tokens: made, listed and revoked by their owner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, Repository, Token, TokenScope
from samovar.server.db.tables.base import now
from samovar.server.errors import BadRequestError, NotFoundError
from samovar.server.repos.names import unicode_safe
from samovar.server.services.access import TOKEN_ROLES, Caller, RepoType, find, find_account, visible_to
from samovar.server.services.audit import record
from samovar.server.services.credentials import digest, new_token

MOST_TOKENS = 1000
MOST_SCOPES = 200
LONGEST_NAME = 100


@dataclass(frozen=True)
class Scope:
    """What a fine-grained token reaches: all of an account (`type` is `account`), or one repository."""

    type: Literal["account", "model", "dataset", "space"]
    name: str
    right: Literal["read", "write"]


def create_token(
    database: Database, caller: Caller, account: str, role: str, name: str = "", expires_at: datetime | None = None,
    scopes: tuple[Scope, ...] = (),
) -> tuple[int, str]:  # fmt: skip
    """Make a token for a user; its id, and itself, which is shown this once.

    `fineGrained` needs scopes, and only it has any; each must name what the caller may see. Raises `NotFoundError`,
    `BadRequestError`.
    """
    if role not in TOKEN_ROLES:
        raise BadRequestError(f"A token has no role {role[:40]!r}.", f"Choose {', '.join(TOKEN_ROLES)}.")
    if (role == "fineGrained") != bool(scopes) or len(scopes) > MOST_SCOPES:
        raise BadRequestError(
            "A token of role fineGrained has scopes, and no other has.", f"Name 1 to {MOST_SCOPES} of them."
        )
    if len(name) > LONGEST_NAME or not unicode_safe(name):
        raise BadRequestError("The token's name is too long.", f"Use up to {LONGEST_NAME} characters on one line.")
    if expires_at is not None and expires_at <= now():
        raise BadRequestError("The token would have expired already.", "Choose a time to come.")
    with database.write() as session:
        owner = find_account(session, account)
        if owner is None or owner.kind != "user":
            raise NotFoundError(f"There is no user called {account}.")
        if len(usable(session, owner.id)) >= MOST_TOKENS:
            raise BadRequestError(f"{owner.name} has {MOST_TOKENS} tokens.", "Revoke those that nobody needs.")
        token, row = made(owner.id, role, name or f"{role} token", expires_at)
        row.scopes = [reached(session, caller, scope) for scope in scopes]
        session.add(row)
        session.flush()
        record(session, caller, "token.create", owner.name, role=role, token=row.id, name=row.name)
        return row.id, token


def made(account_id: int, role: str, name: str, expires_at: datetime | None) -> tuple[str, Token]:
    """A new token and its row."""
    token = new_token()
    return token, Token(
        account_id=account_id, name=name, role=role, digest=digest(token), ending=token[-4:], expires_at=expires_at
    )


def reached(session: Session, caller: Caller, scope: Scope) -> TokenScope:
    """The row of a scope. Raises `NotFoundError` (`RepositoryNotFoundError`) for what the caller may not see."""
    if scope.type == "account":
        account = find_account(session, scope.name)
        if account is None:
            raise NotFoundError(f"There is no account called {scope.name[:100]}.")
        return TokenScope(account_id=account.id, right=scope.right)
    kind: RepoType = scope.type
    return TokenScope(repository_id=find(session, kind, scope.name, caller).id, right=scope.right)


def usable(session: Session, account_id: int) -> list[Token]:
    """The tokens of an account that are not revoked, the newest first."""
    return list(
        session.scalars(
            select(Token)
            .where(Token.account_id == account_id, Token.revoked_at.is_(None))
            .options(selectinload(Token.scopes))
            .order_by(Token.id.desc())
        )
    )


def listed(database: Database, caller: Caller, account_id: int) -> list[tuple[Token, list[Scope]]]:
    """The account's tokens that are not revoked, the newest first, with what the fine-grained ones reach.

    A repository that the caller does not see any more is left out: it may have got another name since.
    """
    with database.read() as session:
        tokens = usable(session, account_id)
        scopes = [scope for token in tokens for scope in token.scopes]
        repositories = {
            row.id: row for row in session.execute(
                select(Repository.id, Repository.type, Repository.name)
                .where(Repository.id.in_({one.repository_id for one in scopes if one.repository_id}))
                .where(visible_to(caller))
            )
        }  # fmt: skip
        accounts = dict(
            session.execute(
                select(Account.id, Account.name)
                .where(Account.id.in_({scope.account_id for scope in scopes if scope.account_id}))
            ).all()
        )  # fmt: skip

    def shown(scope: TokenScope) -> Scope | None:
        right: Literal["read", "write"] = "write" if scope.right == "write" else "read"
        if scope.repository_id is not None:
            row = repositories.get(scope.repository_id)
            return Scope(row.type, row.name, right) if row else None
        return Scope("account", accounts[scope.account_id or 0], right)

    return [(token, [one for one in map(shown, token.scopes) if one]) for token in tokens]


def revoke(database: Database, caller: Caller, token_id: int, account_id: int | None = None) -> None:
    """Make a token worthless, from the next request on. Raises `NotFoundError` unless it is one of `account_id`."""
    with database.write() as session:
        token = session.get(Token, token_id)
        if token is None or token.revoked_at is not None or account_id not in (None, token.account_id):
            raise NotFoundError("There is no such token.")
        token.revoked_at, token.refresh_digest = now(), None
        record(session, caller, "token.revoke", token.account.name, token=token.id, name=token.name)
