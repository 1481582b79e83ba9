"""Pull requests: a branch `refs/pr/NUMBER` that wants to become part of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pygit2

from samovar.server.db.tables import Discussion
from samovar.server.errors import BadRequestError, ConflictError, NotFoundError
from samovar.server.hub import Hub
from samovar.server.repos import commits
from samovar.server.repos.history import difference
from samovar.server.repos.names import printable
from samovar.server.repos.revisions import DEFAULT, branch_of, commit_of, target
from samovar.server.repos.writing import NewObjects
from samovar.server.services.access import Caller, RepoType, find, may_read_files
from samovar.server.services.changes import Changes, retried
from samovar.server.services.commits import Draft
from samovar.server.services.discussions import add, add_comment, events, get, happen, summary
from samovar.server.services.uploads import PULL, require_proposals, writable

# Commits of a pull request that its merge names.
NAMED = 50


@dataclass(frozen=True)
class Done:
    """A commit, and the pull request that was opened for it."""

    repository: str
    commit: str
    number: int | None = None


def create(
    hub: Hub, caller: Caller, type_: RepoType, full: str, title: str, description: str, head: str | None = None,
    base: str = f"refs/heads/{DEFAULT}", status: str = "draft",
) -> int:  # fmt: skip
    """Open a pull request from `head`, or from where the base is now; its number."""
    with hub.database.write() as session:
        repository = find(session, type_, full, caller)
        require_proposals(session, caller, repository)
        pull = add(session, caller, repository, title, description, True, base, status)
        if head is not None:
            happen(session, caller, pull, "commit", {"subject": title, "oid": head})
        reference = f"{PULL}{pull.number}"

    def plan(repo: pygit2.Repository) -> tuple[None, Changes]:
        return None, {reference: (None, head or target(repo, branch_of(repo, base)))}

    retried(hub, repository.id, plan)
    return pull.number


def commit(hub: Hub, caller: Caller, type_: RepoType, full: str, draft: Draft, revision: str, create_pr: bool) -> Done:
    """Finish a draft: as a commit to a branch, as the next of a pull request, or as a new pull request."""
    # Uploading took its time: rights are looked at again.
    writable(hub, caller, type_, full, revision, create_pr)
    number = None
    if create_pr:
        repo = hub.folders.open(draft.repository_id)
        base = branch_of(repo, revision)
        oid = draft.propose(repo, base, caller.name)
        number = create(hub, caller, type_, full, draft.title, draft.description, oid, base, "open")
    else:
        oid = draft.commit(revision, caller.name)
    with hub.database.read() as session:
        repository = find(session, type_, full, caller)
    if not create_pr and revision.startswith(PULL):
        note_commit(hub, caller, type_, full, int(revision.removeprefix(PULL)), draft.title, oid)
    return Done(repository.name, oid, number)


def note_commit(hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, title: str, oid: str) -> None:
    """Tell in a pull request that it has one commit more."""
    with hub.database.write() as session:
        found = get(session, caller, type_, full, number)
        happen(session, caller, found.discussion, "commit", {"subject": title, "oid": oid})


def details(hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, diff: bool) -> dict[str, Any]:
    """A discussion with its events; of a pull request also where it leads, what clashes, and its diff."""
    with hub.database.read() as session:
        found = get(session, caller, type_, full, number)
        discussion = found.discussion
        answer = {**summary(found.repository, discussion), "events": events(session, discussion)}
        # Who may not read the files sees no difference between them.
        diff = diff and may_read_files(session, caller, found.repository)
    if not discussion.is_pull_request:
        return answer
    changes = {"base": discussion.base}
    if discussion.merge_commit:
        changes["mergeCommitId"] = discussion.merge_commit
    answer |= {"changes": changes, "filesWithConflicts": []}
    repo = hub.folders.open(found.repository.id)
    ends = ends_of(repo, discussion)
    if ends is None or discussion.status == "merged":
        return answer
    base, head, common = ends
    answer["filesWithConflicts"] = conflicts(repo, base, head, common)
    if diff:
        answer["diff"] = difference(common.tree if common else None, head.tree)
    return answer


def ends_of(
    repo: pygit2.Repository, pull: Discussion
) -> tuple[pygit2.Commit, pygit2.Commit, pygit2.Commit | None] | None:
    """Heads of base and pull request, and where they parted; None if one is gone."""
    names = (target(repo, pull.base), target(repo, f"{PULL}{pull.number}"))
    base, head = (commit_of(repo, name) if name else None for name in names)
    if base is None or head is None:
        return None
    common = repo.merge_base(base.id, head.id)
    return base, head, commit_of(repo, str(common)) if common else None


def merged(
    repo: pygit2.Repository, base: pygit2.Commit, head: pygit2.Commit, common: pygit2.Commit | None
) -> pygit2.Index:
    """Both trees merged, in memory."""
    ancestor = common.tree_id if common else repo.TreeBuilder().write()
    return repo.merge_trees(ancestor, base.tree, head.tree)


def conflicts(
    repo: pygit2.Repository, base: pygit2.Commit, head: pygit2.Commit, common: pygit2.Commit | None
) -> list[str]:
    """Paths that both sides changed in different ways."""
    found = merged(repo, base, head, common).conflicts
    return sorted({side.path for three in found or () for side in three if side is not None})


def merge(hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, comment: str | None) -> str:
    """Merge a pull request, as one commit on its base; the commit. Raises `ConflictError`, `BadRequestError`."""
    with hub.database.read() as session:
        repository = find(session, type_, full, caller, "write")
        pull = get(session, caller, type_, full, number).discussion
    if not pull.is_pull_request or pull.status not in ("open", "draft"):
        raise BadRequestError(f"{number} is no pull request that could be merged: it is {pull.status}.")

    def plan(repo: pygit2.Repository) -> tuple[str, Changes]:
        ends = ends_of(repo, pull)
        if ends is None:
            raise NotFoundError("The pull request's branch, or its base, is gone.")
        base, head, common = ends
        if clash := conflicts(repo, base, head, common):
            raise ConflictError(
                f"Both sides changed {', '.join(map(printable, clash[:5]))}.", "Bring the pull request up to date."
            )
        tree = merged(repo, base, head, common).write_tree(repo)
        if tree == base.tree_id:
            return str(base.id), {}  # Merged already, by a process that was killed before it could say so.
        with NewObjects(hub.folders.path(repository.id)) as new:
            text = commits.message(f"{pull.title[:400]} (#{number})", named(repo, head, base))
            oid = commits.write(new, tree.raw, [str(base.id)], caller.name, text)
            new.flush(repo)
        return oid, {pull.base: (str(base.id), oid)}

    oid = retried(hub, repository.id, plan)
    with hub.database.write() as session:
        found = get(session, caller, type_, full, number)
        if comment and comment.strip():
            add_comment(session, caller, found.discussion, comment)
        found.discussion.status, found.discussion.merge_commit = "merged", oid
        happen(session, caller, found.discussion, "status-change", {"status": "merged"})
    return oid


def named(repo: pygit2.Repository, head: pygit2.Commit, base: pygit2.Commit) -> str:
    """The commits of a pull request, a line each."""
    walker = repo.walk(head.id)
    walker.hide(base.id)
    lines = [f"- {commits.title(one)[:200]} ({one.id})" for one, _ in zip(walker, range(NAMED), strict=False)]
    return "\n".join(lines)
