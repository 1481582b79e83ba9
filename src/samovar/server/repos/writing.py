"""New git objects, kept aside until they are written together: nobody sees half of them, and one file is synced
instead of thousands.

Objects wait as entries of a pack (gitformat-pack) in an unnamed file: a kill leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import pygit2
from pygit2.enums import ObjectType

from samovar.server.repos import program
from samovar.server.repos.quarantine import Quarantine

# Up to this many objects are written as single files: below, a pack costs more than it saves.
FEW = 10
PIECE = 2**18
SAMPLE = 2**15
TYPES = {"commit": ObjectType.COMMIT, "tree": ObjectType.TREE, "blob": ObjectType.BLOB, "tag": ObjectType.TAG}
# Weights and text of a few kilobytes shrink little at higher levels, which cost several times the time.
LEVEL = 1


@dataclass(slots=True)
class Waiting:
    """Where an object waits in the file."""

    kind: str
    offset: int
    length: int


class NewObjects:
    """Objects on their way into one repository. For one thread at a time; close it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with program.disk_errors():
            self.file: IO[bytes] = tempfile.TemporaryFile(dir=folder / "objects", buffering=PIECE)  # noqa: SIM115
        self.waiting: dict[bytes, Waiting] = {}
        self.end = 0

    def __enter__(self) -> NewObjects:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was not written."""
        with contextlib.suppress(OSError):  # On a full disk, what is still to be flushed does not fit either.
            self.file.close()

    def add(self, kind: str, data: bytes) -> bytes:
        """Take an object; its id, 20 bytes."""
        oid = hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).digest()
        if oid not in self.waiting:
            self.append(oid, kind, header(kind, len(data)) + zlib.compress(data, LEVEL))
        return oid

    def add_blob(self, file: BinaryIO | IO[bytes], size: int) -> bytes:
        """Take a file of `size` bytes, from its current position on, piece by piece; its id."""
        start = file.tell()
        sha1 = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        while piece := file.read(PIECE):
            sha1.update(piece)
        oid = sha1.digest()
        if oid in self.waiting:
            return oid
        file.seek(start)
        offset, packer = self.end, zlib.compressobj(self.level(file, size))
        self.write(header("blob", size))
        while piece := file.read(PIECE):
            self.write(packer.compress(piece))
        self.write(packer.flush())
        self.waiting[oid] = Waiting("blob", offset, self.end - offset)
        return oid

    def level(self, file: BinaryIO | IO[bytes], size: int) -> int:
        """How hard to try: what does not shrink at its beginning is stored as it is, at ten times the speed."""
        if size <= PIECE:
            return LEVEL
        start = file.tell()
        sample = file.read(SAMPLE)
        file.seek(start)
        return LEVEL if len(zlib.compress(sample, LEVEL)) < 0.95 * len(sample) else 0

    def append(self, oid: bytes, kind: str, entry: bytes) -> None:
        """Write one entry."""
        offset = self.end
        self.write(entry)
        self.waiting[oid] = Waiting(kind, offset, len(entry))

    def write(self, data: bytes) -> None:
        """Write to the file."""
        with program.disk_errors():
            self.file.seek(self.end)
            self.file.write(data)
        self.end += len(data)

    def read(self, oid: bytes) -> bytes:
        """The content of an object that waits. Raises `KeyError`."""
        one = self.waiting[oid]
        self.file.seek(one.offset)
        entry = self.file.read(one.length)
        begin = 0
        while entry[begin] & 0x80:
            begin += 1
        return zlib.decompress(entry[begin + 1 :])

    def flush(self, repo: pygit2.Repository, checked: bool = False) -> None:
        """Write all that wait to the repository; they are on the disk when this returns.

        With `checked`, git looks at every object first, as it always does at many. Raises `UnprocessableError`, which
        says what it found, and `StorageFullError`; then nothing was written.
        """
        if len(self.waiting) <= FEW and not checked:
            with program.disk_errors():
                for oid, one in self.waiting.items():
                    repo.odb.write(TYPES[one.kind], self.read(oid))
        else:
            self.write_pack()
        self.waiting.clear()
        self.file.seek(0)
        self.file.truncate()
        self.end = 0

    def write_pack(self) -> None:
        """Write them as one pack; git checks every object, and what they refer to, before it is seen."""
        start = b"PACK" + struct.pack(">II", 2, len(self.waiting))
        sha1 = hashlib.sha1(start, usedforsecurity=False)
        with program.disk_errors(), tempfile.TemporaryFile(dir=self.folder / "objects") as pack:
            pack.write(start)
            self.file.seek(0)
            while piece := self.file.read(PIECE):
                sha1.update(piece)
                pack.write(piece)
            pack.write(sha1.digest())
            pack.seek(0)
            # Git finds some faults only when the pack is already in place: so not among the others, until it is done.
            with Quarantine(self.folder) as quarantine:
                quarantine.unpack(pack, self.end + len(start) + 2 * sha1.digest_size)
                quarantine.release()


def header(kind: str, size: int) -> bytes:
    """The beginning of an entry in a pack: the type, and the size in groups of four and seven bits."""
    first = int(TYPES[kind]) << 4 | size & 15
    size >>= 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first = size & 0x7F
        size >>= 7
    out.append(first)
    return bytes(out)
