"""How often one account or address may ask, before anything is looked up for it; and the operator's notice."""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from samovar.server.http.refusals import error_response, header_safe
from samovar.server.services.rates import Rate, Rates, too_many
from samovar.server.settings import Settings

WINDOW = 300.0
# Files come by the dozen to each question about a repository.
FILES_PER_QUESTION = 4
# Probes, and the device login, which has buckets of its own and its own way to say "slow down".
PROBES = ("/healthz", "/metrics")
EXEMPT = ("/oauth/",)


class Limits:
    """Refuses whoever asks too often with 429, and tells when to come back.

    An account is known by a credential that was found right before; until then, and when it is wrong, its requests
    count for the address, so that inventing tokens brings nothing. Requests of this machine itself without a
    credential are not limited: behind a proxy, addresses are those that it forwards.
    """

    def __init__(self, app: ASGIApp, settings: Settings, rates: Rates, cookie: str) -> None:
        self.app, self.rates, self.cookie = app, rates, cookie
        self.notice = header_safe(settings.notice) if settings.notice else ""
        self.limits = {
            (known, is_api): Rate(
                "api" if is_api else "resolvers", count if is_api else count * FILES_PER_QUESTION, WINDOW
            )
            for known, count in ((True, settings.account_rate), (False, settings.anonymous_rate))
            for is_api in (True, False)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if path not in PROBES and not path.startswith(EXEMPT):
            account = self.rates.account_of(credential_of(Headers(scope=scope), self.cookie))
            address = scope["client"][0] if scope.get("client") else ""
            if account is not None or not is_local(address):
                rate = self.limits[account is not None, path.startswith("/api/")]
                wait = self.rates.wait(rate, address if account is None else str(account))
                if wait > 0:
                    await error_response(too_many(rate, wait))(scope, receive, send)
                    return
        if not self.notice:
            await self.app(scope, receive, send)
            return

        async def noticed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("X-HF-Warning", self.notice)
            await send(message)

        await self.app(scope, receive, noticed)


def credential_of(headers: Headers, cookie: str) -> str | None:
    """What somebody shows to be known by: the header of a token, or the cookie."""
    header = headers.get("authorization", "")
    if header.lower().startswith(("bearer ", "basic ")):
        return header
    return cookie_parser(headers.get("cookie", "")).get(cookie)


def is_local(address: str) -> bool:
    """Whether the request comes from this machine, and no proxy said otherwise."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
