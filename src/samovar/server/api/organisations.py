"""Organisations: what others see of them, and what their admins change."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BaseModel, Field

from samovar.server.api.avatars import avatar_url
from samovar.server.api.context import CallerOf, HubOf, base_url
from samovar.server.api.paging import PageOf, linked
from samovar.server.api.users import user_shown
from samovar.server.services import invitations, organisations, overview
from samovar.server.services.organisations import organisation_called

router = APIRouter(tags=["organisations"])
Name = Annotated[str, Path()]
User = Annotated[str, Path()]


class NewOrganisation(BaseModel):
    """An organisation to make."""

    name: str
    fullname: str = ""


class Invited(BaseModel):
    """Whom to invite, and as what."""

    role: str = Field("read", description="`read`, `contributor`, `write` or `admin`.")
    user: str | None = Field(None, description="The only one who can use it; without, whoever has the code.")


@router.post("/api/organizations")
def create(request: Request, hub: HubOf, caller: CallerOf, wanted: NewOrganisation) -> dict[str, Any]:
    """Make an organisation, of which the caller is the first admin. In the browser, or with a token of role admin."""
    organisations.create(hub.database, caller, wanted.name, wanted.fullname)
    return {"name": wanted.name, "url": f"{base_url(request)}/{wanted.name}"}


@router.post("/api/organizations/join")
def join(hub: HubOf, caller: CallerOf, code: Annotated[str, Body(embed=True, max_length=200)]) -> dict[str, str]:
    """Use an invitation: `{"code": …}` → `{"name": the organisation}`."""
    return {"name": invitations.join(hub.database, caller, code)}


@router.get("/api/organizations/{name:segment}/overview")
def organisation_overview(request: Request, hub: HubOf, caller: CallerOf, name: Name) -> dict[str, Any]:
    """An organisation, with counts of the repositories that the caller may see."""
    with hub.database.read() as session:
        account = organisation_called(session, name)
        counts = overview.repositories(session, caller, account.id)
        members = overview.size(session, account.id)
    return {
        "_id": f"{account.id:024x}",
        "name": account.name,
        "fullname": account.full_name or account.name,
        "type": "org",
        "avatarUrl": avatar_url(request, account.name),
        "numUsers": members,
        "numModels": counts["model"],
        "numDatasets": counts["dataset"],
        "numSpaces": counts["space"],
        "numFollowers": 0,
        "numPapers": 0,
        "isVerified": False,
        "isFollowing": False,
    }


@router.put("/api/organizations/{name:segment}")
def describe(
    hub: HubOf, caller: CallerOf, name: Name, fullname: Annotated[str, Body(embed=True)]
) -> dict[str, str]:  # fmt: skip
    """Change the full name: `{"fullname": …}`. For admins."""
    organisations.describe(hub.database, caller, name, fullname)
    return {}


@router.delete("/api/organizations/{name:segment}")
def delete(hub: HubOf, caller: CallerOf, name: Name) -> dict[str, str]:
    """Delete an organisation that has no repositories. For admins."""
    organisations.delete(hub.database, caller, name)
    return {}


@router.get("/api/organizations/{name:segment}/members")
def members(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, name: Name, page: PageOf
) -> list[dict[str, Any]]:
    """The members; with their roles (`roleInOrg`) for other members."""
    with hub.database.read() as session:
        account = organisation_called(session, name)
        rows = organisations.members(session, account, page.limit + 1, page.after)
        inside = caller.role_in(account.id) is not None or caller.runs_hub
    return [
        user_shown(request, user) | ({"roleInOrg": role} if inside else {})
        for user, role in linked(request, response, page, rows, lambda row: row[0].id)
    ]


@router.get("/api/organizations/{name:segment}/followers")
def followers(hub: HubOf, caller: CallerOf, name: Name, page: PageOf) -> list[dict[str, Any]]:
    """Nobody follows anybody on this Hub."""
    with hub.database.read() as session:
        organisation_called(session, name)
    return []


@router.put("/api/organizations/{name:segment}/members/{user:segment}")
def set_role(
    hub: HubOf, caller: CallerOf, name: Name, user: User, role: Annotated[str, Body(embed=True)]
) -> dict[str, str]:  # fmt: skip
    """Give a member another role: `{"role": …}`. For admins; the last of them stays one."""
    organisations.set_role(hub.database, caller, name, user, role)
    return {}


@router.delete("/api/organizations/{name:segment}/members/{user:segment}")
def remove(hub: HubOf, caller: CallerOf, name: Name, user: User) -> dict[str, str]:
    """Leave, or (for admins) let a member go; the last admin cannot."""
    organisations.remove(hub.database, caller, name, user)
    return {}


@router.post("/api/organizations/{name:segment}/invitations")
def invite(request: Request, hub: HubOf, caller: CallerOf, name: Name, wanted: Invited) -> dict[str, str]:
    """A code, shown this once, with which somebody joins within 14 days; it is good for signing up as well.

    For admins.
    """
    code = invitations.invite_to_join(hub.database, caller, name, wanted.role, wanted.user)
    return {"code": code, "url": f"{base_url(request)}/signup?invitation={code}"}
