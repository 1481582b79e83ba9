"""The frame of every page: template, language, who is looking, errors for people, and the policy it is sent under."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.convertors import register_url_convertor
from starlette.responses import HTMLResponse, RedirectResponse, Response

from samovar.server.api.context import base_url, hub_of, identified
from samovar.server.errors import BadRequestError, HubError, InvalidCredentialsError, UnauthenticatedError
from samovar.server.http.compression import masked, packed
from samovar.server.http.routing import Segment
from samovar.server.repos.names import RESERVED
from samovar.server.services.access import Caller
from samovar.server.web import numbers
from samovar.server.web.languages import choose, languages

HERE = Path(__file__).parent
LANGUAGE, THEME = "samovar_language", "samovar_theme"
THEMES = ("light", "dark")
# The places of the head of every page.
PLACES = (
    ("/models", "Models"), ("/datasets", "Datasets"), ("/spaces", "Spaces"), ("/tasks", "Tasks"),
    ("/metrics", "Metrics"), ("/docs", "Docs"),
)  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Where passwords are typed no script runs at all, not even one of the Hub's own.
POLICY_WITHOUT_SCRIPTS = POLICY.replace("script-src 'self'; ", "")
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    # Pages hold the session's token, and differ by who looks and in which language.
    "Cache-Control": "private, no-store",
    "Vary": "Cookie, Accept-Language, Accept-Encoding",
}


class Owner(Segment):
    """The first segment of a repository's or account's page: none of the Hub's own addresses."""

    regex = rf"(?!(?:{'|'.join(sorted(RESERVED))})(?:/|$))[^/]+"


register_url_convertor("owner", Owner())


def browser_of(request: Request) -> Caller:
    """Who looks at the page."""
    return identified(request)


BrowserOf = Annotated[Caller, Depends(browser_of)]


@cache
def environment() -> jinja2.Environment:
    """The templates; a name that a page was not given is a mistake."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters.update(short=numbers.short, size=numbers.size)
    made.globals.update(asset=asset, site_places=PLACES)
    return made


@cache
def asset(name: str) -> str:
    """The address of a static file; it changes with the content, so that browsers keep it for good."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{digest}/{name}"


def page(
    request: Request, template: str, title: str, caller: Caller, status: int = 200,
    headers: dict[str, str] | None = None, scripts: bool = True, **values: Any,
) -> HTMLResponse:  # fmt: skip
    """A page from its template, in the language of whoever looks. Without `scripts` its policy allows none."""
    language = choose(request.cookies.get(LANGUAGE), request.headers.get("accept-language", ""))
    theme = request.cookies.get(THEME)
    caller = replace(caller, csrf=masked(caller.csrf)) if caller.csrf else caller
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    text = environment().get_template(f"{template}.html").render(
        title=title, caller=caller, language=language, languages=languages().values(), _=language.text,
        n_=language.count,
        ago=partial(numbers.age, language=language), theme=theme if theme in THEMES else "", here=here,
        base=base_url(request), sign_up=hub_of(request).settings.sign_up, scripts=scripts, **values,
    )  # fmt: skip
    policy = {} if scripts else {"Content-Security-Policy": POLICY_WITHOUT_SCRIPTS}
    body, coding = packed(text.encode(), request.headers)
    return HTMLResponse(body, status, {**HEADERS, **policy, **coding, **(headers or {})})


def fragment(request: Request, template: str, **values: Any) -> str:
    """A part of a page, for scripts to put in place."""
    language = choose(request.cookies.get(LANGUAGE), request.headers.get("accept-language", ""))
    return environment().get_template(f"{template}.html").render(_=language.text, n_=language.count, **values)


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler, with its refusals put for people."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except HubError as error:
                return await run_in_threadpool(refusal, request, error)
            except RequestValidationError:
                wrong = BadRequestError("The address has the wrong form.", "Begin at a list, and follow its links.")
                return await run_in_threadpool(refusal, request, wrong)

        return handled


def refusal(request: Request, error: HubError) -> Response:
    """An error as a page. Whoever must log in first is led there and back; who is logged in stays so."""
    try:
        caller = identified(request)
    except HubError:
        caller = Caller()
    wrong_token = isinstance(error, InvalidCredentialsError)
    if isinstance(error, UnauthenticatedError) and not wrong_token and caller.anonymous and request.method == "GET":
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(link("/login", next=here), 303, {"Cache-Control": "no-store"})
    title = {401: "Not found", 403: "Not allowed", 404: "Not found", 410: "Gone"}.get(error.status, "Not possible")
    # An absent repository and a private one look the same: 404 for everybody who has no right to see it.
    status = 404 if error.code == "RepoNotFound" else error.status
    headers = {name: value for name, value in error.headers.items() if name.lower() == "retry-after"}
    cause = "There is nothing here, or it is not for your eyes." if error.code == "RepoNotFound" else error.cause
    return page(
        request, "error", title, caller, status, headers, cause=cause, next_step=error.next_step,
        log_in=caller.anonymous and error.status in (401, 404),
    )  # fmt: skip


def new_router() -> APIRouter:
    """A router of pages."""
    return APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse)


def link(path: str, **parameters: object) -> str:
    """An address with parameters; lists repeat, None and empty ones are left out."""
    pairs = [
        (name, str(one))
        for name, value in parameters.items()
        for one in (value if isinstance(value, list | tuple) else [value])
        if one not in (None, "")
    ]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def safe(html: str) -> Markup:
    """HTML that `markup` has made or that was built of escaped parts alone."""
    return Markup(html)
