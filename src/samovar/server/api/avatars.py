"""A picture for each account: the one that it has chosen, else a letter drawn from its name, the same whether anybody
has that name or not."""

from __future__ import annotations

import colorsys
import hashlib
from html import escape
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf, base_url
from samovar.server.errors import NotFoundError
from samovar.server.services import avatars

router = APIRouter(tags=["accounts"])
# The picture is only a picture, even when somebody opens it as a page.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
# A new picture is seen after this (seconds); a chosen one has an address of its own, and is kept for good.
KEPT, YEAR = 300, 365 * 86400


def avatar_url(request: Request, name: str) -> str:
    """Where an account's picture is."""
    return f"{base_url(request)}/api/avatars/{quote(name, safe='')}.svg"


@router.get("/api/avatars/{name:segment}.svg", response_class=Response)
def avatar(hub: HubOf, name: Annotated[str, Path()]) -> Response:
    """The first letter of the name on a colour of its own, as SVG; or the way to the picture that was chosen."""
    headers = HEADERS | {"Cache-Control": f"public, max-age={KEPT}"}
    with hub.database.read() as session:
        digest = avatars.digest_of(session, name.replace("\0", "\ufffd"))
    if digest:
        return RedirectResponse(f"/api/avatars/{quote(name, safe='')}/{digest}.webp", 302, headers)
    return Response(drawn(name), media_type="image/svg+xml", headers=headers)


@router.get("/api/avatars/{name:segment}/{digest:segment}.webp", response_class=Response)
def chosen(hub: HubOf, name: Annotated[str, Path()], digest: Annotated[str, Path()]) -> Response:
    """The picture that an account has chosen."""
    with hub.database.read() as session:
        data = avatars.picture(session, name.replace("\0", "\ufffd"), digest.replace("\0", "\ufffd"))
    if data is None:
        raise NotFoundError("There is no such picture.")
    headers = HEADERS | {"Cache-Control": f"public, max-age={YEAR}, immutable"}
    return Response(data, media_type="image/webp", headers=headers)


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
