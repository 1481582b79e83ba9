"""A file of a repository at a revision, for whoever may have it."""

from __future__ import annotations

from dataclasses import dataclass

import pygit2
from sqlalchemy.orm import Session

from samovar.server.db.tables import Repository, RepositoryObject
from samovar.server.errors import EntryNotFoundError
from samovar.server.hub import Hub
from samovar.server.objects.pointers import LARGEST, parse
from samovar.server.repos.names import printable
from samovar.server.repos.revisions import resolve
from samovar.server.services.access import Caller, find, require_files


@dataclass(frozen=True)
class File:
    """Where a file's bytes are: `data` when git holds them, `sha256` when they are a large file."""

    repository: Repository
    commit: str
    path: str
    blob: str
    size: int
    data: bytes
    sha256: str | None = None

    @property
    def etag(self) -> str:
        """What clients name their copy by: the SHA-256 of a large file, git's id of any other."""
        return self.sha256 or self.blob


def find_file(
    hub: Hub, session: Session, type_: str, name: str, caller: Caller, revision: str, path: str, raw: bool = False
) -> File:
    """The file, for sending. With `raw`, a large file's pointer is the file.

    Raises what `access.find` does, `GatedRepositoryError`, `RevisionNotFoundError`, and `EntryNotFoundError`, which
    tells the commit in a header, so that clients remember what it does not have.
    """
    repository = find(session, type_, name, caller)
    require_files(session, caller, repository)
    git = hub.folders.open(repository.id)
    found = resolve(git, revision)
    commit = str(found.id)
    missing = EntryNotFoundError(
        f"Entry not found: {printable(path)} at {revision}.", headers={"X-Repo-Commit": commit}
    )
    try:
        blob = found.tree[path] if path else None
    except (KeyError, ValueError):
        raise missing from None
    if not isinstance(blob, pygit2.Blob):
        raise missing
    if not raw and blob.size <= LARGEST:
        pointer = parse(blob.data)
        # A pointer is a large file only where that file was brought: else anybody could write one for any hash.
        if pointer and session.get(RepositoryObject, (repository.id, pointer.sha256)):
            return File(repository, commit, path, str(blob.id), pointer.size, b"", pointer.sha256)
    return File(repository, commit, path, str(blob.id), blob.size, blob.data)
