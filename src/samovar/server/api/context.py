"""What routes ask of a request: the Hub, who is asking, the address the Hub is known by."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Annotated, Literal

from fastapi import Depends, Request

from samovar.server.db.engine import Database
from samovar.server.errors import ForbiddenError, InvalidCredentialsError, NotFoundError
from samovar.server.http.compression import unmasked
from samovar.server.http.limits import credential_of
from samovar.server.http.origin import SAFE_METHODS, from_elsewhere
from samovar.server.hub import Hub
from samovar.server.services.access import Caller, RepoType
from samovar.server.services.credentials import caller_of_cookie, caller_of_token

COOKIE = "samovar_session"
Plural = Literal["models", "datasets", "spaces"]
SINGULAR: dict[str, RepoType] = {"models": "model", "datasets": "dataset", "spaces": "space"}
# In front of a repository's name on the web; models have nothing.
WEB_PREFIX: dict[str, str] = {"model": "", "dataset": "datasets/", "space": "spaces/"}


def hub_of(request: Request) -> Hub:
    """The running Hub."""
    hub: Hub = request.app.state.hub
    return hub


def address_of(request: Request) -> str:
    """Where the request comes from; the server has looked through trusted proxies."""
    return request.client.host if request.client else ""


def identified(request: Request) -> Caller:
    """Who is asking: by token (Bearer, or the password of Basic as git sends it), by cookie, or nobody.

    Raises `InvalidCredentialsError` for a token that is not right: it is never taken for nobody. Says nothing about
    whether a browser's request was meant; routes use `caller_of`.
    """
    hub, address = hub_of(request), address_of(request)
    credential = credential_of(request.headers, COOKIE)
    try:
        caller = told_by(request, hub.database, address)
    except InvalidCredentialsError:
        hub.rates.recognise(credential, None)
        raise
    hub.rates.recognise(credential, caller.account_id)
    hub.activity.note(caller.token_id, caller.session_id)
    return caller


def told_by(request: Request, database: Database, address: str) -> Caller:
    """The caller by what the request carries. Raises `InvalidCredentialsError`."""
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return caller_of_token(database, value.strip(), address)
    if scheme.lower() == "basic":
        try:
            _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidCredentialsError from error
        return caller_of_token(database, password, address)
    cookie = request.cookies.get(COOKIE)
    return caller_of_cookie(database, cookie, address) if cookie else Caller(address=address)


def caller_of(request: Request) -> Caller:
    """Who is asking, as `identified` says.

    What a browser sends by itself (the cookie, a remembered Basic password) changes nothing unless it comes from one
    of the Hub's own pages: with a cookie, the session's token must come along in `X-CSRF-Token`. Raises
    `InvalidCredentialsError`, `ForbiddenError`.
    """
    caller = identified(request)
    if request.method not in SAFE_METHODS and not request.headers.get("authorization", "").lower().startswith("bearer"):
        require_own_page(request)
        if caller.session_id is not None:
            require_csrf(caller, request.headers.get("x-csrf-token", ""))
    return caller


def require_own_page(request: Request) -> None:
    """Raises `ForbiddenError` when a browser says that another site's page sent the request."""
    if from_elsewhere(request, hub_of(request).settings.url):
        raise ForbiddenError("The request comes from another site's page.", "Do it on the Hub's own pages.")


def require_csrf(caller: Caller, given: str) -> None:
    """Raises `ForbiddenError` unless the session's token came along."""
    given_bytes = given.encode("utf-8", "replace")
    if not caller.csrf or not (
        hmac.compare_digest(caller.csrf.encode(), unmasked(given))
        or hmac.compare_digest(caller.csrf.encode(), given_bytes)
    ):
        raise ForbiddenError("The form is too old, or was not made for you.", "Load the page again.")


def repo_type(plural: str) -> RepoType:
    """`models` → `model`. Raises `NotFoundError` for a kind that this Hub does not have."""
    if plural not in SINGULAR:
        raise NotFoundError(f"This Hub has no {plural}.")
    return SINGULAR[plural]


def base_url(request: Request) -> str:
    """The Hub's address without a slash at the end, as the client knows it."""
    return (hub_of(request).settings.url or str(request.base_url)).rstrip("/")


def repo_url(base: str, type_: RepoType, full: str) -> str:
    """The address of a repository's page."""
    return f"{base}/{WEB_PREFIX[type_]}{full}"


HubOf = Annotated[Hub, Depends(hub_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
