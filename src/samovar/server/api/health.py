"""Whether the process lives (`/healthz`), and whether it can do its work (`/readyz`)."""

from __future__ import annotations

import os
import shutil

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from samovar.server.api.context import HubOf
from samovar.server.errors import HubError
from samovar.server.hub import Hub

router = APIRouter(tags=["operation"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process lives and answers; restart it when it does not."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Something that the Hub needs is missing."}})
def readyz(hub: HubOf) -> JSONResponse:
    """The Hub can serve: its database answers, its disk can be written and has room. Else 503, and which is missing."""
    checks = {"database": database_answers(hub), "disk": disk_writable(hub), "space": has_room(hub)}
    ready = all(checks.values())
    return JSONResponse({"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503)


def database_answers(hub: Hub) -> bool:
    """Whether the database can be read."""
    try:
        with hub.database.read() as session:
            session.execute(text("SELECT 1"))
    except (HubError, SQLAlchemyError):
        return False
    return True


def disk_writable(hub: Hub) -> bool:
    """Whether a file can be written where large files go."""
    try:
        path = hub.objects.scratch()
        try:
            path.write_bytes(os.urandom(16))
        finally:
            path.unlink()
    except OSError:
        return False
    return True


def has_room(hub: Hub) -> bool:
    """Whether the disk has more room than is kept free."""
    try:
        return shutil.disk_usage(hub.settings.data).free > hub.settings.least_free
    except OSError:
        return False
