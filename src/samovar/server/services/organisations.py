"""Organisations: accounts that several users share, each in a role."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, Membership, Repository
from samovar.server.errors import BadRequestError, ConflictError, ForbiddenError, NotFoundError
from samovar.server.repos.names import account_name
from samovar.server.services.access import ROLES, Caller, find_account
from samovar.server.services.accounts import described
from samovar.server.services.audit import record


def create(database: Database, caller: Caller, name: str, full_name: str = "") -> int:
    """Make an organisation that the caller runs; its id. Raises `BadRequestError`, `ConflictError`."""
    user_id = caller.require_person()
    account_name(name)
    described(full_name, None)
    try:
        with database.write() as session:
            account = Account(kind="org", name=name, name_key=name.lower(), full_name=full_name)
            session.add(account)
            session.flush()
            session.add(Membership(organisation_id=account.id, user_id=user_id, role="admin"))
            record(session, caller, "organisation.create", name)
            return account.id
    except IntegrityError as error:
        raise ConflictError(f"The name {name} is taken.", "Choose another.") from error


def organisation_called(session: Session, name: str) -> Account:
    """The organisation of that name. Raises `NotFoundError`."""
    account = find_account(session, name)
    if account is None or account.kind != "org":
        raise NotFoundError(f"There is no organisation called {name[:100]}.")
    return account


def run_by(session: Session, caller: Caller, name: str) -> Account:
    """The organisation, if the caller may change it. Raises `NotFoundError`, `ForbiddenError`."""
    account = organisation_called(session, name)
    caller.require_login()
    if not caller.may_run(account.id):
        raise ForbiddenError(f"You do not run {account.name}.", "Ask one of its admins.")
    return account


def describe(database: Database, caller: Caller, name: str, full_name: str, bio: str | None = None) -> None:
    """Change what the organisation says of itself. Raises `NotFoundError`, `ForbiddenError`, `BadRequestError`."""
    described(full_name, bio)
    with database.write() as session:
        account = run_by(session, caller, name)
        account.full_name = full_name
        if bio is not None:
            account.bio = bio
        record(session, caller, "organisation.describe", account.name)


def set_role(database: Database, caller: Caller, name: str, user: str, role: str) -> None:
    """Give a member another role. Those who run the Hub may make anybody a member; all others invite.

    Raises `NotFoundError`, `ForbiddenError`, `BadRequestError`, and `ConflictError` for the last admin.
    """
    if role not in ROLES:
        raise BadRequestError(f"Members have no role {role[:40]!r}.", f"Choose {', '.join(ROLES)}.")
    with database.write() as session:
        account = run_by(session, caller, name)
        member = find_account(session, user)
        membership = session.get(Membership, (account.id, member.id)) if member is not None else None
        if membership is None:
            if member is None or member.kind != "user" or not caller.runs_hub:
                raise NotFoundError(f"{user[:100]} is no member of {account.name}.", "Invite them.")
            session.add(Membership(organisation_id=account.id, user_id=member.id, role=role))
        else:
            if role != "admin":
                keep_an_admin(session, account, membership)
            membership.role = role
        assert member is not None
        record(session, caller, "member.role", account.name, user=member.name, role=role)


def remove(database: Database, caller: Caller, name: str, user: str) -> None:
    """A member leaves, or an admin lets them go.

    Raises `NotFoundError`, `ForbiddenError`, and `ConflictError` for the last admin.
    """
    user_id = caller.require_person()
    with database.write() as session:
        account = organisation_called(session, name)
        member = find_account(session, user)
        if not caller.may_run(account.id) and (member is None or member.id != user_id):
            raise ForbiddenError(f"You do not run {account.name}.", "Ask one of its admins.")
        membership = session.get(Membership, (account.id, member.id)) if member is not None else None
        if membership is None or member is None:
            raise NotFoundError(f"{user[:100]} is no member of {account.name}.")
        keep_an_admin(session, account, membership)
        session.delete(membership)
        record(session, caller, "member.remove", account.name, user=member.name)


def keep_an_admin(session: Session, account: Account, leaving: Membership) -> None:
    """Raises `ConflictError` if nobody would run the organisation any more."""
    admins = session.scalar(
        select(func.count())
        .select_from(Membership)
        .where(Membership.organisation_id == account.id, Membership.role == "admin")
    )
    if leaving.role == "admin" and admins == 1:
        raise ConflictError(f"This is the last admin of {account.name}.", "Make somebody else an admin first.")


def delete(database: Database, caller: Caller, name: str) -> None:
    """Delete an organisation that has no repositories. Raises `NotFoundError`, `ForbiddenError`, `ConflictError`."""
    with database.write() as session:
        account = run_by(session, caller, name)
        if session.scalar(select(Repository.id).where(Repository.owner_id == account.id).limit(1)) is not None:
            raise ConflictError(f"{account.name} has repositories.", "Delete or move them first.")
        record(session, caller, "organisation.delete", account.name)
        session.delete(account)


def members(session: Session, account: Account, limit: int, after: int | None) -> list[tuple[Account, str]]:
    """Up to `limit` members behind the user numbered `after`, with their roles."""
    rows = session.execute(
        select(Account, Membership.role)
        .join(Membership, Membership.user_id == Account.id)
        .where(Membership.organisation_id == account.id, Account.id > (after or 0))
        .order_by(Account.id)
        .limit(limit)
    )
    return [(user, role) for user, role in rows]
