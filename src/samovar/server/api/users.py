"""Users as others see them: overview, likes, followers (which this Hub has none of)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from samovar.server.api.avatars import avatar_url
from samovar.server.api.context import CallerOf, HubOf
from samovar.server.api.paging import PageOf, linked
from samovar.server.db.tables import Account
from samovar.server.http.dates import iso
from samovar.server.services import likes, overview
from samovar.server.services.accounts import user_called

router = APIRouter(tags=["accounts"])
Name = Annotated[str, Path()]


def user_shown(request: Request, user: Account) -> dict[str, Any]:
    """A user in a list, as clients read it."""
    return {
        "_id": f"{user.id:024x}",
        "user": user.name,
        "fullname": user.full_name or user.name,
        "avatarUrl": avatar_url(request, user.name),
        "type": "user",
        "isPro": False,
    }


@router.get("/api/users/{name:segment}/overview")
def user_overview(request: Request, hub: HubOf, caller: CallerOf, name: Name) -> dict[str, Any]:
    """A user, with counts of the repositories and likes that the caller may see."""
    with hub.database.read() as session:
        user = user_called(session, name)
        counts = overview.repositories(session, caller, user.id)
        liked = overview.likes(session, caller, user.id)
        organisations = overview.organisations(session, user.id)
    return user_shown(request, user) | {
        "createdAt": iso(user.created_at),
        "numModels": counts["model"],
        "numDatasets": counts["dataset"],
        "numSpaces": counts["space"],
        "numLikes": liked,
        "numFollowers": 0,
        "numFollowing": 0,
        "numDiscussions": 0,
        "numPapers": 0,
        "numUpvotes": 0,
        "isFollowing": False,
        "orgs": [
            {"id": f"{one.id:024x}", "name": one.name, "fullname": one.full_name or one.name,
             "avatarUrl": avatar_url(request, one.name)}
            for one in organisations
        ],
    }  # fmt: skip


@router.get("/api/users/{name:segment}/avatar")
def user_avatar(request: Request, name: Name) -> dict[str, str]:
    """Where a user's picture is; also for a name that nobody has."""
    return {"avatarUrl": avatar_url(request, name)}


@router.get("/api/users/{name:segment}/likes")
def user_likes(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, name: Name, page: PageOf
) -> list[dict[str, Any]]:
    """The repositories that a user likes, as far as the caller may see them."""
    with hub.database.read() as session:
        user = user_called(session, name)
        rows = likes.liked(session, caller, user.id, page.limit + 1, page.after)
        return [
            {"createdAt": iso(like.created_at), "repo": {"name": repository.name, "type": repository.type}}
            for like, repository in linked(request, response, page, rows, lambda row: row[1].id)
        ]


@router.get("/api/users/{name:segment}/followers")
@router.get("/api/users/{name:segment}/following")
def user_follows(hub: HubOf, caller: CallerOf, name: Name, page: PageOf) -> list[dict[str, Any]]:
    """Nobody follows anybody on this Hub."""
    with hub.database.read() as session:
        user_called(session, name)
    return []
