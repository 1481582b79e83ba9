"""Invitations: a code with which one person signs up, or a user joins an organisation."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, Invitation, Membership
from samovar.server.db.tables.base import now
from samovar.server.errors import BadRequestError, ConflictError, ForbiddenError, NotFoundError
from samovar.server.services.access import ROLES, Caller, find_account
from samovar.server.services.audit import record
from samovar.server.services.credentials import digest

LIFETIME = timedelta(days=14)


def invite_to_sign_up(database: Database, caller: Caller, lifetime: timedelta = LIFETIME) -> str:
    """A code with which somebody can sign up; it is shown this once. For those who run the Hub."""
    return written(database, caller, lifetime, "invitation.create", "")


def invite_to_join(
    database: Database, caller: Caller, organisation: str, role: str, user: str | None = None,
    lifetime: timedelta = LIFETIME,
) -> str:  # fmt: skip
    """A code with which one user (whoever has it, unless `user` names them) joins an organisation.

    Raises `NotFoundError`, `ForbiddenError`, `BadRequestError` for a role that there is not.
    """
    if role not in ROLES:
        raise BadRequestError(f"Members have no role {role[:40]!r}.", f"Choose {', '.join(ROLES)}.")
    with database.read() as session:
        found = find_account(session, organisation)
        if found is None or found.kind != "org":
            raise NotFoundError(f"There is no organisation called {organisation[:100]}.")
        if not caller.may_run(found.id):
            caller.require_login()
            raise ForbiddenError(f"You do not run {found.name}.", "Ask one of its admins.")
        invitee = None
        if user is not None:
            invitee = find_account(session, user)
            if invitee is None or invitee.kind != "user":
                raise NotFoundError(f"There is no user called {user[:100]}.")
    return written(
        database, caller, lifetime, "member.invite", found.name, organisation_id=found.id, role=role,
        for_user=invitee.id if invitee else None,
    )  # fmt: skip


def written(database: Database, caller: Caller, lifetime: timedelta, action: str, target: str, **more: object) -> str:
    """Keep an invitation's digest; its code."""
    code = secrets.token_urlsafe(18)
    with database.write() as session:
        session.add(Invitation(digest=digest(code), created_by=caller.account_id, expires_at=now() + lifetime, **more))
        record(session, caller, action, target, role=more.get("role"))
    return code


def usable(session: Session, code: str, user_id: int) -> Invitation:
    """The invitation, if it is good for this user. Raises `BadRequestError`, the same whatever is wrong with it."""
    invitation = session.scalar(select(Invitation).where(Invitation.digest == digest(code)).with_for_update())
    if (
        invitation is None
        or invitation.used_at is not None
        or invitation.expires_at <= now()
        or invitation.for_user not in (None, user_id)
    ):
        raise BadRequestError("The invitation is not good, or not any more.", "Ask for a new one.")
    return invitation


def use_for_sign_up(session: Session, code: str, user_id: int) -> None:
    """Use the invitation up for a new user; one to an organisation makes them a member as well."""
    invitation = usable(session, code, user_id)
    invitation.used_by, invitation.used_at = user_id, now()
    if invitation.organisation_id is not None:
        session.add(
            Membership(organisation_id=invitation.organisation_id, user_id=user_id, role=invitation.role or "read")
        )


def join(database: Database, caller: Caller, code: str) -> str:
    """Use an invitation to an organisation; the organisation's name. Raises `BadRequestError`, `ConflictError`."""
    user_id = caller.require_person()
    with database.write() as session:
        invitation = usable(session, code, user_id)
        if invitation.organisation_id is None:
            raise BadRequestError("The invitation is one to sign up with.", "Give it to somebody who has no account.")
        organisation = session.get_one(Account, invitation.organisation_id)
        if session.get(Membership, (organisation.id, user_id)) is not None:
            raise ConflictError(f"You are a member of {organisation.name} already.")
        session.add(Membership(organisation_id=organisation.id, user_id=user_id, role=invitation.role or "read"))
        invitation.used_by, invitation.used_at = user_id, now()
        record(session, caller, "member.join", organisation.name, role=invitation.role)
        return organisation.name
