"""The past: commits of a branch, the last commit of each entry of a folder, differences."""

from __future__ import annotations

from collections.abc import Iterator

import pygit2
from pygit2.enums import SortMode

from samovar.server.errors import TooLargeError
from samovar.server.repos import trees

# A difference is shown up to this many characters and files.
LONGEST = 5_000_000
MOST_FILES = 3000
# Commits that are looked through for the last one of an entry; those that did not change for longer get the oldest.
DEEPEST = 20_000


def log(repo: pygit2.Repository, start: pygit2.Commit, skip: int, count: int) -> Iterator[pygit2.Commit]:
    """Commits from `start` back, children before parents."""
    walker = repo.walk(start.id, SortMode.TOPOLOGICAL | SortMode.TIME if skip + count < DEEPEST else SortMode.TIME)
    for number, commit in enumerate(walker):
        if number >= skip + count:
            return
        if number >= skip:
            yield commit


def log_of(
    repo: pygit2.Repository, start: pygit2.Commit, path: str, skip: int, count: int
) -> Iterator[pygit2.Commit]:  # fmt: skip
    """Commits that changed what lies at a path: different there from each of their parents. The newest first."""
    known: dict[pygit2.Oid, tuple[int, bytes] | None] = {}

    def at(commit: pygit2.Commit) -> tuple[int, bytes] | None:
        if commit.tree_id not in known:
            known[commit.tree_id] = trees.entry(repo, commit.tree_id.raw, path)
        return known[commit.tree_id]

    found = 0
    for _, commit in zip(range(DEEPEST), repo.walk(start.id, SortMode.TOPOLOGICAL | SortMode.TIME), strict=False):
        here = at(commit)
        if any(at(parent) == here for parent in commit.parents) or (here is None and not commit.parents):
            continue
        found += 1
        if found > skip:
            yield commit
        if found >= skip + count:
            return


def last_commits(
    repo: pygit2.Repository, start: pygit2.Commit, folder: str, names: set[bytes]
) -> dict[bytes, pygit2.Commit]:
    """The last commit that changed each entry of a folder.

    Walks along first parents as `git log --first-parent` does, and compares one tree with the next: the folder itself
    only where its id differs.
    """
    found: dict[bytes, pygit2.Commit] = {}
    wanted, commit = set(names), start
    here = folder_of(repo, commit, folder)
    entries = trees.read(repo, here) if here else {}
    for _ in range(DEEPEST):
        if not wanted:
            break
        parent = commit.parents[0] if commit.parents else None
        before = folder_of(repo, parent, folder) if parent else None
        if before != here:
            older = trees.read(repo, before) if before else {}
            for name in [name for name in wanted if older.get(name) != entries.get(name)]:
                found[name] = commit
                wanted.discard(name)
            entries, here = older, before
        if parent is None:
            break
        commit = parent
    found.update(dict.fromkeys(wanted, commit))
    return found


def folder_of(repo: pygit2.Repository, commit: pygit2.Commit, folder: str) -> bytes | None:
    """The id of a folder at a commit."""
    found = trees.entry(repo, commit.tree_id.raw, folder)
    return found[1] if found and found[0] == trees.FOLDER else None


def difference(before: pygit2.Tree | None, after: pygit2.Tree) -> str:
    """A unified diff. Raises `TooLargeError` when nobody would read it."""
    diff = after.diff_to_tree(swap=True) if before is None else before.diff_to_tree(after)
    if len(diff) > MOST_FILES:
        raise TooLargeError(f"The difference has {len(diff):,} files.", "Clone the repository and look there.")
    parts, length = [], 0
    for patch in diff:
        piece = patch.data.decode(errors="replace") if patch else ""
        length += len(piece)
        if length > LONGEST:
            raise TooLargeError("The difference is too long.", "Clone the repository and look there.")
        parts.append(piece)
    return "".join(parts)
