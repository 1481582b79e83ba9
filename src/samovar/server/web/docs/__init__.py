"""The documentation on the Hub: guide, reference, examples and search, out of the files that came with the package."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from samovar.server.errors import NotFoundError
from samovar.server.services.access import Caller
from samovar.server.web.docs import guide
from samovar.server.web.docs.finding import find
from samovar.server.web.docs.views import ABSENT, view
from samovar.server.web.languages import choose
from samovar.server.web.site import LANGUAGE, BrowserOf, new_router, page

router = new_router()
DAY = 86400
TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@router.get("/docs")
def index(request: Request, caller: BrowserOf) -> Response:
    """What there is to read."""
    return shown(request, caller, "index")


@router.get("/docs/search")
def search(request: Request, caller: BrowserOf, q: str = "") -> Response:
    """Sections and names that hold the words."""
    language = choose(request.cookies.get(LANGUAGE), request.headers.get("accept-language", "")).code
    values = view("index", language) | {"found": find(q, language), "query": q[:200], "name": "search"}
    values |= {"template": "docs_search", "heading": "Search the documentation", "on_page": [], "behind": None}
    return framed(request, caller, values | {"translations": []})


@router.get("/docs/files/{path:rest}")
def picture(path: str) -> Response:
    """A picture of a page."""
    found = guide.pictures().get(path)
    if found is None:
        raise NotFoundError("There is no such picture.")
    headers = {"Cache-Control": f"public, max-age={DAY}", "X-Content-Type-Options": "nosniff"}
    if found.suffix == ".svg":
        headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return Response(found.read_bytes(), headers=headers, media_type=TYPES[found.suffix])


@router.get("/docs/{name:rest}")
def one(request: Request, caller: BrowserOf, name: str) -> Response:
    """A page. An address that ends with a slash or with `.md` leads to the page that is meant."""
    meant = name.rstrip("/").removesuffix(".md")
    if meant != name or name in ("", "index"):
        return RedirectResponse(f"/docs/{meant}" if meant not in ("", "index") else "/docs", 301)
    return shown(request, caller, name)


def shown(request: Request, caller: Caller, name: str) -> Response:
    """A page of the guide, the reference or the examples."""
    values = view(name)
    if values is ABSENT:
        raise NotFoundError("The documentation has no such page.", "Look for it in the search of the docs.")
    return framed(request, caller, values)


def framed(request: Request, caller: Caller, values: dict[str, Any]) -> Response:
    """A page in the Hub's frame."""
    template, title = values.pop("template"), values.pop("heading")
    return page(request, template, title, caller, layout="base.html", searchable=True, **values)
