"""The session's cookie in an answer: not for scripts, and not sent along from other sites' forms."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from samovar.server.api.context import COOKIE, base_url, hub_of


def encrypted(request: Request) -> bool:
    """Whether people reach the Hub by https."""
    return base_url(request).startswith("https:")


def with_cookie(answer: Response, request: Request, cookie: str) -> Response:
    """The answer, with the session's cookie."""
    lifetime = hub_of(request).settings.session_lifetime.total_seconds()
    answer.set_cookie(
        COOKIE, cookie, max_age=round(lifetime), path="/", httponly=True, samesite="lax", secure=encrypted(request)
    )
    return answer


def without_cookie(answer: Response, request: Request) -> Response:
    """The answer, which takes the cookie away."""
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=encrypted(request))
    return answer
