"""The history of a repository, for whoever may see it."""

from __future__ import annotations

import html
from typing import Any

import pygit2

from samovar.server.errors import BadRequestError
from samovar.server.http.dates import iso
from samovar.server.hub import Hub
from samovar.server.repos import commits
from samovar.server.repos import history as git
from samovar.server.repos.revisions import commit_of, resolve
from samovar.server.services.access import Caller, RepoType, find, require_files
from samovar.server.services.listing import opened


def history(
    hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, page: int, limit: int, formatted: bool
) -> tuple[list[dict[str, Any]], str]:
    """One page of commits, and one more if there is a further page; the commit that it begins from."""
    repo = opened(hub, caller, type_, full)
    start = resolve(repo, revision)
    return [described(one, formatted) for one in git.log(repo, start, page * limit, limit + 1)], str(start.id)


def described(commit: pygit2.Commit, formatted: bool) -> dict[str, Any]:
    """A commit as clients read it. `formatted` is HTML."""
    title, message = commits.title(commit), commits.body(commit)
    shown: dict[str, Any] = {
        "id": str(commit.id),
        "title": title,
        "message": message,
        "date": iso(commits.moment(commit)),
        "authors": [{"user": commits.author(commit)}],
    }
    if formatted:
        shown["formatted"] = {"title": html.escape(title), "message": html.escape(message)}
    return shown


def compare(hub: Hub, caller: Caller, type_: RepoType, full: str, revisions: str) -> str:
    """A unified diff of `a..b` or `a...b`. Raises `BadRequestError`, `RevisionNotFoundError`, `TooLargeError`."""
    with hub.database.read() as session:
        repository = find(session, type_, full, caller)
        require_files(session, caller, repository)
    repo = hub.folders.open(repository.id)
    dots = "..." if "..." in revisions else ".."
    before, found, after = revisions.partition(dots)
    if not found or not before or not after:
        raise BadRequestError("Two revisions are needed.", "Write them as a..b.")
    first, second = resolve(repo, before), resolve(repo, after)
    if dots == "...":
        common = repo.merge_base(first.id, second.id)
        parted = commit_of(repo, str(common)) if common else None
        return git.difference(parted.tree if parted else None, second.tree)
    return git.difference(first.tree, second.tree)
