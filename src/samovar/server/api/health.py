"""Whether the Hub answers."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import text

from samovar.server.api.context import HubOf

router = APIRouter(tags=["operation"])


@router.get("/healthz")
def healthz(hub: HubOf) -> dict[str, str]:
    """The Hub answers and reaches its database."""
    with hub.database.read() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}
