"""A xorb as clients send it: chunks, each with a header, plain or compressed
(https://huggingface.co/docs/xet/xorb). Limits are checked before anything is decompressed."""

from __future__ import annotations

from typing import BinaryIO

import lz4.frame  # type: ignore[import-untyped]

from samovar.server.errors import BadRequestError
from samovar.server.objects.xet.hashes import chunk_hash, to_hex, xorb_hash

HEADER = 8
LARGEST = 64 * 2**20
"""Bytes of a xorb's chunks, unpacked."""
LARGEST_BODY = LARGEST + 2**20
"""Bytes of a xorb as it is sent."""
LARGEST_CHUNK = 128 * 2**10
MOST_CHUNKS = 8192
PLAIN, LZ4, GROUPED = 0, 1, 2
# A xorb may end with a footer for readers; what it says follows from the chunks.
FOOTER = b"XETBLOB"


class XorbError(BadRequestError):
    """The bytes are no xorb, or not the one they were said to be."""


class Unpacker:
    """Unpacks a xorb that arrives in pieces into a file, chunk by chunk, and hashes it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.waiting = bytearray()
        self.chunks: list[tuple[bytes, int]] = []
        self.total = 0
        self.ended = False

    def feed(self, piece: bytes | bytearray) -> None:
        """The next bytes. Raises `XorbError`."""
        if self.ended:
            return
        self.waiting += piece
        at = 0
        with memoryview(self.waiting) as view:
            while (end := self.chunk(view, at)) is not None:
                at = end
        del self.waiting[:at]

    def chunk(self, view: memoryview, at: int) -> int | None:
        """Unpack the chunk at a place, if it is there whole; where it ends. Raises `XorbError`."""
        if len(view) - at < HEADER:
            return None
        if bytes(view[at : at + len(FOOTER)]) == FOOTER:
            self.ended = True
            return len(view)
        version, scheme = view[at], view[at + 4]
        packed = int.from_bytes(view[at + 1 : at + 4], "little")
        length = int.from_bytes(view[at + 5 : at + 8], "little")
        number = len(self.chunks)
        if version != 0 or scheme not in (PLAIN, LZ4, GROUPED):
            raise XorbError(f"Chunk {number} is of version {version} and compression {scheme}, which nobody knows.")
        if not 0 < length <= LARGEST_CHUNK or not 0 < packed <= 2 * LARGEST_CHUNK:
            raise XorbError(f"Chunk {number} has {length} bytes, packed {packed}; {LARGEST_CHUNK} may be.")
        if number == MOST_CHUNKS or self.total + length > LARGEST:
            raise XorbError(f"The xorb has more than {MOST_CHUNKS} chunks or {LARGEST} bytes.")
        start = at + HEADER
        if start + packed > len(view):
            return None
        data = unpack(view[start : start + packed], scheme, length)
        self.chunks.append((chunk_hash(data), length))
        self.total += length
        self.file.write(data)
        return start + packed

    def finish(self) -> tuple[str, list[int]]:
        """The xorb's hash as it is written, and the bytes of each chunk. Raises `XorbError`."""
        if self.waiting:
            raise XorbError("The xorb ends within a chunk.")
        if not self.chunks:
            raise XorbError("The xorb has no chunks.")
        return to_hex(xorb_hash(self.chunks)), [length for _, length in self.chunks]


def unpack(packed: memoryview, scheme: int, length: int) -> bytes:
    """The chunk's bytes, exactly `length` of them. Raises `XorbError`."""
    if scheme == PLAIN:
        data = bytes(packed)
    else:
        try:
            # Not a byte more than one above what was announced is unpacked, whatever the frame says.
            data = lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=length + 1)
        except (RuntimeError, EOFError, ValueError, MemoryError) as error:
            raise XorbError("A chunk cannot be decompressed.") from error
    if len(data) != length:
        raise XorbError(f"A chunk does not have the {length} bytes that it announced.")
    return ungroup(data) if scheme == GROUPED else data


def ungroup(data: bytes) -> bytes:
    """Put bytes that were sorted by their place in groups of four back in order."""
    size, more = divmod(len(data), 4)
    whole = bytearray(len(data))
    at = 0
    for group in range(4):
        count = size + (group < more)
        whole[group::4] = data[at : at + count]
        at += count
    return bytes(whole)
