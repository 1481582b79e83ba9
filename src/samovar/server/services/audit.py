"""The audit log: written in the same transaction as the deed."""

from __future__ import annotations

from sqlalchemy.orm import Session

from samovar.server.db.tables import AuditEntry
from samovar.server.services.access import Caller


def record(session: Session, caller: Caller, action: str, target: str = "", **detail: object) -> None:
    """Note that the caller did `action` (`repository.create`, `token.revoke`, …) to `target`."""
    session.add(
        AuditEntry(actor=caller.name, action=action, target=target, detail=dict(detail), address=caller.address)
    )
