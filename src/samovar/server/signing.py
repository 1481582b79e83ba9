"""Signed, expiring tickets: an address that anybody may use who was handed it, for one purpose, for a time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from samovar.server.errors import ForbiddenError

SIGNATURE = 32


class Signer:
    """Makes and checks tickets under a secret (HMAC-SHA256 over purpose and content)."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def sign(self, purpose: str, content: dict[str, Any], lifetime: float) -> str:
        """A ticket for `lifetime` seconds, of letters that need no escaping in an address."""
        body = json.dumps([content, int(time.time() + lifetime)], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self.seal(purpose, body) + body).decode().rstrip("=")

    def check(self, purpose: str, ticket: str) -> dict[str, Any]:
        """What was signed. Raises `ForbiddenError` for a forged, foreign or expired ticket."""
        try:
            data = base64.urlsafe_b64decode(ticket.encode("ascii") + b"=" * (-len(ticket) % 4))
        except ValueError:
            data = b""
        seal, body = data[:SIGNATURE], data[SIGNATURE:]
        if not hmac.compare_digest(seal, self.seal(purpose, body)):
            raise ForbiddenError("This address was not made by this Hub.", "Ask for a new one.")
        content, expires = json.loads(body)
        if time.time() > expires:
            raise ForbiddenError("This address has expired.", "Ask for a new one.")
        return content

    def seal(self, purpose: str, body: bytes) -> bytes:
        """The signature of a body for one purpose."""
        return hmac.new(self.key, purpose.encode() + b"\0" + body, hashlib.sha256).digest()
