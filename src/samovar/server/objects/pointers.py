"""The small text that stands in git for a large file (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""

from __future__ import annotations

import re
from typing import NamedTuple

# No pointer is longer.
LARGEST = 1024
VERSION = b"version https://git-lfs.github.com/spec/v1\n"
KEY = re.compile(rb"[a-z0-9.-]+")
MOST = 2**63 - 1


class Pointer(NamedTuple):
    """Which large file."""

    sha256: str
    size: int


def parse(data: bytes) -> Pointer | None:
    """The large file that a blob points at; None when it is no pointer."""
    if len(data) > LARGEST or not data.startswith(VERSION):
        return None
    values: dict[bytes, bytes] = {}
    for line in data[len(VERSION) :].splitlines():
        key, _, value = line.partition(b" ")
        if not KEY.fullmatch(key) or key in values:
            return None
        values[key] = value
    oid = re.fullmatch(rb"sha256:([0-9a-f]{64})", values.get(b"oid", b""))
    size = re.fullmatch(rb"[0-9]{1,19}", values.get(b"size", b""))
    if oid is None or size is None or int(size[0]) > MOST:
        return None
    return Pointer(oid[1].decode(), int(size[0]))


def write(sha256: str, size: int) -> bytes:
    """The pointer to a large file."""
    return VERSION + f"oid sha256:{sha256}\nsize {size}\n".encode()
