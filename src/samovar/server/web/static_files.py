"""Style, script and icon of the pages, under addresses that change with their content; and the choices of a visitor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.cookies import encrypted
from samovar.server.api.forms import Submitted, submitted
from samovar.server.errors import NotFoundError
from samovar.server.http.compression import packed
from samovar.server.http.origin import own_path
from samovar.server.web.languages import languages
from samovar.server.web.site import LANGUAGE, THEME, THEMES, asset, new_router

router = new_router()
FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
YEAR = 365 * 86400


@router.get("/static/{digest:segment}/{name:segment}")
def static(request: Request, digest: str, name: str) -> Response:
    """A file of `static/`."""
    if name not in {path.name for path in FOLDER.iterdir()} or asset(name) != f"/static/{digest}/{name}":
        raise NotFoundError("There is no such file.")
    path = FOLDER / name
    headers = {
        "Cache-Control": f"public, max-age={YEAR}, immutable", "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }  # fmt: skip
    body, coding = packed(path.read_bytes(), request.headers)
    return Response(body, headers=headers | coding, media_type=TYPES[path.suffix])


@router.get("/favicon.ico")
def favicon() -> Response:
    """The icon, for browsers that do not read the page."""
    return RedirectResponse(asset("samovar.svg"), 301)


@router.post("/settings/look")
def look(request: Request, form: Annotated[Submitted, Depends(submitted)]) -> Response:
    """Form: `language` or `theme`, `next`. Kept in the browser."""
    answer = RedirectResponse(own_path(form.fields.get("next", "/"), "/"), 303)
    for cookie, field, allowed in ((LANGUAGE, "language", tuple(languages())), (THEME, "theme", (*THEMES, "auto"))):
        value = form.fields.get(field)
        if value in allowed:
            answer.set_cookie(
                cookie, value, max_age=YEAR, path="/", samesite="lax", httponly=True, secure=encrypted(request)
            )
    return answer
