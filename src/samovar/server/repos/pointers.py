"""Git LFS pointers: the small text that stands in git for a large file (git-lfs, docs/spec.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A file above this size is no pointer, whatever it begins with.
LONGEST = 1024
VERSIONS = (b"version https://git-lfs.github.com/spec/v1\n", b"version https://hawser.github.com/spec/v1\n")
OID = re.compile(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
SIZE = re.compile(rb"^size (\d{1,18})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer says: the SHA-256 and the bytes of the large file; and how long the pointer itself is."""

    sha256: str
    size: int
    length: int


def parse(content: bytes) -> Pointer | None:
    """The pointer, or None if the content is something else."""
    if len(content) > LONGEST or not content.startswith(VERSIONS):
        return None
    oid, size = OID.search(content), SIZE.search(content)
    return Pointer(oid[1].decode(), int(size[1]), len(content)) if oid and size else None


def build(sha256: str, size: int) -> bytes:
    """The pointer's text."""
    return VERSIONS[0] + f"oid sha256:{sha256}\nsize {size}\n".encode()
