"""A shard: of which pieces of xorbs files are made (https://huggingface.co/docs/xet/shard)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from samovar.server.errors import BadRequestError
from samovar.server.objects.xet.hashes import to_hex

TAG = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
VERSION = 2
RECORD = 48
LARGEST = 64 * 2**20
BOOKEND = b"\xff" * 32
VERIFIED, DESCRIBED = 1 << 31, 1 << 30


class ShardError(BadRequestError):
    """The bytes are no shard that a file can be built from."""


class Term(NamedTuple):
    """Chunks `start` to `end` (exclusive) of a xorb, which are `length` bytes."""

    xorb: str
    start: int
    end: int
    length: int


class ShardFile(NamedTuple):
    """A file: its SHA-256 and its pieces in order."""

    sha256: str
    terms: list[Term]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(term.length for term in self.terms)


def read_shard(body: bytes) -> list[ShardFile]:
    """The files that a shard describes. Raises `ShardError`."""
    if len(body) < 2 * RECORD or not body.startswith(TAG):
        raise ShardError("These bytes are no shard.")
    version = struct.unpack_from("<Q", body, 32)[0]
    if version != VERSION:
        raise ShardError(f"The shard has version {version}.", f"Version {VERSION} is known.")
    files: list[ShardFile] = []
    at = RECORD
    while True:
        header = record(body, at)
        at += RECORD
        if header[:32] == BOOKEND:
            return files
        flags, count = struct.unpack_from("<II", header, 32)
        records = count * (2 if flags & VERIFIED else 1) + (1 if flags & DESCRIBED else 0)
        if records * RECORD > len(body) - at:
            raise ShardError(f"The shard announces {records} records and ends before.")
        if not flags & DESCRIBED:
            raise ShardError("A file of the shard has no SHA-256.", "Files for git repositories need one.")
        terms = [read_term(body[at + RECORD * number : at + RECORD * (number + 1)]) for number in range(count)]
        at += RECORD * records
        # Kept as hashes of the protocol are: four little-endian numbers.
        files.append(ShardFile(to_hex(body[at - RECORD : at - RECORD + 32]), terms))


def record(body: bytes, at: int) -> bytes:
    """The record at a place. Raises `ShardError`."""
    if at + RECORD > len(body):
        raise ShardError("The shard ends before its last record.")
    return body[at : at + RECORD]


def read_term(entry: bytes) -> Term:
    """A piece. Raises `ShardError`."""
    _, length, start, end = struct.unpack_from("<IIII", entry, 32)
    if not start < end or length == 0:
        raise ShardError("A piece of a file is empty.")
    return Term(to_hex(entry[:32]), start, end, length)
