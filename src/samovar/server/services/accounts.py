"""Accounts and their tokens."""

from __future__ import annotations

from datetime import datetime

from argon2 import PasswordHasher
from sqlalchemy.exc import IntegrityError

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, Token
from samovar.server.errors import BadRequestError, ConflictError, NotFoundError
from samovar.server.repos.names import account_name
from samovar.server.services.access import Caller, find_account
from samovar.server.services.audit import record
from samovar.server.services.credentials import digest, new_token

SHORTEST_PASSWORD = 8
ROLES = ("read", "write", "admin")
hasher = PasswordHasher()


def add_user(
    database: Database, caller: Caller, name: str, password: str, email: str | None = None, is_admin: bool = False
) -> int:
    """Make a user; its id. Raises `BadRequestError` (unusable name or password), `ConflictError` (taken)."""
    account_name(name)
    if len(password) < SHORTEST_PASSWORD:
        raise BadRequestError("The password is too short.", f"Use at least {SHORTEST_PASSWORD} characters.")
    hashed = hasher.hash(password)
    try:
        with database.write() as session:
            account = Account(
                kind="user", name=name, name_key=name.lower(), email=email, password=hashed, is_admin=is_admin
            )
            session.add(account)
            session.flush()
            record(session, caller, "user.create", name, admin=is_admin)
            return account.id
    except IntegrityError as error:
        raise ConflictError(f"The name {name} or its e-mail address is taken.", "Choose another.") from error


def create_token(
    database: Database, caller: Caller, account: str, role: str, name: str = "", expires_at: datetime | None = None
) -> str:
    """Make a token; it is shown this once. Raises `NotFoundError`, `BadRequestError`."""
    if role not in ROLES:
        raise BadRequestError(f"A token has no role {role!r}.", f"Choose {', '.join(ROLES)}.")
    token = new_token()
    with database.write() as session:
        found = find_account(session, account)
        if found is None or found.kind != "user":
            raise NotFoundError(f"There is no user called {account}.")
        session.add(
            Token(
                account_id=found.id,
                name=name or f"{role} token",
                role=role,
                digest=digest(token),
                ending=token[-4:],
                expires_at=expires_at,
            )
        )
        record(session, caller, "token.create", found.name, role=role)
    return token
