"""Files and folders of a revision, as lists show them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import pygit2

from samovar.server.errors import EntryNotFoundError
from samovar.server.http.dates import iso
from samovar.server.hub import Hub
from samovar.server.repos import commits, history, trees
from samovar.server.repos.blobs import blobs
from samovar.server.repos.names import printable
from samovar.server.repos.revisions import resolve
from samovar.server.services.access import Caller, RepoType, find

# A page of a list; with the last commit of each entry, which costs more, a smaller one.
PAGE, EXPANDED_PAGE = 10_000, 1_000
Entry = tuple[str, int, bytes]


def opened(hub: Hub, caller: Caller, type_: RepoType, full: str) -> pygit2.Repository:
    """The git repository behind a name, for a caller who may see it."""
    with hub.database.read() as session:
        number = find(session, type_, full, caller).id
    return hub.folders.open(number)


def folder(
    repo: pygit2.Repository,
    revision: str,
    path: str,
    recursive: bool,
    expand: bool,
    after: str | None,
    limit: int | None,
) -> tuple[list[dict[str, Any]], str | None, str]:
    """One page of a folder: its entries, the position of the next page, the commit.

    Raises `RevisionNotFoundError`, `EntryNotFoundError`.
    """
    commit = resolve(repo, revision)
    path = path.strip("/")
    found = trees.entry(repo, commit.tree_id.raw, path) if encodable(path) else None
    if found is None or found[0] != trees.FOLDER:
        raise EntryNotFoundError(
            f"{printable(path)} does not exist on {printable(revision)}.", headers={"X-Repo-Commit": str(commit.id)}
        )
    entries = list(trees.walk(repo, found[1], path, recursive))
    # Folders first, as people read lists; a recursive one is in the order of paths, so that a position in it is a path.
    entries.sort(key=order if recursive else lambda entry: (entry[1] != trees.FOLDER, order(entry)))
    start = 0
    if after is not None:
        start = position(entries, after)
    size = min(limit or PAGE, EXPANDED_PAGE if expand else PAGE)
    page = entries[start : start + size]
    further = page[-1][0] if page and start + size < len(entries) else None
    return shown(repo, commit, page, expand), further, str(commit.id)


def order(entry: Entry) -> tuple[str, ...]:
    """By path, part by part."""
    return tuple(entry[0].split("/"))


def position(entries: Sequence[Entry], after: str) -> int:
    """Where a list goes on behind a path. A commit names its tree, so that the path is still there if it is one."""
    for number, entry in enumerate(entries):
        if entry[0] == after:
            return number + 1
    return bisect_right([order(entry) for entry in entries], tuple(after.split("/")))


def paths(repo: pygit2.Repository, revision: str, wanted: Sequence[str], expand: bool) -> list[dict[str, Any]]:
    """What lies at each path; paths at which nothing lies are left out. Raises `RevisionNotFoundError`."""
    commit = resolve(repo, revision)
    folders: dict[str, trees.Raw] = {}
    found: list[Entry] = []
    for one in dict.fromkeys(wanted):
        path = one.strip("/")
        if not path or not encodable(path):
            continue
        parent, _, name = path.rpartition("/")
        if parent not in folders:
            entry = trees.entry(repo, commit.tree_id.raw, parent)
            folders[parent] = trees.read(repo, entry[1]) if entry and entry[0] == trees.FOLDER else {}
        if name.encode() in folders[parent]:
            mode, oid = folders[parent][name.encode()]
            found.append((path, mode, oid))
    return shown(repo, commit, found, expand)


def encodable(path: str) -> bool:
    """Whether the path could be in a tree."""
    return "\0" not in path and "\ufffd" not in path and not any("\ud800" <= one <= "\udfff" for one in path)


def shown(
    repo: pygit2.Repository, commit: pygit2.Commit, entries: Sequence[Entry], expand: bool
) -> list[dict[str, Any]]:
    """Entries as clients read them; with `expand`, each with its last commit and the state of the scanner."""
    rows = [row(repo, *entry) for entry in entries]
    if expand:
        for one, last in zip(rows, last_commits(repo, commit, entries), strict=True):
            one["lastCommit"] = {"id": str(last.id), "title": commits.title(last), "date": iso(commits.moment(last))}
    return rows


def row(repo: pygit2.Repository, path: str, mode: int, oid: bytes) -> dict[str, Any]:
    """One entry."""
    if mode == trees.FOLDER:
        return {"type": "directory", "oid": oid.hex(), "size": 0, "path": path}
    if mode == trees.SUBMODULE:
        return {"type": "file", "oid": oid.hex(), "size": 0, "path": path}
    blob = blobs.look_up(repo, oid)
    if blob.pointer is None or mode == trees.LINK:
        return {"type": "file", "oid": oid.hex(), "size": blob.size, "path": path}
    large = {"oid": blob.pointer.sha256, "size": blob.pointer.size, "pointerSize": blob.size}
    return {"type": "file", "oid": oid.hex(), "size": blob.pointer.size, "lfs": large, "path": path}


def last_commits(repo: pygit2.Repository, commit: pygit2.Commit, entries: Sequence[Entry]) -> list[pygit2.Commit]:
    """The last commit of each entry: one walk through the history for each folder among them."""
    names: dict[str, set[bytes]] = {}
    for path, _, _ in entries:
        parent, _, name = path.rpartition("/")
        names.setdefault(parent, set()).add(name.encode())
    found = {parent: history.last_commits(repo, commit, parent, wanted) for parent, wanted in names.items()}
    return [found[path.rpartition("/")[0]][path.rpartition("/")[2].encode()] for path, _, _ in entries]


def tree_size(repo: pygit2.Repository, revision: str, path: str) -> int:
    """Bytes of all files in a folder, large ones included. Raises `RevisionNotFoundError`, `EntryNotFoundError`."""
    commit = resolve(repo, revision)
    path = path.strip("/")
    found = trees.entry(repo, commit.tree_id.raw, path) if encodable(path) else None
    if found is None:
        raise EntryNotFoundError(f"{printable(path)} does not exist on {printable(revision)}.")
    if found[0] != trees.FOLDER:
        return int(row(repo, path, *found)["size"])
    return sum(row(repo, *entry)["size"] for entry in trees.walk(repo, found[1], path))
