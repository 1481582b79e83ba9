"""The caller's own account: sessions, password, what it says of them, and what they store."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response
from sqlalchemy import select

from samovar.server.api.context import CallerOf, HubOf
from samovar.server.api.cookies import with_cookie
from samovar.server.api.paging import Page, PageOf, linked
from samovar.server.db.tables import Repository
from samovar.server.errors import ForbiddenError
from samovar.server.http.dates import iso
from samovar.server.hub import Hub
from samovar.server.services import accounts, quota, sessions
from samovar.server.services.access import Caller, visible_to
from samovar.server.services.organisations import organisation_called

router = APIRouter(tags=["settings"])


@router.get("/api/settings/sessions")
def sessions_listed(hub: HubOf, caller: CallerOf) -> list[dict[str, Any]]:
    """The browsers that the caller is logged in with, the newest first."""
    return [
        {
            "id": sessions.name_of(row),
            "current": row.digest == caller.session_id,
            "createdAt": iso(row.created_at),
            "expiresAt": iso(row.expires_at),
            "lastUsedAt": iso(hub.activity.sessions.get(row.digest) or row.last_used_at),
            "address": row.address,
            "agent": row.agent,
        }
        for row in sessions.listed(hub, caller)
    ]


@router.delete("/api/settings/sessions/{number:segment}")
def session_ended(hub: HubOf, caller: CallerOf, number: Annotated[str, Path()]) -> dict[str, Any]:
    """Log one of these browsers out."""
    sessions.end(hub, caller, number)
    return {}


@router.post("/api/settings/password")
def password(
    request: Request, response: Response, hub: HubOf, caller: CallerOf,
    current: Annotated[str, Body(max_length=2000)], new: Annotated[str, Body(max_length=2000)],
) -> dict[str, Any]:  # fmt: skip
    """Change the password: `{"current": …, "new": …}`. All other sessions end; this one gets another cookie."""
    cookie = sessions.change_password(hub, caller, current, new, request.headers.get("user-agent", ""))
    if cookie:
        with_cookie(response, request, cookie)
    return {}


@router.put("/api/settings/profile")
def profile(
    hub: HubOf, caller: CallerOf, fullname: Annotated[str | None, Body()] = None,
    email: Annotated[str | None, Body()] = None, bio: Annotated[str | None, Body()] = None,
) -> dict[str, Any]:  # fmt: skip
    """Change the full name, the text about oneself, or the e-mail address (an empty one removes it)."""
    accounts.describe(hub, caller, fullname, email, bio)
    return {}


@router.get("/api/settings/repositories")
def own_storage(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, page: PageOf
) -> list[dict[str, Any]]:
    """What each of the caller's repositories stores."""
    return storage(request, response, hub, caller, caller.require_login(), page)


@router.get("/api/organizations/{name:segment}/settings/repositories")
def organisation_storage(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, name: Annotated[str, Path()], page: PageOf
) -> list[dict[str, Any]]:
    """What each of an organisation's repositories stores. For members."""
    caller.require_login()
    with hub.database.read() as session:
        account = organisation_called(session, name)
    if caller.role_in(account.id) is None and not caller.runs_hub:
        raise ForbiddenError(f"You are no member of {account.name}.")
    return storage(request, response, hub, caller, account.id, page)


def storage(
    request: Request, response: Response, hub: Hub, caller: Caller, owner_id: int, page: Page
) -> list[dict[str, Any]]:
    """The repositories of an account that the caller sees, with bytes and their part of the whole."""
    with hub.database.read() as session:
        used = quota.used_by_repository(session, owner_id)
        rows = session.scalars(
            select(Repository)
            .where(Repository.owner_id == owner_id, Repository.id > (page.after or 0), visible_to(caller))
            .order_by(Repository.id)
            .limit(page.limit + 1)
        ).all()
    whole = sum(used.values()) or 1
    return [
        {
            "id": row.name,
            "type": row.type,
            "updatedAt": iso(row.last_modified),
            "visibility": "private" if row.private else "public",
            "storage": used.get(row.id, 0),
            "storagePercent": used.get(row.id, 0) / whole,
        }
        for row in linked(request, response, page, rows, lambda row: row.id)
    ]
