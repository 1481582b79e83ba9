"""People: how they come to an account, and what those who run the Hub may do with it."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, LoginSession, Token
from samovar.server.db.tables.base import now
from samovar.server.errors import BadRequestError, ConflictError, ForbiddenError, NotFoundError
from samovar.server.hub import Hub
from samovar.server.repos.names import account_name, unicode_safe
from samovar.server.services import invitations, passwords
from samovar.server.services.access import Caller, find_account
from samovar.server.services.audit import record
from samovar.server.services.rates import SIGN_UP

LONGEST_EMAIL = 254
LONGEST_FULL_NAME, LONGEST_BIO = 200, 500


def add_user(
    database: Database, caller: Caller, name: str, password: str, email: str | None = None, is_admin: bool = False,
    invitation: str | None = None,
) -> int:  # fmt: skip
    """Make a user; its id. With an invitation, that one is used up in the same transaction.

    Raises `BadRequestError` (unusable name, password, address or invitation), `ConflictError` (taken).
    """
    account_name(name)
    if email is not None and not plausible(email):
        raise BadRequestError("This is no e-mail address.", "Leave it out, or write it as name@example.org.")
    hashed = passwords.hashed(password)
    try:
        with database.write() as session:
            account = Account(
                kind="user", name=name, name_key=name.lower(), email=email or None, password=hashed, is_admin=is_admin
            )
            session.add(account)
            session.flush()
            if invitation is not None:
                invitations.use_for_sign_up(session, invitation, account.id)
            record(session, caller, "user.create", name, admin=is_admin, invited=invitation is not None)
            return account.id
    except IntegrityError as error:
        raise ConflictError(f"The name {name} is taken.", "Choose another.") from error


def plausible(email: str) -> bool:
    """Whether it has the form of an e-mail address."""
    name, at, host = email.rpartition("@")
    return bool(name and at and host) and len(email) <= LONGEST_EMAIL and unicode_safe(email) and not email.isspace()


def sign_up(
    hub: Hub, caller: Caller, name: str, password: str, email: str | None = None, invitation: str | None = None
) -> int:
    """Make an account for whoever asks, as far as the settings allow; its id.

    Raises `ForbiddenError` when sign-up is closed or needs an invitation, `TooManyRequestsError`, and what `add_user`
    raises.
    """
    hub.rates.require(SIGN_UP, caller.address)
    if hub.settings.sign_up == "closed":
        raise ForbiddenError("This Hub takes no sign-ups.", "Ask those who run it for an account.")
    if hub.settings.sign_up == "invitation" and not invitation:
        raise ForbiddenError("Signing up needs an invitation.", "Ask somebody who is on this Hub for one.")
    return add_user(hub.database, caller, name, password, email, invitation=invitation or None)


def user_called(session: Session, name: str) -> Account:
    """The user of that name. Raises `NotFoundError`."""
    account = find_account(session, name)
    if account is None or account.kind != "user":
        raise NotFoundError(f"There is no user called {name}.")
    return account


def users(database: Database) -> list[Account]:
    """All users, by name."""
    with database.read() as session:
        return list(session.scalars(select(Account).where(Account.kind == "user").order_by(Account.name_key)))


def set_disabled(database: Database, caller: Caller, name: str, disabled: bool) -> None:
    """Lock a user out, or let them in again. Their repositories stay. Raises `NotFoundError`."""
    with database.write() as session:
        account = user_called(session, name)
        account.disabled = disabled
        if disabled:
            session.execute(delete(LoginSession).where(LoginSession.account_id == account.id))
        record(session, caller, "user.disable" if disabled else "user.enable", account.name)


def set_admin(database: Database, caller: Caller, name: str, is_admin: bool) -> None:
    """Whether a user runs the Hub. Raises `NotFoundError`."""
    with database.write() as session:
        account = user_called(session, name)
        account.is_admin = is_admin
        record(session, caller, "user.admin", account.name, admin=is_admin)


def reset_password(database: Database, caller: Caller, name: str, password: str) -> None:
    """Give a user another password; their sessions end and their tokens are revoked, as somebody may have had both.

    Raises `NotFoundError`, `BadRequestError`.
    """
    hashed = passwords.hashed(password)
    with database.write() as session:
        account = user_called(session, name)
        account.password = hashed
        session.execute(delete(LoginSession).where(LoginSession.account_id == account.id))
        for token in session.scalars(select(Token).where(Token.account_id == account.id, Token.revoked_at.is_(None))):
            token.revoked_at = now()
        record(session, caller, "password.reset", account.name)


def described(full_name: str | None, bio: str | None) -> None:
    """Raises `BadRequestError` for what an account cannot say of itself."""
    if full_name is not None and (len(full_name) > LONGEST_FULL_NAME or not unicode_safe(full_name)):
        raise BadRequestError("This cannot be a name.", f"Use up to {LONGEST_FULL_NAME} characters on one line.")
    if bio is not None and (len(bio) > LONGEST_BIO or not unicode_safe(bio.replace("\n", " "))):
        raise BadRequestError("The text about you is too long.", f"Use up to {LONGEST_BIO} characters.")


def describe(hub: Hub, caller: Caller, full_name: str | None, email: str | None, bio: str | None = None) -> None:
    """Change what the caller's account says of them. Raises `BadRequestError`."""
    account_id = caller.require_person()
    described(full_name, bio)
    if email and not plausible(email):
        raise BadRequestError("This is no e-mail address.", "Write it as name@example.org.")
    with hub.database.write() as session:
        account = session.get_one(Account, account_id)
        if full_name is not None:
            account.full_name = full_name
        if email is not None:
            account.email = email or None
        if bio is not None:
            account.bio = bio
        record(session, caller, "user.describe", account.name)
