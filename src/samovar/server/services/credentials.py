"""From what a request carries (token, password, cookie) to who is asking."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, LoginSession, Membership, Token
from samovar.server.db.tables.base import now
from samovar.server.errors import InvalidCredentialsError
from samovar.server.services.access import ANONYMOUS, Caller

PREFIX = "hf_"  # What clients expect a token to begin with.
# The time of last use is written no more often than this.
LAST_USE = timedelta(minutes=10)


def digest(secret: str) -> str:
    """What is kept of a secret. It is random and long, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token() -> str:
    """A new token."""
    return PREFIX + secrets.token_urlsafe(32).replace("-", "A").replace("_", "B")


def caller_of_token(database: Database, token: str, address: str = "") -> Caller:
    """Who sent this token. Raises `InvalidCredentialsError` when it is unknown, expired or revoked."""
    with database.read() as session:
        row = session.scalar(select(Token).where(Token.digest == digest(token)))
        if row is None or row.revoked_at or (row.expires_at and row.expires_at <= now()) or row.account.disabled:
            raise InvalidCredentialsError
        caller = described(
            session,
            row.account,
            token_role=row.role,
            token_id=row.id,
            token_name=row.name,
            scopes=frozenset(
                ("repository", scope.repository_id, scope.right) if scope.repository_id is not None
                else ("account", scope.account_id or 0, scope.right)
                for scope in row.scopes
            ),
            address=address,
        )  # fmt: skip
        stale = row.last_used_at is None or now() - row.last_used_at > LAST_USE
    if stale:
        with database.write() as session:
            session.execute(update(Token).where(Token.id == caller.token_id).values(last_used_at=now()))
    return caller


def caller_of_cookie(database: Database, cookie: str, address: str = "") -> Caller:
    """Who is logged in with this cookie; anonymous when the session has ended."""
    with database.read() as session:
        row = session.get(LoginSession, digest(cookie))
        if row is None or row.expires_at <= now() or row.account.disabled:
            return ANONYMOUS
        return described(session, row.account, csrf=row.csrf, address=address)


def described(session: Session, account: Account, **more: object) -> Caller:
    """The account as a caller, with the organisations that it is in."""
    memberships = session.execute(
        select(Membership.organisation_id, Membership.role).where(Membership.user_id == account.id)
    )
    return Caller(
        account_id=account.id,
        name=account.name,
        is_admin=account.is_admin,
        organisations={row.organisation_id: row.role for row in memberships},
        **more,  # type: ignore[arg-type]
    )
