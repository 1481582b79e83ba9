"""What lists need to know of a blob: its size, and the large file that it points to. Never changes, so it is kept."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

import pygit2

from samovar.server.objects.pointers import LARGEST, Pointer, parse

# Blobs that are remembered; about 200 bytes each.
REMEMBERED = 200_000
# No pointer is shorter: its hash alone takes more.
SHORTEST = 100


class Blob(NamedTuple):
    """Bytes of the blob in git, and the pointer if it is one."""

    size: int
    pointer: Pointer | None


def describe(repo: pygit2.Repository, oid: bytes) -> Blob:
    """What a blob is. Only small ones are read whole."""
    name = pygit2.Oid(raw=oid)
    size = repo.odb.read_header(name)[1]
    return Blob(size, parse(repo.odb.read(name)[1]) if SHORTEST <= size <= LARGEST else None)


class Blobs:
    """Looks blobs up and remembers the last ones, for all threads."""

    def __init__(self) -> None:
        self.known: OrderedDict[bytes, Blob] = OrderedDict()
        self.lock = Lock()

    def look_up(self, repo: pygit2.Repository, oid: bytes) -> Blob:
        """What a blob is."""
        with self.lock:
            if known := self.known.get(oid):
                self.known.move_to_end(oid)
                return known
        blob = describe(repo, oid)
        with self.lock:
            self.known[oid] = blob
            if len(self.known) > REMEMBERED:
                self.known.popitem(last=False)
        return blob


blobs = Blobs()
