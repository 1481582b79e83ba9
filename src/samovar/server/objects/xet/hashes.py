"""Hashes of chunks and xorbs: BLAKE3 under the protocol's keys, and a tree whose shape follows from the hashes
(https://huggingface.co/docs/xet/hashing)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from blake3 import blake3

CHUNK_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
SIZE = 32
# Children of a node in the mean; at most 2 · MEAN + 1.
MEAN = 4


def chunk_hash(data: bytes | memoryview) -> bytes:
    """The hash of a chunk's bytes."""
    return blake3(data, key=CHUNK_KEY).digest()


def to_hex(digest: bytes) -> str:
    """As hashes are written in addresses: four little-endian numbers of 64 bits each."""
    return "".join(f"{one:016x}" for one in struct.unpack("<4Q", digest))


def from_hex(text: str) -> bytes:
    """The 32 bytes of a written hash. Raises `ValueError`."""
    if len(text) != 2 * SIZE or not text.isascii() or not all(one in "0123456789abcdef" for one in text):
        raise ValueError("A hash has 64 hexadecimal digits.")
    return struct.pack("<4Q", *(int(text[at : at + 16], 16) for at in range(0, 64, 16)))


def xorb_hash(chunks: Sequence[tuple[bytes, int]]) -> bytes:
    """The hash of a xorb from hash and size of each of its chunks: the root of the tree."""
    level = list(chunks)
    while len(level) > 1:
        above, at = [], 0
        while at < len(level):
            end = at + children(level[at : at + 2 * MEAN + 1])
            above.append(node(level[at:end]))
            at = end
        level = above
    return level[0][0] if level else bytes(SIZE)


def children(level: Sequence[tuple[bytes, int]]) -> int:
    """How many of the next hashes (at most 2 · MEAN + 1 are given) the next node takes.

    It ends behind the first, from the third on, whose last 64 bits are a multiple of MEAN.
    """
    if len(level) <= 2:
        return len(level)
    for at in range(2, len(level)):
        if struct.unpack_from("<Q", level[at][0], 24)[0] % MEAN == 0:
            return at + 1
    return len(level)


def node(parts: Sequence[tuple[bytes, int]]) -> tuple[bytes, int]:
    """Hash and size of a node from those of its children."""
    text = "".join(f"{to_hex(digest)} : {size}\n" for digest, size in parts)
    return blake3(text.encode(), key=NODE_KEY).digest(), sum(size for _, size in parts)
