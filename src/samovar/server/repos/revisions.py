"""From what a client calls a revision (branch, tag, commit, `refs/pr/1`) to a commit."""

from __future__ import annotations

import re

import pygit2

from samovar.server.errors import RevisionNotFoundError
from samovar.server.repos.names import printable, valid_reference

HEX = re.compile(r"[0-9a-f]{4,40}")
DEFAULT = "main"
# References that may be named in full, besides branches and tags.
FAMILIES = ("refs/heads/", "refs/tags/", "refs/pr/", "refs/convert/")


def resolve(repo: pygit2.Repository, revision: str) -> pygit2.Commit:
    """The commit that a revision names. Branches come before tags, and both before shortened commits.

    Raises `RevisionNotFoundError`.
    """
    full = re.fullmatch(r"[0-9a-f]{40}", revision)
    commit = commit_of(repo, revision) if full else None
    if commit is None:
        commit = referenced(repo, revision)
    if commit is None and HEX.fullmatch(revision):
        commit = commit_of(repo, revision)
    if commit is None:
        raise RevisionNotFoundError(f"Invalid rev id: {printable(revision)}.")
    return commit


def referenced(repo: pygit2.Repository, revision: str) -> pygit2.Commit | None:
    """The commit of a branch, tag or reference of that name."""
    name = reference_of(repo, revision)
    return peel(repo.lookup_reference(name)) if name else None


def reference_of(repo: pygit2.Repository, revision: str) -> str | None:
    """The full name of the reference that a revision names, or None if it is not there."""
    if revision == "HEAD":
        revision = DEFAULT
    names = [revision] if revision.startswith(FAMILIES) else [f"refs/heads/{revision}", f"refs/tags/{revision}"]
    for name in names:
        if valid_reference(name) and repo.references.get(name) is not None:
            return name
    return None


def branch_of(repo: pygit2.Repository, revision: str) -> str:
    """The full name of the branch (or pull request) that a revision names, to commit to.

    Raises `RevisionNotFoundError`.
    """
    name = f"refs/heads/{DEFAULT if revision == 'HEAD' else revision}"
    if revision.startswith(("refs/heads/", "refs/pr/")):
        name = revision
    if not valid_reference(name) or repo.references.get(name) is None:
        raise RevisionNotFoundError(f"Invalid rev id: {printable(revision)}.", "Commit to a branch.")
    return name


def target(repo: pygit2.Repository, reference: str) -> str | None:
    """What a reference points to (40 hex digits), or None if it is not there."""
    found = repo.references.get(reference)
    return None if found is None else str(found.target)


def commit_of(repo: pygit2.Repository, prefix: str) -> pygit2.Commit | None:
    """The commit whose id begins so, if there is exactly one."""
    try:
        return peel(repo.get(prefix))
    except (KeyError, ValueError):
        return None


def peel(found: pygit2.Object | pygit2.Reference | None) -> pygit2.Commit | None:
    """The commit that a tag or reference leads to."""
    if found is None:
        return None
    try:
        return found.peel(pygit2.Commit)
    except (pygit2.InvalidSpecError, pygit2.GitError, KeyError, ValueError):
        return None
