"""For those who run the Hub: the audit log, users and their limits."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response

from samovar.server.api.context import CallerOf, HubOf
from samovar.server.api.paging import PageOf, linked
from samovar.server.http.dates import iso
from samovar.server.services import accounts, audit, invitations, quota

router = APIRouter(prefix="/api/admin", tags=["administration"])
Name = Annotated[str, Path()]


@router.get("/audit")
def audit_log(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, page: PageOf,
    actor: Annotated[str | None, Query(max_length=100)] = None,
    action: Annotated[str | None, Query(max_length=40)] = None,
    target: Annotated[str | None, Query(max_length=250)] = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Who did what, the newest first; of one `actor`, `action` or `target` alone if wanted."""
    caller.require_hub_admin()
    with hub.database.read() as session:
        rows = audit.entries(session, page.limit + 1, page.after, actor, action, target)
    return [
        {
            "id": row.id, "at": iso(row.at), "actor": row.actor, "action": row.action, "target": row.target,
            "detail": row.detail, "address": row.address,
        }
        for row in linked(request, response, page, rows, lambda row: row.id)
    ]  # fmt: skip


@router.get("/users")
def users(hub: HubOf, caller: CallerOf) -> list[dict[str, Any]]:
    """All users."""
    caller.require_hub_admin()
    return [
        {"name": one.name, "fullname": one.full_name, "email": one.email, "isAdmin": one.is_admin,
         "disabled": one.disabled, "createdAt": iso(one.created_at)}
        for one in accounts.users(hub.database)
    ]  # fmt: skip


@router.post("/invitations")
def invite(hub: HubOf, caller: CallerOf) -> dict[str, str]:
    """A code to sign up with, shown this once; good for 14 days."""
    caller.require_hub_admin()
    return {"code": invitations.invite_to_sign_up(hub.database, caller)}


@router.put("/users/{name:segment}/disabled")
def disable(hub: HubOf, caller: CallerOf, name: Name, disabled: Annotated[bool, Body(embed=True)]) -> dict[str, Any]:
    """Lock a user out, or let them in again: `{"disabled": true}`."""
    caller.require_hub_admin()
    accounts.set_disabled(hub.database, caller, name, disabled)
    return {}


@router.put("/accounts/{name:segment}/quota")
def limit(
    hub: HubOf, caller: CallerOf, name: Name,
    quota_bytes: Annotated[int | None, Body(alias="bytes", embed=True, ge=0, lt=2**63)],
) -> dict[str, Any]:  # fmt: skip
    """How much an account may store: `{"bytes": n}`, or null for what the Hub's settings say."""
    caller.require_hub_admin()
    quota.set_limit(hub.database, caller, name, quota_bytes)
    return {}
