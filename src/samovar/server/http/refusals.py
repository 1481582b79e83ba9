"""Errors as clients read them."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from samovar.server.errors import HubError


def error_response(error: HubError) -> Response:
    """An error: status, code and message in headers (HEAD has no body), and JSON."""
    headers = {"X-Error-Message": header_safe(error.message), **error.headers}
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": error.message, **error.more}, error.status, headers)


def header_safe(text: str) -> str:
    """The text as a header can carry it: one line of visible ASCII, not too long."""
    return "".join(one if " " <= one <= "~" else "?" for one in " ".join(text.split()))[:500]
