"""The audit log: written in the same transaction as the deed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.tables import AuditEntry
from samovar.server.services.access import Caller


def record(session: Session, caller: Caller, action: str, target: str = "", **detail: object) -> None:
    """Note that the caller did `action` (`repository.create`, `token.revoke`, …) to `target`."""
    session.add(
        AuditEntry(
            actor=caller.name, action=action, target=target[:250], detail=dict(detail), address=caller.address[:64]
        )
    )


def entries(
    session: Session, limit: int, before: int | None, actor: str | None = None, action: str | None = None,
    target: str | None = None,
) -> list[AuditEntry]:  # fmt: skip
    """Up to `limit` entries, the newest first, older than the one numbered `before`."""
    question = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        question = question.where(AuditEntry.id < before)
    for column, wanted in ((AuditEntry.actor, actor), (AuditEntry.action, action), (AuditEntry.target, target)):
        if wanted is not None:
            question = question.where(column == wanted.replace("\0", ""))
    return list(session.scalars(question))
