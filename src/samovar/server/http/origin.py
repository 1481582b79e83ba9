"""Whether a browser sent a request from one of the Hub's own pages, and where one may lead it on to."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def from_elsewhere(request: Request, url: str | None) -> bool:
    """Whether the browser says that another site's page sent this request.

    Browsers send `Origin` with whatever may change something, and newer ones `Sec-Fetch-Site`; other clients send
    neither. `url` is the address that people know the Hub by, if the settings say one.
    """
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin")
    if origin is None:
        return False
    here = {request.headers.get("host", ""), urlsplit(url or "").netloc}
    return not (urlsplit(origin).netloc and urlsplit(origin).netloc in here)


def own_path(path: str, otherwise: str) -> str:
    """A path of this Hub to go on to; `otherwise` for another site's address, however it is spelled."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\"))
    sound = plain and len(path) < 1000 and path.isascii() and path.isprintable() and "\\" not in path
    return path if sound else otherwise
