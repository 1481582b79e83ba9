"""Discussions and pull requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from samovar.server.api.context import CallerOf, HubOf, Plural, repo_type
from samovar.server.services import discussions, pulls

router = APIRouter(tags=["discussions"])
DISCUSSIONS = "/api/{kind}/{owner:segment}/{name:segment}/discussions"
Owner = Annotated[str, Path()]
Name = Annotated[str, Path()]
Number = Annotated[int, Path(ge=1, le=10**9)]
Text = Annotated[str, Field(max_length=discussions.LONGEST_COMMENT)]


class New(BaseModel):
    """A discussion, or a pull request whose commits come later."""

    title: str
    description: Text = ""
    pull_request: bool = Field(False, alias="pullRequest")


class Comment(BaseModel):
    """Something to say."""

    comment: Text


class Edited(BaseModel):
    """What a comment says instead."""

    content: Text


class Title(BaseModel):
    """Another title."""

    title: str


class Status(BaseModel):
    """Open or closed, and why."""

    status: Literal["open", "closed", "draft"]
    comment: Text | None = None


class Merge(BaseModel):
    """What is said when a pull request is merged."""

    comment: Text | None = None


@router.get(DISCUSSIONS)
def listed(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, p: Annotated[int, Query(ge=0, le=10**6)] = 0,
    type: Literal["all", "discussion", "pull_request"] = "all",
    status: Literal["all", "open", "closed"] = "all", author: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A page of discussions and pull requests, the newest first."""
    return discussions.listed(hub, caller, repo_type(kind), f"{owner}/{name}", p, type, status, author)


@router.post(DISCUSSIONS)
def create(hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, new: New) -> dict[str, Any]:
    """Begin a discussion, or a pull request (a draft, whose branch is `refs/pr/NUMBER`)."""
    make = pulls.create if new.pull_request else discussions.create
    return {"num": make(hub, caller, repo_type(kind), f"{owner}/{name}", new.title, new.description)}


@router.get(DISCUSSIONS + "/{number}")
def details(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, number: Number, diff: bool = False
) -> dict[str, Any]:
    """A discussion with its events; of a pull request also where it leads, what clashes and, if asked, its diff."""
    return pulls.details(hub, caller, repo_type(kind), f"{owner}/{name}", number, diff)


@router.post(DISCUSSIONS + "/{number}/comment")
def comment(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, number: Number, said: Comment
) -> dict[str, Any]:
    """Say something."""
    return {"newMessage": discussions.comment(hub, caller, repo_type(kind), f"{owner}/{name}", number, said.comment)}


@router.post(DISCUSSIONS + "/{number}/comment/{event:segment}/edit")
def edit(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, number: Number,
    event: Annotated[str, Path()], edited: Edited,
) -> dict[str, Any]:  # fmt: skip
    """Change what one's own comment says."""
    found = discussions.change_comment(hub, caller, repo_type(kind), f"{owner}/{name}", number, event, edited.content)
    return {"updatedComment": found}


@router.post(DISCUSSIONS + "/{number}/comment/{event:segment}/hide")
def hide(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, number: Number,
    event: Annotated[str, Path()],
) -> dict[str, Any]:  # fmt: skip
    """Hide a comment for good."""
    found = discussions.change_comment(hub, caller, repo_type(kind), f"{owner}/{name}", number, event, None)
    return {"updatedComment": found}


@router.post(DISCUSSIONS + "/{number}/title")
def retitle(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, number: Number, title: Title
) -> dict[str, Any]:
    """Give a discussion another title."""
    return {"newTitle": discussions.retitle(hub, caller, repo_type(kind), f"{owner}/{name}", number, title.title)}


@router.post(DISCUSSIONS + "/{number}/status")
def set_status(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, number: Number, status: Status
) -> dict[str, Any]:
    """Open or close a discussion."""
    found = discussions.set_status(
        hub, caller, repo_type(kind), f"{owner}/{name}", number, status.status, status.comment
    )
    return {"newStatus": found}


@router.post(DISCUSSIONS + "/{number}/merge")
def merge(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Owner, name: Name, number: Number, said: Merge | None = None
) -> dict[str, Any]:
    """Make a pull request's changes one commit of its base. 409 if both sides changed the same."""
    said_comment = said.comment if said else None
    oid = pulls.merge(hub, caller, repo_type(kind), f"{owner}/{name}", number, said_comment)
    return {"success": True, "mergeCommitId": oid}
