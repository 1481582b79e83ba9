"""From what a request carries (token, password, cookie) to who is asking."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, LoginSession, Membership, Token
from samovar.server.db.tables.base import now
from samovar.server.errors import InvalidCredentialsError
from samovar.server.services.access import Caller

PREFIX = "hf_"  # What clients expect a token to begin with.


def digest(secret: str) -> str:
    """What is kept of a secret. It is random and long, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token() -> str:
    """A new token."""
    return PREFIX + secrets.token_urlsafe(32).replace("-", "A").replace("_", "B")


def caller_of_token(database: Database, token: str, address: str = "") -> Caller:
    """Who sent this token. Raises `InvalidCredentialsError` when it is unknown, expired or revoked."""
    with database.read() as session:
        row = session.scalar(select(Token).where(Token.digest == digest(token)).options(joinedload(Token.account)))
        if row is None or row.revoked_at or (row.expires_at and row.expires_at <= now()) or row.account.disabled:
            raise InvalidCredentialsError
        return described(
            session, row.account, token_role=row.role, token_id=row.id, token_name=row.name,
            scopes=scopes_of(row) if row.role == "fineGrained" else frozenset(), address=address,
        )  # fmt: skip


def scopes_of(token: Token) -> frozenset[tuple[str, int, str]]:
    """The scopes of a fine-grained token as `Caller` has them."""
    return frozenset(
        ("repository", scope.repository_id, scope.right) if scope.repository_id is not None
        else ("account", scope.account_id or 0, scope.right)
        for scope in token.scopes
    )  # fmt: skip


def caller_of_cookie(database: Database, cookie: str, address: str = "") -> Caller:
    """Who is logged in with this cookie; nobody when the session has ended."""
    with database.read() as session:
        row = session.get(LoginSession, digest(cookie), options=[joinedload(LoginSession.account)])
        if row is None or row.expires_at <= now() or row.account.disabled:
            return Caller(address=address)
        return described(session, row.account, csrf=row.csrf, session_id=row.digest, address=address)


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
