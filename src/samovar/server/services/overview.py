"""What an account shows of itself: counts of what the caller may see, and nothing of what they may not."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Account, Like, Membership, Repository
from samovar.server.services.access import TYPES, Caller, RepoType, visible_to


def repositories(session: Session, caller: Caller, account_id: int) -> dict[RepoType, int]:
    """How many repositories of each type the caller sees of an account."""
    counted = dict(
        session.execute(
            select(Repository.type, func.count())
            .where(Repository.owner_id == account_id, visible_to(caller))
            .group_by(Repository.type)
        ).all()
    )  # fmt: skip
    return {type_: counted.get(type_, 0) for type_ in TYPES}


def likes(session: Session, caller: Caller, account_id: int) -> int:
    """How many repositories that the caller sees the account likes."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Like)
            .join(Repository, Repository.id == Like.repository_id)
            .where(Like.account_id == account_id, visible_to(caller))
        )
        or 0
    )


def organisations(session: Session, account_id: int) -> list[Account]:
    """The organisations that a user is a member of."""
    return list(
        session.scalars(
            select(Account)
            .join(Membership, Membership.organisation_id == Account.id)
            .where(Membership.user_id == account_id)
            .order_by(Account.name_key)
        )
    )


def size(session: Session, organisation_id: int) -> int:
    """How many members an organisation has."""
    return (
        session.scalar(
            select(func.count()).select_from(Membership).where(Membership.organisation_id == organisation_id)
        )
        or 0
    )
