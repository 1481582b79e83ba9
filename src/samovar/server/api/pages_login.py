"""Pages to log in, sign up, log out, and consent to a device; they work without scripts."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import COOKIE, HubOf, base_url, identified
from samovar.server.api.forms import Submitted, submitted
from samovar.server.errors import HubError, InvalidCredentialsError, NotFoundError, TooManyRequestsError
from samovar.server.http.pages import page
from samovar.server.services import accounts, devices, passwords, sessions
from samovar.server.services.access import Caller

router = APIRouter(tags=["login"], include_in_schema=False)
FormOf = Annotated[Submitted, Depends(submitted)]
HOME = "/login"


def browser_of(request: Request) -> Caller:
    """Who looks at the page."""
    return identified(request)


BrowserOf = Annotated[Caller, Depends(browser_of)]


@router.get("/login")
def login_page(hub: HubOf, caller: BrowserOf, next: Annotated[str, Query()] = HOME) -> Response:
    """The form; for somebody who is logged in, a way out."""
    if caller.session_id is None:
        return page("log_in", "Log in", next=own_path(next), name="", sign_up=hub.settings.sign_up)
    if own_path(next) != HOME:
        return RedirectResponse(own_path(next), 303)
    return page("logged_in", "Logged in", name=caller.name, csrf=caller.csrf)


@router.post("/login")
def log_in(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `name`, `password`, `next`."""
    onward, name = own_path(form.fields.get("next", HOME)), form.fields.get("name", "").strip()
    agent = request.headers.get("user-agent", "")
    try:
        cookie = sessions.log_in(hub, name, form.fields.get("password", ""), form.caller, agent)
    except HubError as error:
        answer = page(
            "log_in", "Log in", error.status, error.message, next=onward, name=name, sign_up=hub.settings.sign_up
        )
        answer.headers.update(error.headers)
        return answer
    return with_cookie(RedirectResponse(onward, 303), request, cookie)


@router.post("/logout")
def log_out(request: Request, hub: HubOf, form: FormOf) -> Response:
    """End the session."""
    sessions.log_out(hub, form.caller)
    answer = RedirectResponse(HOME, 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=encrypted(request))
    return answer


@router.get("/signup")
def sign_up_page(hub: HubOf, invitation: Annotated[str, Query()] = "") -> Response:
    """The form, with the invitation of the link that somebody followed."""
    return page(
        "sign_up", "Sign up", sign_up=hub.settings.sign_up, shortest=passwords.SHORTEST, name="", email="",
        invitation=invitation,
    )  # fmt: skip


@router.post("/signup")
def sign_up(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `name`, `password`, `email`, `invitation`. Logs the new user in."""
    name, password = form.fields.get("name", "").strip(), form.fields.get("password", "")
    email, invitation = form.fields.get("email", "").strip(), form.fields.get("invitation", "").strip()
    try:
        accounts.sign_up(hub, form.caller, name, password, email or None, invitation or None)
        cookie = sessions.log_in(hub, name, password, form.caller, request.headers.get("user-agent", ""))
    except HubError as error:
        answer = page(
            "sign_up", "Sign up", error.status, error.message, sign_up=hub.settings.sign_up,
            shortest=passwords.SHORTEST, name=name, email=email, invitation=invitation,
        )  # fmt: skip
        answer.headers.update(error.headers)
        return answer
    return with_cookie(RedirectResponse(HOME, 303), request, cookie)


@router.get("/login/device")
def device_page(hub: HubOf, caller: BrowserOf, code: Annotated[str, Query()] = "") -> Response:
    """Type the code; with a code, look at it and consent."""
    if caller.session_id is None:
        return RedirectResponse(f"/login?next={quote(f'/login/device?code={quote(code[:20])}', safe='')}", 303)
    if not code:
        return device_form()
    try:
        devices.waiting(hub, caller, code)
    except (NotFoundError, TooManyRequestsError) as error:
        return device_form(error, code)
    return page(
        "device", "Log a device in", code=code.upper()[:20], grant=True, said="", name=caller.name, csrf=caller.csrf
    )


@router.post("/login/device")
def device(hub: HubOf, form: FormOf) -> Response:
    """Form: `code`, `decision` (`allow` or `deny`), `role` (`read` or `write`), `csrf`."""
    if form.caller.session_id is None:
        raise InvalidCredentialsError
    code, allow = form.fields.get("code", ""), form.fields.get("decision") == "allow"
    try:
        devices.answer(hub, form.caller, code, allow, form.fields.get("role", "write"))
    except (NotFoundError, TooManyRequestsError) as error:
        return device_form(error, code)
    said = "The device is logged in; you can close this page." if allow else "The device was refused."
    return page("device", "Done" if allow else "Refused", code="", grant=False, said=said)


def device_form(error: HubError | None = None, code: str = "") -> Response:
    """The field for the code."""
    return page(
        "device", "Log a device in", error.status if error else 200, error.message if error else "",
        code=code[:20], grant=False, said="",
    )  # fmt: skip


def own_path(path: str) -> str:
    """A path of this Hub to go on to; never another site's address, however it is spelled."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if plain and len(path) < 1000 and path.isascii() and path.isprintable() and "\\" not in path else HOME


def encrypted(request: Request) -> bool:
    """Whether people reach the Hub by https."""
    return base_url(request).startswith("https:")


def with_cookie(answer: Response, request: Request, cookie: str) -> Response:
    """The answer, with the session's cookie: not for scripts, and not sent along from other sites' forms."""
    lifetime = request.app.state.hub.settings.session_lifetime.total_seconds()
    answer.set_cookie(
        COOKIE, cookie, max_age=round(lifetime), path="/", httponly=True, samesite="lax", secure=encrypted(request)
    )
    return answer
