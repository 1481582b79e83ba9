"""Git trees read and written without a working copy: only folders that something changes in are touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pygit2

from samovar.server.errors import BadRequestError, EntryNotFoundError
from samovar.server.repos.names import printable
from samovar.server.repos.writing import NewObjects

FOLDER, FILE, PROGRAM, LINK, SUBMODULE = 0o040000, 0o100644, 0o100755, 0o120000, 0o160000
Raw = dict[bytes, tuple[int, bytes]]
"""A tree: name → mode and id of 20 bytes."""


def parse(data: bytes) -> Raw:
    """A tree from its bytes: mode in octal, a space, the name, a zero byte, 20 bytes of id, and so on."""
    entries: Raw = {}
    position = 0
    while position < len(data):
        space = data.index(b" ", position)
        end = data.index(b"\0", space)
        entries[data[space + 1 : end]] = (int(data[position:space], 8), data[end + 1 : end + 21])
        position = end + 21
    return entries


def serialise(entries: Raw) -> bytes:
    """The bytes of a tree. Git sorts folders as if their names ended with a slash."""
    names = sorted(entries, key=lambda name: name + b"/" if entries[name][0] == FOLDER else name)
    return b"".join(b"%o %s\0%s" % (entries[name][0], name, entries[name][1]) for name in names)


def read(repo: pygit2.Repository, oid: bytes) -> Raw:
    """A tree of the repository."""
    return parse(repo.odb.read(pygit2.Oid(raw=oid))[1])


def entry(repo: pygit2.Repository, tree: bytes, path: str) -> tuple[int, bytes] | None:
    """Mode and id of what lies at a path, or None. The empty path is the tree itself."""
    found = (FOLDER, tree)
    for name in path.encode().split(b"/") if path else []:
        if found[0] != FOLDER:
            return None
        below = read(repo, found[1]).get(name)
        if below is None:
            return None
        found = below
    return found


def walk(
    repo: pygit2.Repository, tree: bytes, path: str = "", recursive: bool = True
) -> Iterator[tuple[str, int, bytes]]:
    """Path, mode and id of everything in a folder: in git's order, a folder before what lies in it."""
    prefix = f"{path}/" if path else ""
    for name, (mode, oid) in read(repo, tree).items():
        full = prefix + name.decode(errors="replace")
        yield full, mode, oid
        if recursive and mode == FOLDER:
            yield from walk(repo, oid, full)


@dataclass
class Folder:
    """A folder that is being changed: what it held, and the folders below that were opened."""

    entries: Raw = field(default_factory=dict)
    opened: dict[bytes, Folder] = field(default_factory=dict)


class TreeEditor:
    """Changes a tree, one operation after the other."""

    def __init__(self, repo: pygit2.Repository, tree: bytes | None) -> None:
        self.repo = repo
        self.root = Folder(read(repo, tree) if tree else {})

    def folder(self, parts: list[bytes], make: bool) -> Folder | None:
        """The folder, opened; made on the way if `make`. None if there is none. Raises `BadRequestError` for a file."""
        here = self.root
        for depth, name in enumerate(parts):
            below = here.opened.get(name)
            if below is None:
                mode, oid = here.entries.get(name, (0, b""))
                if mode and mode != FOLDER:
                    if not make:
                        return None
                    path = b"/".join(parts[: depth + 1]).decode()
                    raise BadRequestError(
                        f"{printable(path)} is a file, so nothing can lie below it.", "Delete it first."
                    )
                if not mode and not make:
                    return None
                below = here.opened[name] = Folder(read(self.repo, oid) if mode else {})
            here = below
        return here

    def put(self, path: str, oid: bytes, mode: int = FILE) -> None:
        """Add or replace a file. Raises `BadRequestError` where a folder is in the way."""
        *parts, name = path.encode().split(b"/")
        folder = self.folder(parts, make=True)
        assert folder is not None
        before = folder.entries.get(name, (0, b""))[0]
        if before == FOLDER or (name in folder.opened and not empty(folder.opened[name])):
            raise BadRequestError(f"{printable(path)} is a folder, so no file can be called so.", "Delete it first.")
        folder.opened.pop(name, None)
        # A file that may be executed stays so.
        folder.entries[name] = (PROGRAM if before == PROGRAM and mode == FILE else mode, oid)

    def delete(self, path: str, folder: bool) -> None:
        """Delete a file or a folder. Raises `EntryNotFoundError` if it is not there."""
        *parts, name = path.encode().split(b"/")
        parent = self.folder(parts, make=False)
        mode = parent.entries.get(name, (0, b""))[0] if parent else 0
        opened = parent.opened.get(name) if parent else None
        is_folder = mode == FOLDER or (opened is not None and not empty(opened))
        if parent is None or not (is_folder if folder else mode and not is_folder):
            what = "folder" if folder else "file"
            raise EntryNotFoundError(f"A {what} with this name doesn't exist: {printable(path)}.")
        parent.entries.pop(name, None)
        parent.opened.pop(name, None)

    def find(self, path: str) -> tuple[int, bytes] | None:
        """Mode and id of a file as the tree stands now."""
        *parts, name = path.encode().split(b"/")
        parent = self.folder(parts, make=False)
        return parent.entries.get(name) if parent and name not in parent.opened else None

    def write(self, new: NewObjects) -> bytes:
        """Write the changed trees; the id of the root."""
        return write(self.root, lambda data: new.add("tree", data))


def empty(folder: Folder) -> bool:
    """Whether nothing is left in an opened folder."""
    return all(name in folder.opened for name in folder.entries) and all(map(empty, folder.opened.values()))


def write(folder: Folder, add: Callable[[bytes], bytes]) -> bytes:
    """Write a folder after those below it; its id. Git knows no empty folders: they disappear."""
    for name, below in folder.opened.items():
        if empty(below):
            folder.entries.pop(name, None)
        else:
            folder.entries[name] = (FOLDER, write(below, add))
    return add(serialise(folder.entries))
