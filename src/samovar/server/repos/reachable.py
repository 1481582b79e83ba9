"""The large files that anything in a repository refers to, at any revision of any branch, tag or pull request."""

from __future__ import annotations

import pygit2
from pygit2.enums import FileMode

from samovar.server.objects.pointers import LARGEST
from samovar.server.repos.blobs import SHORTEST, blobs


def large_files(repo: pygit2.Repository) -> set[str]:
    """Their SHA-256. Raises `pygit2.GitError`, `KeyError` or `ValueError` when something cannot be read."""
    found: set[str] = set()
    seen: set[bytes] = set()
    waiting: list[pygit2.Oid] = []
    for raw in repo.raw_listall_references():
        reference = repo.lookup_reference(raw.decode("utf-8", "surrogateescape")).resolve()
        waiting.append(pygit2.Oid(hex=str(reference.target)))
    while waiting:
        oid = waiting.pop()
        if oid.raw in seen:
            continue
        seen.add(oid.raw)
        thing = repo[oid]
        if isinstance(thing, pygit2.Commit):
            waiting += [thing.tree_id, *thing.parent_ids]
        elif isinstance(thing, pygit2.Tag):
            waiting.append(pygit2.Oid(hex=str(thing.target)))
        elif isinstance(thing, pygit2.Tree):
            for entry in thing:
                if entry.filemode == FileMode.TREE:
                    waiting.append(entry.id)
                elif entry.filemode != FileMode.COMMIT and entry.id.raw not in seen:  # No submodule's commit.
                    seen.add(entry.id.raw)
                    found |= pointed(repo, entry.id)
        elif isinstance(thing, pygit2.Blob):  # A tag may name one.
            found |= pointed(repo, oid)
    return found


def pointed(repo: pygit2.Repository, oid: pygit2.Oid) -> set[str]:
    """The large file that a blob is the pointer of, if it is one."""
    size = repo.odb.read_header(oid)[1]
    if not SHORTEST <= size <= LARGEST:
        return set()
    pointer = blobs.look_up(repo, oid.raw).pointer
    return {pointer.sha256} if pointer else set()
