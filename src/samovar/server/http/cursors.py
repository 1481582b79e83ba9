"""Positions in lists that are texts, as they travel in addresses."""

from __future__ import annotations

import base64
import binascii

from samovar.server.errors import BadRequestError


def encode(position: str) -> str:
    """A cursor for a position."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """The position. Raises `BadRequestError`."""
    try:
        return base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise BadRequestError("The cursor was not made by this Hub.", "Begin at the first page again.") from error
