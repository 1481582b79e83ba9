"""A picture for each account, drawn from its name: no upload, no database, and the same answer for a name that nobody
has."""

from __future__ import annotations

import colorsys
import hashlib
from html import escape
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from samovar.server.api.context import base_url

router = APIRouter(tags=["accounts"])
# The picture is only a picture, even when somebody opens it as a page.
HEADERS = {
    "Cache-Control": "public, max-age=86400",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def avatar_url(request: Request, name: str) -> str:
    """Where an account's picture is."""
    return f"{base_url(request)}/api/avatars/{quote(name, safe='')}.svg"


@router.get("/api/avatars/{name:segment}.svg", response_class=Response)
def avatar(name: Annotated[str, Path()]) -> Response:
    """The first letter of the name on a colour of its own, as SVG."""
    return Response(drawn(name), media_type="image/svg+xml", headers=HEADERS)


def drawn(name: str) -> str:
    """The picture. Only one character of the name is in it, escaped."""
    shade = hashlib.sha256(name.lower().encode("utf-8", "replace")).digest()[0] / 256
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(shade, 0.42, 0.45))
    letter = name[:1].upper() if name[:1].isalnum() else "?"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">'
        f'<rect width="64" height="64" rx="12" fill="#{red:02x}{green:02x}{blue:02x}"/>'
        '<text x="32" y="43" text-anchor="middle" font-family="sans-serif" font-size="32" fill="#fff">'
        f"{escape(letter)}</text></svg>"
    )
