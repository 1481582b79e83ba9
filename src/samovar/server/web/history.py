"""The past of a repository: commits of a branch, of a folder or a file, and what one commit changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from samovar.server.api.context import HubOf
from samovar.server.hub import Hub
from samovar.server.repos import commits as git_commits
from samovar.server.repos.differences import changes
from samovar.server.repos.history import log, log_of
from samovar.server.repos.revisions import DEFAULT, referenced, resolve
from samovar.server.services.access import Caller, RepoType, require_files
from samovar.server.web.files import KINDS, described, opened, trail
from samovar.server.web.site import BrowserOf, new_router, page

router = new_router()
COMMITS = 50


def history(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str, p: int
) -> Response:  # fmt: skip
    """Commits, the newest first; with a path, those that changed what lies there."""
    at = opened(hub, caller, type_, full, revision)
    found: Iterable[Any] = []
    if not (revision == DEFAULT and referenced(at.git, DEFAULT) is None):
        start, skip = resolve(at.git, revision), p * COMMITS
        found = log_of(at.git, start, path, skip, COMMITS + 1) if path else log(at.git, start, skip, COMMITS + 1)
    listed = [described(one) for one in found]
    return page(
        request, "commits", f"{full} · {path or revision}", caller, **at.frame, commits=listed[:COMMITS], p=p,
        more=len(listed) > COMMITS, path=path, trail=trail(path),
    )  # fmt: skip


def commit(request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str) -> Response:
    """What one commit changed, for whoever may read the files."""
    at = opened(hub, caller, type_, full, revision)
    with hub.database.read() as session:
        require_files(session, caller, at.repository)
    found = resolve(at.git, revision)
    parent = found.parents[0] if found.parents else None
    return page(
        request, "commit", f"{full} · {str(found.id)[:7]}", caller, **at.frame, commit=described(found),
        body=git_commits.body(found), parent=str(parent.id) if parent else "",
        changes=changes(at.git, parent.tree if parent else None, found.tree), after=str(found.id),
    )  # fmt: skip


def add_routes(prefix: str, type_: RepoType) -> None:
    """The pages of one kind of repository; models have no prefix."""
    here = prefix + "/{owner:owner}/{name:segment}"

    @router.get(here + "/commits/{revision:segment}")
    @router.get(here + "/commits/{revision:segment}/{path:rest}")
    def show_history(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str, path: str = "",
        p: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> Response:  # fmt: skip
        return history(request, hub, caller, type_, f"{owner}/{name}", revision, path.strip("/"), p)

    @router.get(here + "/commit/{revision:segment}")
    def show_commit(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str) -> Response:
        return commit(request, hub, caller, type_, f"{owner}/{name}", revision)


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
