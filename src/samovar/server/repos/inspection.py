"""What a push brings, looked at before anything refers to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pygit2
from pygit2.enums import SortMode

from samovar.server.errors import BadRequestError, UnprocessableError
from samovar.server.repos import trees
from samovar.server.repos.blobs import Blob, describe
from samovar.server.repos.names import file_path, printable

# A symbolic link says no more than this (bytes).
LONGEST_LINK = 4096


@dataclass
class Inspection:
    """Looks at new commits, each against its first parent, so that only what changed is read."""

    repo: pygit2.Repository
    largest: int
    """Bytes of a file that git may hold."""
    pointers: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Large files that the commits refer to: SHA-256 → path and size."""
    seen: set[tuple[bytes, int]] = field(default_factory=set)
    known: dict[bytes, Blob] = field(default_factory=dict)

    def look(self, new: Iterable[str], known: Iterable[str]) -> None:
        """Look at all commits that `new` leads to and `known` does not. Raises `UnprocessableError`."""
        walker = self.repo.walk(None, SortMode.TOPOLOGICAL | SortMode.REVERSE)
        for oid in new:
            walker.push(oid)
        for oid in known:
            walker.hide(oid)
        for commit in walker:
            parent = commit.parents[0].tree_id.raw if commit.parent_ids else None
            self.folder(commit.tree_id.raw, parent, "", 0)

    def folder(self, tree: bytes, before: bytes | None, path: str, depth: int) -> None:
        """Look at what changed in a folder. The depth matters: a link may lead up only so far."""
        if tree == before or (tree, depth) in self.seen:
            return
        self.seen.add((tree, depth))
        older = trees.read(self.repo, before) if before else {}
        for name, (mode, oid) in trees.read(self.repo, tree).items():
            was = older.get(name)
            if was == (mode, oid):
                continue
            full = self.path(path, name)
            if mode == trees.FOLDER:
                self.folder(oid, was[1] if was and was[0] == trees.FOLDER else None, full, depth + 1)
            else:
                self.file(full, mode, oid, depth)

    def path(self, folder: str, name: bytes) -> str:
        """The path of an entry, if it may be one."""
        try:
            return file_path(f"{folder}/{name.decode()}" if folder else name.decode())
        except UnicodeDecodeError as error:
            raise UnprocessableError(f"The name {name!r} is no UTF-8.") from error
        except BadRequestError as error:
            raise UnprocessableError(error.cause, error.next_step) from error

    def file(self, path: str, mode: int, oid: bytes, depth: int) -> None:
        """Look at a file."""
        if mode == trees.SUBMODULE:
            raise UnprocessableError(f"{printable(path)} is a submodule.", "Submodules are not kept here: remove it.")
        if mode not in (trees.FILE, trees.PROGRAM, trees.LINK):
            raise UnprocessableError(f"{printable(path)} has the mode {mode:o}, which no file should have.")
        blob = self.known.get(oid)
        if blob is None:
            blob = self.known[oid] = describe(self.repo, oid)
        if mode == trees.LINK:
            self.link(path, oid, blob.size, depth)
        elif blob.size > self.largest:
            raise UnprocessableError(
                f"{printable(path)} has {blob.size:,} bytes; files above {self.largest:,} bytes are for git-lfs.",
                f"Run `git lfs migrate import --include={printable(path)} --everything` and push again.",
            )
        elif blob.pointer is not None:
            self.pointers.setdefault(blob.pointer.sha256, (path, blob.pointer.size))

    def link(self, path: str, oid: bytes, size: int, depth: int) -> None:
        """Look at where a symbolic link leads."""
        target = self.repo.odb.read(pygit2.Oid(raw=oid))[1] if size <= LONGEST_LINK else b""
        level = depth
        for part in target.split(b"/"):
            level += -1 if part == b".." else 0 if part in (b"", b".") else 1
            if level < 0:
                break
        if not target or target.startswith(b"/") or level < 0 or b"\0" in target or b"\\" in target:
            raise UnprocessableError(f"{printable(path)} is a link that leads out of the repository.", "Remove it.")
