"""Answers as gzip for clients that take it, and the session's token in a form that compression cannot give away.

Whoever can put words into a page and watch how long its compressed answer is may guess what else is in it, byte by byte
(BREACH, 2013). The one secret in a page is the session's token; it is another one in each answer.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import secrets
from collections.abc import Mapping

# Smaller answers fit into one packet anyway.
LEAST = 1200
LEVEL = 5


def packed(body: bytes, asked: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """The body as it is sent to a client with these headers, and what to say of it."""
    if len(body) < LEAST or not takes_gzip(asked.get("accept-encoding", "")):
        return body, {}
    return gzip.compress(body, LEVEL, mtime=0), {"Content-Encoding": "gzip"}


def takes_gzip(accepted: str) -> bool:
    """Whether `Accept-Encoding` names gzip, and not with the weight 0."""
    found = re.search(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=([01](?:\.\d*)?))?\s*(?:,|$)", accepted.lower())
    return found is not None and (found[1] is None or float(found[1]) > 0)


def masked(token: str) -> str:
    """The token behind noise: different each time."""
    noise = secrets.token_bytes(len(token))
    hidden = bytes(one ^ other for one, other in zip(noise, token.encode(), strict=True))
    return base64.urlsafe_b64encode(noise + hidden).decode()


def unmasked(given: str) -> bytes:
    """What `masked` was given; anything else as it is."""
    try:
        whole = base64.b64decode(given.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return given.encode("utf-8", "replace")
    half = len(whole) // 2
    return bytes(one ^ other for one, other in zip(whole[:half], whole[half:], strict=False))
