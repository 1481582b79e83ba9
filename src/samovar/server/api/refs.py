"""Branches, tags, commits, and the difference between two revisions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from samovar.server.api.context import CallerOf, HubOf, Plural, base_url, repo_type
from samovar.server.http import cursors
from samovar.server.http.links import next_link
from samovar.server.services import past, references

router = APIRouter(tags=["references"])
REPOSITORY = "/api/{kind}/{owner:segment}/{name:segment}"


class NewBranch(BaseModel):
    """Where a branch begins: the default branch if not given."""

    starting_point: str | None = Field(None, alias="startingPoint")


class NewTag(BaseModel):
    """A tag, annotated if it has a message."""

    tag: str
    message: str | None = Field(None, max_length=65_000)


@router.get(REPOSITORY + "/refs")
def refs(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    include_prs: bool = False, include_pull_requests: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Branches, tags, converted data, and pull requests if asked for."""
    return references.listed(
        hub, caller, repo_type(kind), f"{owner}/{name}", pull_requests=include_prs or include_pull_requests
    )


@router.post(REPOSITORY + "/branch/{branch:segment}")
def create_branch(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    branch: Annotated[str, Path()], new: NewBranch | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make a branch. 409 if there is one of that name."""
    start = new.starting_point if new else None
    references.create_branch(hub, caller, repo_type(kind), f"{owner}/{name}", branch, start)
    return {"success": True}


@router.delete(REPOSITORY + "/branch/{branch:segment}")
def delete_branch(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    branch: Annotated[str, Path()],
) -> dict[str, Any]:  # fmt: skip
    """Delete a branch; not the default one."""
    references.delete(hub, caller, repo_type(kind), f"{owner}/{name}", "refs/heads/", branch)
    return {"success": True}


@router.post(REPOSITORY + "/tag/{rev:segment}")
def create_tag(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    rev: Annotated[str, Path()], new: NewTag,
) -> dict[str, Any]:  # fmt: skip
    """Tag a revision. 409 if there is a tag of that name."""
    references.create_tag(hub, caller, repo_type(kind), f"{owner}/{name}", new.tag, rev, new.message)
    return {"success": True}


@router.delete(REPOSITORY + "/tag/{tag:segment}")
def delete_tag(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    tag: Annotated[str, Path()],
) -> dict[str, Any]:  # fmt: skip
    """Delete a tag."""
    references.delete(hub, caller, repo_type(kind), f"{owner}/{name}", "refs/tags/", tag)
    return {"success": True}


@router.get(REPOSITORY + "/commits/{rev:segment}")
def commits(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()],
    name: Annotated[str, Path()], rev: Annotated[str, Path()],
    expand: Annotated[list[str], Query()] = [],  # noqa: B006
    expands: Annotated[list[str], Query(alias="expand[]")] = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=1000)] = 100, p: Annotated[int, Query(ge=0, le=10**6)] = 0,
    cursor: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The history of a revision, the newest commit first. A further page is in the header `Link`."""
    if cursor:
        rev = cursors.decode(cursor)
    found, head = past.history(
        hub, caller, repo_type(kind), f"{owner}/{name}", rev, p, limit, formatted="formatted" in [*expand, *expands]
    )
    if len(found) > limit:
        response.headers["Link"] = next_link(
            base_url(request), request.scope["path"], request.url.query, cursor=cursors.encode(head), p=str(p + 1)
        )
    return found[:limit]


@router.get(REPOSITORY + "/compare/{revs:segment}", response_class=PlainTextResponse)
def compare(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    revs: Annotated[str, Path()],
) -> str:  # fmt: skip
    """The difference between two revisions, `a..b`, as a unified diff; with three dots, from where they parted."""
    return past.compare(hub, caller, repo_type(kind), f"{owner}/{name}", revs)
