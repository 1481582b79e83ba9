"""Branches and tags: list, make, delete, squash."""

from __future__ import annotations

from typing import Any

import pygit2

from samovar.server.errors import BadRequestError, ConflictError, RevisionNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos import commits
from samovar.server.repos.names import printable, reference_name
from samovar.server.repos.revisions import DEFAULT, branch_of, commit_of, peel, resolve, target
from samovar.server.repos.writing import NewObjects
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.changes import Changes, retried
from samovar.server.services.listing import opened

KINDS = {"refs/heads/": "branches", "refs/tags/": "tags", "refs/convert/": "converts", "refs/pr/": "pullRequests"}


def listed(hub: Hub, caller: Caller, type_: RepoType, full: str, pull_requests: bool) -> dict[str, Any]:
    """All references by kind: `{name, ref, targetCommit}` each, the default branch first."""
    repo = opened(hub, caller, type_, full)
    found: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS.values()}
    for name in sorted(repo.references, key=lambda name: (name != f"refs/heads/{DEFAULT}", name)):
        for prefix, kind in KINDS.items():
            if name.startswith(prefix):
                commit = peel(repo.references.get(name))
                if commit is not None:
                    short = name.removeprefix("refs/" if kind == "pullRequests" else prefix)
                    found[kind].append({"name": short, "ref": name, "targetCommit": str(commit.id)})
    if not pull_requests:
        del found["pullRequests"]
    return found


def create_branch(hub: Hub, caller: Caller, type_: RepoType, full: str, name: str, start: str | None) -> None:
    """Make a branch at a revision. Raises `ConflictError`, `RevisionNotFoundError`."""
    number = writable(hub, caller, type_, full)
    reference = f"refs/heads/{reference_name(name)}"

    def plan(repo: pygit2.Repository) -> tuple[None, Changes]:
        commit = resolve(repo, start or DEFAULT)
        if target(repo, reference) is not None:
            raise ConflictError(f"Reference already exists: {name}.", "Choose another name, or delete it first.")
        return None, {reference: (None, str(commit.id))}

    retried(hub, number, plan)


def create_tag(
    hub: Hub, caller: Caller, type_: RepoType, full: str, name: str, revision: str, message: str | None
) -> None:
    """Make a tag at a revision; with a message, an annotated one. Raises `ConflictError`, `RevisionNotFoundError`."""
    number = writable(hub, caller, type_, full)
    reference = f"refs/tags/{reference_name(name, 'tag')}"
    text = commits.message(*message.partition("\n")[::2]) if message and message.strip() else None

    def plan(repo: pygit2.Repository) -> tuple[None, Changes]:
        oid = str(resolve(repo, revision).id)
        if target(repo, reference) is not None:
            raise ConflictError(f"Tag reference exists already: {name}.", "Choose another name, or delete it first.")
        if text is not None:
            with NewObjects(hub.folders.path(number)) as new:
                oid = commits.write_tag(new, oid, name, caller.name, text)
                new.flush(repo)
        return None, {reference: (None, oid)}

    retried(hub, number, plan)


def delete(hub: Hub, caller: Caller, type_: RepoType, full: str, family: str, name: str) -> None:
    """Delete a branch (`refs/heads/`) or tag (`refs/tags/`). Raises `RevisionNotFoundError`, `BadRequestError`."""
    number = writable(hub, caller, type_, full)
    reference = f"{family}{reference_name(name)}"
    if reference == f"refs/heads/{DEFAULT}":
        raise BadRequestError(f"{DEFAULT} is the default branch: it cannot be deleted.")

    def plan(repo: pygit2.Repository) -> tuple[None, Changes]:
        there = target(repo, reference)
        if there is None:
            raise RevisionNotFoundError(f"There is no reference {printable(name)}.")
        return None, {reference: (there, None)}

    retried(hub, number, plan)


def squash(hub: Hub, caller: Caller, type_: RepoType, full: str, branch: str, message: str) -> str:
    """Replace a branch by one commit with the same files; that commit. Raises `RevisionNotFoundError`."""
    number = writable(hub, caller, type_, full)
    text = commits.message(*message.partition("\n")[::2])

    def plan(repo: pygit2.Repository) -> tuple[str, Changes]:
        reference = branch_of(repo, branch)
        head = target(repo, reference)
        commit = commit_of(repo, head) if head else None
        if commit is None:
            raise RevisionNotFoundError(f"Invalid rev id: {printable(branch)}.")
        with NewObjects(hub.folders.path(number)) as new:
            oid = commits.write(new, commit.tree_id.raw, [], caller.name, text)
            new.flush(repo)
        return oid, {reference: (head, oid)}

    return retried(hub, number, plan)


def writable(hub: Hub, caller: Caller, type_: RepoType, full: str) -> int:
    """The number of a repository that the caller may change."""
    with hub.database.read() as session:
        return find(session, type_, full, caller, "write").id
