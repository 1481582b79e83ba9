"""Likes of a repository, and whether the caller may read or write it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from samovar.server.api.context import CallerOf, HubOf, Plural, repo_type
from samovar.server.api.paging import PageOf, linked
from samovar.server.api.users import user_shown
from samovar.server.services import likes
from samovar.server.services.access import find, require_files

router = APIRouter(tags=["repositories"])
Kind = Annotated[Plural, Path()]
Owner = Annotated[str, Path()]
Name = Annotated[str, Path()]


@router.post("/api/{kind:kind}/{owner:segment}/{name:segment}/like")
def like(hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name) -> dict[str, Any]:
    """Like a repository; how many do now."""
    return {"likes": likes.set_like(hub.database, caller, repo_type(kind), f"{owner}/{name}", True)}


@router.delete("/api/{kind:kind}/{owner:segment}/{name:segment}/like")
def unlike(hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name) -> dict[str, Any]:
    """Like a repository no more; how many do now."""
    return {"likes": likes.set_like(hub.database, caller, repo_type(kind), f"{owner}/{name}", False)}


@router.get("/api/{kind:kind}/{owner:segment}/{name:segment}/likers")
def likers(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name,
    page: PageOf,
) -> list[dict[str, Any]]:  # fmt: skip
    """Who likes a repository."""
    with hub.database.read() as session:
        repository = find(session, repo_type(kind), f"{owner}/{name}", caller)
        rows = likes.likers(session, repository, page.limit + 1, page.after)
    return [user_shown(request, user) for user in linked(request, response, page, rows, lambda user: user.id)]


@router.get("/api/{kind:kind}/{owner:segment}/{name:segment}/auth-check")
def may_read(hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name) -> dict[str, Any]:
    """200 if the caller may read the files; else what reading them would answer."""
    with hub.database.read() as session:
        require_files(session, caller, find(session, repo_type(kind), f"{owner}/{name}", caller))
    return {}


@router.get("/api/{kind:kind}/{owner:segment}/{name:segment}/auth-check/write")
def may_write(hub: HubOf, caller: CallerOf, kind: Kind, owner: Owner, name: Name) -> dict[str, Any]:
    """200 if the caller may push; else what pushing would answer."""
    with hub.database.read() as session:
        find(session, repo_type(kind), f"{owner}/{name}", caller, "write")
    return {}
