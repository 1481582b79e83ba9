"""Requests for access to gated repositories."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from samovar.server.api.context import CallerOf, HubOf, Plural, repo_type
from samovar.server.api.paging import PageOf, linked
from samovar.server.errors import BadRequestError
from samovar.server.http.dates import iso
from samovar.server.services import gating

router = APIRouter(tags=["access requests"])
Kind = Annotated[Plural, Path()]
Owner = Annotated[str, Path()]
Name = Annotated[str, Path()]
LARGEST_NUMBER = 2**63 - 1


class Decision(BaseModel):
    """What becomes of a request."""

    status: Literal["pending", "accepted", "rejected"]
    user: str | None = Field(None, max_length=100)
    request_id: str | None = Field(None, alias="requestId", max_length=40)
    rejection_reason: str | None = Field(None, alias="rejectionReason", max_length=200)


class Grantee(BaseModel):
    """Who is let in."""

    user: str = Field(max_length=100)


class Asked(BaseModel):
    """What somebody who asks for access says of themselves."""

    fields: dict[str, str] = Field({}, max_length=gating.MOST_FIELDS)


@router.get("/api/{kind:kind}/{owner:segment}/{name:segment}/user-access-request/{status}")
def listed(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name,
    status: Annotated[Literal["pending", "accepted", "rejected"], Path()], page: PageOf,
) -> list[dict[str, Any]]:  # fmt: skip
    """The requests in a state. For those who administer the repository."""
    with hub.database.read() as session:
        repository = gating.gated(session, caller, repo_type(kind), f"{owner}/{name}", "admin")
        rows = gating.listed(session, repository, status, page.limit + 1, page.after)
    return [
        {
            "requestId": f"{one.id:024x}",
            "user": {"user": user.name, "fullname": user.full_name or user.name, "email": user.email or ""},
            "status": one.status,
            "timestamp": iso(one.created_at),
            **({"fields": one.fields} if one.fields else {}),
            **({"rejectionReason": one.reason} if one.reason else {}),
        }
        for one, user in linked(request, response, page, rows, lambda row: row[0].id)
    ]


@router.post("/api/{kind:kind}/{owner:segment}/{name:segment}/user-access-request/handle")
def handle(hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name, decision: Decision) -> dict[str, Any]:
    """Accept or reject a request, or put it back among the pending ones."""
    gating.handle(
        hub.database, caller, repo_type(kind), f"{owner}/{name}", decision.status, decision.user,
        numbered(decision.request_id), decision.rejection_reason or "",
    )  # fmt: skip
    return {}


@router.post("/api/{kind:kind}/{owner:segment}/{name:segment}/user-access-request/grant")
def grant(hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name, who: Grantee) -> dict[str, Any]:
    """Let a user in who has not asked."""
    gating.grant(hub.database, caller, repo_type(kind), f"{owner}/{name}", who.user)
    return {}


@router.post("/api/{kind:kind}/{owner:segment}/{name:segment}/ask-access")
def ask(
    hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name, asked: Asked | None = None
) -> dict[str, str]:
    """Ask for access: `{"fields": {…}}`, or nothing → `{"status": "pending" or "accepted"}`."""
    fields = dict(asked.fields) if asked else {}
    return {"status": gating.ask(hub.database, caller, repo_type(kind), f"{owner}/{name}", fields)}


def numbered(request_id: str | None) -> int | None:
    """The number in a request's id. Raises `BadRequestError`."""
    if request_id is None:
        return None
    try:
        number = int(request_id, 16)
    except ValueError as error:
        raise BadRequestError("This is no request's id.", "Take it from the list of requests.") from error
    return min(max(number, 0), LARGEST_NUMBER)
