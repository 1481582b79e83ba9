"""Logging in with a browser: a password for a cookie, and what ends it."""

from __future__ import annotations

import secrets
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Account, LoginSession
from samovar.server.db.tables.base import now
from samovar.server.errors import BadRequestError, NotFoundError, UnauthenticatedError
from samovar.server.hub import Hub
from samovar.server.services import passwords
from samovar.server.services.access import Caller, find_account
from samovar.server.services.audit import record
from samovar.server.services.credentials import digest
from samovar.server.services.rates import FAILED_LOGIN, FAILED_NAME, LOGIN


def log_in(hub: Hub, name: str, password: str, caller: Caller, agent: str = "") -> str:
    """A new session for whoever has this password; the value of its cookie.

    The session that the caller had until now ends: a cookie that somebody planted is worth nothing after the login.
    Raises `UnauthenticatedError`, the same and as slowly for a wrong password and a name that nobody has;
    `TooManyRequestsError` after too many tries from one address or with one name.
    """
    address, key = caller.address, name.lower()[:100]
    hub.rates.require(LOGIN, address)
    hub.rates.require(FAILED_LOGIN, f"{key} {address}", take=False)
    hub.rates.require(FAILED_NAME, key, take=False)
    with hub.database.read() as session:
        account = find_account(session, name[:100])
        usable = account is not None and account.kind == "user" and not account.disabled
        kept = account.password if account is not None and usable else None
    if not passwords.right(kept, password):
        hub.rates.wait(FAILED_LOGIN, f"{key} {address}")
        hub.rates.wait(FAILED_NAME, key)
        with hub.database.write() as session:
            record(session, caller, "login.refused", name[:100])
        raise UnauthenticatedError("The name or the password is not right.")
    assert account is not None
    assert kept is not None
    renewed = passwords.hashed(password) if passwords.outdated(kept) else None
    with hub.database.write() as session:
        account = session.get_one(Account, account.id)
        if account.password != kept or account.disabled:  # Changed while the hash was computed.
            raise UnauthenticatedError("The name or the password is not right.")
        if renewed:
            account.password = renewed
        if caller.session_id:
            session.execute(delete(LoginSession).where(LoginSession.digest == caller.session_id))
        cookie = opened(session_row(hub, account.id, address, agent), session)
        record(session, Caller(account_id=account.id, name=account.name, address=address), "login", account.name)
    return cookie


def session_row(hub: Hub, account_id: int, address: str, agent: str) -> LoginSession:
    """A session that is good from now on for the time that the settings say."""
    return LoginSession(
        account_id=account_id, csrf=secrets.token_urlsafe(32), expires_at=now() + hub.settings.session_lifetime,
        address=address[:64], agent=agent[:300],
    )  # fmt: skip


def opened(row: LoginSession, session: Session) -> str:
    """Give the row its secret and add it; the secret."""
    cookie = secrets.token_urlsafe(32)
    row.digest = digest(cookie)
    session.add(row)
    return cookie


def log_out(hub: Hub, caller: Caller) -> None:
    """End the caller's session."""
    if caller.session_id:
        with hub.database.write() as session:
            session.execute(delete(LoginSession).where(LoginSession.digest == caller.session_id))
            record(session, caller, "logout", caller.name)


def listed(hub: Hub, caller: Caller) -> list[LoginSession]:
    """The caller's sessions that have not expired, the newest first."""
    account_id = caller.require_person()
    with hub.database.read() as session:
        return list(
            session.scalars(
                select(LoginSession)
                .where(LoginSession.account_id == account_id, LoginSession.expires_at > now())
                .order_by(LoginSession.created_at.desc())
            )
        )


def end(hub: Hub, caller: Caller, name: str) -> None:
    """End one of the caller's sessions, named by the beginning of its digest. Raises `NotFoundError`."""
    account_id = caller.require_person()
    with hub.database.write() as session:
        for row in session.scalars(select(LoginSession).where(LoginSession.account_id == account_id)):
            if name_of(row) == name:
                session.delete(row)
                record(session, caller, "session.end", caller.name)
                return
    raise NotFoundError("You have no such session.")


def name_of(row: LoginSession) -> str:
    """A name for the session that does not open it."""
    return row.digest[:16]


def change_password(hub: Hub, caller: Caller, old: str, new: str, agent: str = "") -> str | None:
    """Change the caller's password; all their sessions end. The cookie of a new one if they came by cookie.

    Raises `BadRequestError` for a new password that cannot be one, `UnauthenticatedError` for a wrong old one.
    """
    account_id = caller.require_person()
    hub.rates.require(FAILED_LOGIN, f"{caller.name.lower()} {caller.address}", take=False)
    with hub.database.read() as session:
        kept = session.get_one(Account, account_id).password
    if not passwords.right(kept, old):
        hub.rates.wait(FAILED_LOGIN, f"{caller.name.lower()} {caller.address}")
        raise UnauthenticatedError("The old password is not right.")
    if old == new:
        raise BadRequestError("The new password is the old one.", "Choose another.")
    hashed = passwords.hashed(new)
    with hub.database.write() as session:
        set_password(session, account_id, hashed)
        record(session, caller, "password.change", caller.name)
        return opened(session_row(hub, account_id, caller.address, agent), session) if caller.session_id else None


def set_password(session: Session, account_id: int, hashed: str) -> None:
    """Put another hash in place, and end the account's sessions."""
    session.get_one(Account, account_id).password = hashed
    session.execute(delete(LoginSession).where(LoginSession.account_id == account_id))


def forget_expired(hub: Hub, moment: datetime) -> None:
    """Remove the sessions that have ended."""
    with hub.database.write() as session:
        session.execute(delete(LoginSession).where(LoginSession.expires_at <= moment))
