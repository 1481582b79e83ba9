"""What routes ask of a request: the Hub, who is asking, the address the Hub is known by."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from fastapi import Depends, Request

from samovar.server.errors import InvalidCredentialsError, NotFoundError
from samovar.server.hub import Hub
from samovar.server.services.access import ANONYMOUS, Caller, RepoType
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


def caller_of(request: Request) -> Caller:
    """Who is asking: by token (Bearer, or the password of Basic as git sends it), by cookie, or nobody.

    Raises `InvalidCredentialsError` for a token that is not right: it is never taken for nobody.
    """
    hub, address = hub_of(request), address_of(request)
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return caller_of_token(hub.database, value.strip(), address)
    if scheme.lower() == "basic":
        try:
            _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidCredentialsError from error
        return caller_of_token(hub.database, password, address)
    cookie = request.cookies.get(COOKIE)
    return caller_of_cookie(hub.database, cookie, address) if cookie else ANONYMOUS


def repo_type(plural: str) -> RepoType:
    """`models` → `model`. Raises `NotFoundError` for a kind that this Hub does not have."""
    if plural not in SINGULAR:
        raise NotFoundError(f"This Hub has no {plural}.")
    return SINGULAR[plural]


def base_url(request: Request) -> str:
    """The Hub's address without a slash at the end, as the client knows it."""
    return (hub_of(request).settings.url or str(request.base_url)).rstrip("/")


HubOf = Annotated[Hub, Depends(hub_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
