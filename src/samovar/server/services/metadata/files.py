"""The files of one commit: paths and sizes, small files read whole, the beginnings of large ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pygit2
from sqlalchemy import select

from samovar.server.db.tables import RepositoryObject
from samovar.server.hub import Hub
from samovar.server.objects.pointers import LARGEST, parse

# Hashes asked for in one question to the database.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class File:
    """One file of a commit."""

    path: str
    size: int
    """Bytes of the content; for a large file not of its pointer."""
    blob: str
    """The hash of git's blob."""
    sha256: str | None = None
    """Of a large file."""
    pointer_size: int | None = None

    def row(self) -> list[object]:
        """As it is kept in the database."""
        return [self.path, self.size, self.blob, self.sha256, self.pointer_size]


class Snapshot:
    """The files of one commit of a repository."""

    def __init__(self, hub: Hub, repository_id: int, git: pygit2.Repository, commit: pygit2.Commit) -> None:
        self.objects, self.git = hub.objects, git
        self.commit = str(commit.id)
        self.time: int = commit.commit_time
        """Seconds since 1970."""
        files = list(walk(git, commit.tree))
        brought = hashes_of(hub, repository_id, {file.sha256 for file in files if file.sha256})
        self.files = {file.path: file for file in (settled(file, brought) for file in files)}

    def read(self, path: str, limit: int) -> bytes | None:
        """A whole file, or None if there is none, it is larger than `limit` bytes, or its bytes are not here."""
        file = self.files.get(path)
        return None if file is None or file.size > limit else self.begin(file, 0, limit)

    def begin(self, file: File, start: int, count: int) -> bytes | None:
        """Bytes `start` to `start + count` of a file, fewer at its end; None if they are not here."""
        if file.sha256 is None:
            blob = self.git[file.blob]
            return bytes(memoryview(blob)[start : start + count]) if isinstance(blob, pygit2.Blob) else None
        try:
            return b"".join(self.objects.read(file.sha256, start, count))
        except FileNotFoundError:
            return None


def walk(git: pygit2.Repository, tree: pygit2.Tree) -> Iterator[File]:
    """All files below a tree, in git's order. Names that are no UTF-8 show U+FFFD."""
    database = git.odb
    # Folders nested deeper than Python can recurse are legal in git.
    stack: list[tuple[str, pygit2.Object]] = [("", tree)]
    while stack:
        path, entry = stack.pop()
        if isinstance(entry, pygit2.Tree):
            prefix = f"{path}/" if path else ""
            stack.extend(reversed([(prefix + (one.raw_name or b"").decode(errors="replace"), one) for one in entry]))
        elif isinstance(entry, pygit2.Blob):
            _, size = database.read_header(entry.id)
            pointer = parse(entry.data) if size <= LARGEST else None
            if pointer is None:
                yield File(path, size, str(entry.id))
            else:
                yield File(path, pointer.size, str(entry.id), pointer.sha256, size)


def hashes_of(hub: Hub, repository_id: int, hashes: set[str]) -> set[str]:
    """Those of the hashes whose files were brought to the repository."""
    brought: set[str] = set()
    remaining = sorted(hashes)
    with hub.database.read() as session:
        for start in range(0, len(remaining), AT_ONCE):
            brought.update(
                session.scalars(
                    select(RepositoryObject.sha256).where(
                        RepositoryObject.repository_id == repository_id,
                        RepositoryObject.sha256.in_(remaining[start : start + AT_ONCE]),
                    )
                )
            )
    return brought


def settled(file: File, brought: Iterable[str]) -> File:
    """The file; a pointer to what was never brought here is just a text, else anybody could write one for any hash."""
    if file.sha256 is None or file.sha256 in brought:
        return file
    return replace(file, size=file.pointer_size or 0, sha256=None, pointer_size=None)
