"""Files and folders of a revision."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response

from samovar.server.api.context import CallerOf, HubOf, Plural, base_url, repo_type
from samovar.server.errors import BadRequestError
from samovar.server.http import cursors
from samovar.server.http.links import next_link
from samovar.server.services import listing, scans

router = APIRouter(tags=["files"])
REPOSITORY = "/api/{kind}/{owner:segment}/{name:segment}"
MOST_PATHS = 1000


@router.get(REPOSITORY + "/tree/{rev:segment}")
def root(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()],
    name: Annotated[str, Path()], rev: Annotated[str, Path()], recursive: bool = False, expand: bool = False,
    limit: Annotated[int | None, Query(ge=1)] = None, cursor: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """All that lies in a revision."""
    return tree(request, response, hub, caller, kind, owner, name, rev, "", recursive, expand, limit, cursor)


@router.get(REPOSITORY + "/tree/{rev:segment}/{path:rest}")
def tree(
    request: Request, response: Response, hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()],
    name: Annotated[str, Path()], rev: Annotated[str, Path()], path: Annotated[str, Path()], recursive: bool = False,
    expand: bool = False, limit: Annotated[int | None, Query(ge=1)] = None, cursor: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """What lies in a folder, and below it if `recursive`; with `expand`, the last commit of each entry.

    404 with code `EntryNotFound` for a folder that is not there. A further page is in the header `Link`; it stays with
    the commit of the first one.
    """
    repo = listing.opened(hub, caller, repo_type(kind), f"{owner}/{name}")
    after = None
    if cursor:
        rev, _, after = cursors.decode(cursor).partition(":")
    entries, further, commit = listing.folder(repo, rev, path, recursive, expand, after, limit)
    response.headers["X-Repo-Commit"] = commit
    if further is not None:
        position = cursors.encode(f"{commit}:{further}")
        response.headers["Link"] = next_link(
            base_url(request), request.scope["path"], request.url.query, cursor=position
        )
    return scans.add(hub, entries) if expand else entries


@router.post(REPOSITORY + "/paths-info/{rev:segment}")
def paths_info(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    rev: Annotated[str, Path()], paths: Annotated[list[str], Form()] = [], expand: Annotated[bool, Form()] = False,  # noqa: B006
) -> list[dict[str, Any]]:  # fmt: skip
    """What lies at each of these paths. Those at which nothing lies are left out."""
    if len(paths) > MOST_PATHS:
        raise BadRequestError("Too many paths.", f"Ask for at most {MOST_PATHS} at a time.")
    entries = listing.paths(listing.opened(hub, caller, repo_type(kind), f"{owner}/{name}"), rev, paths, expand)
    return scans.add(hub, entries) if expand else entries


@router.get(REPOSITORY + "/treesize/{rev:segment}/{path:rest}")
def tree_size(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    rev: Annotated[str, Path()], path: Annotated[str, Path()],
) -> dict[str, Any]:  # fmt: skip
    """Bytes of all files in a folder."""
    repo = listing.opened(hub, caller, repo_type(kind), f"{owner}/{name}")
    return {"path": path.strip("/"), "size": listing.tree_size(repo, rev, path)}
