"""One repository: what its card, configuration, weights and files say, now or at a revision."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse

from samovar.server.api.context import CallerOf, HubOf, Plural, repo_type
from samovar.server.services import scans
from samovar.server.services.information import Revisions, information
from samovar.server.services.sharded import shard_headers

router = APIRouter(tags=["repositories"])
revisions = Revisions()

Blobs = Annotated[bool, Query(description="Sizes and hashes of files.")]
SecurityStatus = Annotated[bool, Query(alias="securityStatus")]


def expand_of(request: Request) -> list[str]:
    """`expand=a&expand=b`, `expand[]=a`, `expand=a,b`: all are in use."""
    given = [*request.query_params.getlist("expand"), *request.query_params.getlist("expand[]")]
    return [name for one in given for name in one.split(",") if name]


@router.get("/api/{kind:kind}/{owner:segment}/{name:segment}")
def info(
    hub: HubOf, caller: CallerOf, request: Request, kind: Annotated[Plural, Path()], owner: Annotated[str, Path()],
    name: Annotated[str, Path()], blobs: Blobs = False, security_status: SecurityStatus = False,
    expand: Annotated[list[str] | None, Query(description="Only these keys; may be repeated.")] = None,
) -> JSONResponse:  # fmt: skip
    """A repository at its default branch. A name that it had before leads to it as well."""
    return answer(hub, caller, request, kind, f"{owner}/{name}", None, blobs, security_status)


@router.get("/api/{kind:kind}/{owner:segment}/{name:segment}/revision/{rev:segment}")
def info_at_revision(
    hub: HubOf, caller: CallerOf, request: Request, kind: Annotated[Plural, Path()], owner: Annotated[str, Path()],
    name: Annotated[str, Path()], rev: Annotated[str, Path()], blobs: Blobs = False,
    security_status: SecurityStatus = False,
    expand: Annotated[list[str] | None, Query(description="Only these keys; may be repeated.")] = None,
) -> JSONResponse:  # fmt: skip
    """A repository at a branch, tag, pull request or commit."""
    return answer(hub, caller, request, kind, f"{owner}/{name}", rev, blobs, security_status)


@router.get("/api/models/{owner:segment}/{name:segment}/safetensors-metadata/{path:rest}")
def safetensors_metadata(
    hub: HubOf, caller: CallerOf, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    path: Annotated[str, Path()],
) -> JSONResponse:  # fmt: skip
    """The headers of all the shards that an index file names."""
    return JSONResponse(shard_headers(hub, caller, f"{owner}/{name}", path))


def answer(
    hub: HubOf, caller: CallerOf, request: Request, kind: str, name: str, rev: str | None, blobs: bool, status: bool
) -> JSONResponse:
    """The description as an answer."""
    said: dict[str, Any] = information(
        hub, caller, repo_type(kind), name, revisions, rev, expand_of(request), blobs
    )  # fmt: skip
    if status:
        said["securityRepoStatus"] = scans.repository_status(hub, repo_type(kind), name, caller)
    return JSONResponse(said)
