"""Repositories: make, delete, rename, copy, set who sees them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from samovar.server.api.context import CallerOf, HubOf, Plural, base_url, repo_type, repo_url
from samovar.server.db.tables import Repository
from samovar.server.errors import BadRequestError, ConflictError
from samovar.server.repos.names import split
from samovar.server.services import references, repositories
from samovar.server.services.access import RepoType

router = APIRouter(tags=["repositories"])
REPOSITORY = "/api/{kind}/{owner:segment}/{name:segment}"
Visibility = Literal["public", "private", "protected"]


class New(BaseModel):
    """A repository to make. Newer clients say `visibility`, older ones `private`."""

    name: str
    organization: str | None = None
    type: RepoType | None = None
    private: bool | None = None
    visibility: Visibility | None = None
    sdk: str | None = Field(None, max_length=20)


class Named(BaseModel):
    """A repository to delete."""

    name: str
    organization: str | None = None
    type: RepoType | None = None


class Renaming(BaseModel):
    """A repository's name now and afterwards."""

    from_repo: str = Field(alias="fromRepo")
    to_repo: str = Field(alias="toRepo")
    type: RepoType | None = None


class Visible(BaseModel):
    """Who sees a repository, and who may have its files."""

    private: bool | None = None
    visibility: Visibility | None = None
    gated: Literal["auto", "manual", False] | None = None


class Copy(BaseModel):
    """The name of a copy."""

    repository: str
    private: bool | None = None
    visibility: Visibility | None = None


class Squash(BaseModel):
    """What is said with the one commit."""

    message: str | None = Field(None, max_length=500)


def private(visibility: Visibility | None, given: bool | None) -> bool | None:
    """From both ways of saying it to one. A protected space shows its page, not its files: here it is private."""
    return given if visibility is None else visibility != "public"


def described(request: Request, repository: Repository) -> dict[str, Any]:
    """A repository as those who made it are told."""
    return {
        "url": repo_url(base_url(request), repository.type, repository.name),  # type: ignore[arg-type]
        "name": repository.name,
        "id": f"{repository.id:024x}",
        "private": repository.private,
    }


@router.post("/api/repos/create")
def create(request: Request, hub: HubOf, caller: CallerOf, new: New) -> Response:
    """Make a repository, of the caller or of an organisation. 409 with its `url` if there is one of that name."""
    type_, owner, name = new.type or "model", new.organization, new.name
    if "/" in name and owner is None:
        owner, name = split(name)
    try:
        repository = repositories.create(
            hub, caller, type_, name, owner, private=private(new.visibility, new.private) or False, sdk=new.sdk
        )
    except ConflictError as error:
        error.more["url"] = repo_url(base_url(request), type_, f"{owner or caller.name}/{name}")
        raise
    return JSONResponse(described(request, repository))


@router.delete("/api/repos/delete")
def delete(hub: HubOf, caller: CallerOf, named: Named) -> Response:
    """Delete a repository with all that is in it."""
    full = named.name if "/" in named.name else f"{named.organization or caller.name}/{named.name}"
    repositories.remove(hub, caller, named.type or "model", full)
    return Response("OK", media_type="text/plain")


@router.post("/api/repos/move")
def move(request: Request, hub: HubOf, caller: CallerOf, renaming: Renaming) -> dict[str, Any]:
    """Give a repository another name or owner. Its old name leads to it until somebody takes it."""
    return described(
        request, repositories.rename(hub, caller, renaming.type or "model", renaming.from_repo, renaming.to_repo)
    )


@router.put(REPOSITORY + "/settings")
def settings(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    visible: Visible,
) -> dict[str, Any]:  # fmt: skip
    """Change who sees a repository (`visibility` or `private`), and whether its files are `gated`."""
    if visible.gated is None and visible.visibility is None and visible.private is None:
        raise BadRequestError("No setting was given.", "Give `visibility`, `private` or `gated`.")
    repository = repositories.set_visibility(
        hub, caller, repo_type(kind), f"{owner}/{name}", private(visible.visibility, visible.private), visible.gated
    )
    return {"private": repository.private, "gated": repository.gated or False}


@router.post(REPOSITORY + "/duplicate")
def duplicate(
    request: Request, hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()],
    name: Annotated[str, Path()], copy: Copy,
) -> dict[str, Any]:  # fmt: skip
    """Copy a repository with its history. 409 with its `url` if there is one of that name."""
    type_ = repo_type(kind)
    target = copy.repository if "/" in copy.repository else f"{caller.name}/{copy.repository}"
    try:
        repository = repositories.duplicate(
            hub, caller, type_, f"{owner}/{name}", target, private(copy.visibility, copy.private)
        )
    except ConflictError as error:
        error.more["url"] = repo_url(base_url(request), type_, target)
        raise
    return described(request, repository)


@router.post(REPOSITORY + "/super-squash/{branch:segment}")
def super_squash(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    branch: Annotated[str, Path()], squash: Squash | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Replace a branch's history by one commit. What only the history led to is gone from every list."""
    message = (squash and squash.message) or f"Super-squash branch '{branch}'"
    return {"commitOid": references.squash(hub, caller, repo_type(kind), f"{owner}/{name}", branch, message)}
