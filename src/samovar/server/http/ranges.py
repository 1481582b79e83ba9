"""Conditional requests and ranges of bytes (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re

RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)


class UnsatisfiableRangeError(ValueError):
    """The range begins behind the end: the answer is 416."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """`bytes=a-b`, `a-` or `-n` → (first byte, byte behind the last); None when all is to be sent.

    A header that is not understood, or asks for several ranges, is ignored, as the RFC allows. Raises
    `UnsatisfiableRangeError`.
    """
    match = RANGE.fullmatch(header.strip()) if header and len(header) < 100 else None
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise UnsatisfiableRangeError
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError
    return int(first), min(int(last) + 1, size) if last else size


def matches(header: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` names the tag (given without quotes); weak tags count."""
    if header is None:
        return False
    tags = [one.strip().removeprefix("W/").strip('"') for one in header.split(",")]
    return "*" in tags or etag in tags


def range_holds(if_range: str | None, etag: str) -> bool:
    """Whether a range may be sent: no `If-Range`, or one that names this very content; weak tags do not."""
    return if_range is None or if_range.strip() == f'"{etag}"'
