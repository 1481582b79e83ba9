"""Pages to log in, sign up, log out, and consent to a device. No script runs where passwords are typed."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf
from samovar.server.api.cookies import with_cookie, without_cookie
from samovar.server.api.forms import Submitted, submitted
from samovar.server.errors import HubError, InvalidCredentialsError, NotFoundError, TooManyRequestsError
from samovar.server.http.origin import own_path
from samovar.server.services import accounts, devices, passwords, sessions
from samovar.server.services.access import Caller
from samovar.server.web.site import BrowserOf, new_router, page

router = new_router()
FormOf = Annotated[Submitted, Depends(submitted)]
HOME = "/"


@router.get("/login")
def login_page(request: Request, caller: BrowserOf, next: Annotated[str, Query()] = HOME) -> Response:
    """The form; for somebody who is logged in, the way on or out."""
    if caller.session_id is None:
        return login_form(request, own_path(next, HOME))
    if own_path(next, HOME) != HOME:
        return RedirectResponse(own_path(next, HOME), 303)
    return page(request, "logged_in", "Logged in", caller, scripts=False)


def login_form(request: Request, onward: str, name: str = "", error: HubError | None = None) -> Response:
    """Name and password, with what went wrong."""
    return page(
        request, "log_in", "Log in", Caller(), error.status if error else 200, error.headers if error else None,
        scripts=False, error=error, next=onward, name=name,
    )  # fmt: skip


@router.post("/login")
def log_in(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `name`, `password`, `next`."""
    onward, name = own_path(form.fields.get("next", HOME), HOME), form.fields.get("name", "").strip()
    agent = request.headers.get("user-agent", "")
    try:
        cookie = sessions.log_in(hub, name, form.fields.get("password", ""), form.caller, agent)
    except HubError as error:
        return login_form(request, onward, name, error)
    return with_cookie(RedirectResponse(onward, 303), request, cookie)


@router.post("/logout")
def log_out(request: Request, hub: HubOf, form: FormOf) -> Response:
    """End the session."""
    sessions.log_out(hub, form.caller)
    return without_cookie(RedirectResponse(HOME, 303), request)


@router.get("/signup")
def sign_up_page(request: Request, caller: BrowserOf, invitation: Annotated[str, Query()] = "") -> Response:
    """The form, with the invitation of the link that somebody followed; who has an account may join with it."""
    if caller.session_id is not None and invitation:
        return RedirectResponse(f"/organizations/join?code={quote(invitation[:200], safe='')}", 303)
    return sign_up_form(request, {"invitation": invitation})


def sign_up_form(request: Request, fields: dict[str, str], error: HubError | None = None) -> Response:
    """Name, address, password, invitation, with what went wrong."""
    return page(
        request, "sign_up", "Sign up", Caller(), error.status if error else 200, error.headers if error else None,
        scripts=False, error=error, shortest=passwords.SHORTEST,
        fields={name: fields.get(name, "").strip() for name in ("name", "email", "invitation")},
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
        return sign_up_form(request, form.fields, error)
    return with_cookie(RedirectResponse(HOME, 303), request, cookie)


@router.get("/login/device")
def device_page(request: Request, hub: HubOf, caller: BrowserOf, code: Annotated[str, Query()] = "") -> Response:
    """Type the code; with a code, look at it and consent."""
    if caller.session_id is None:
        return RedirectResponse(f"/login?next={quote(f'/login/device?code={quote(code[:20])}', safe='')}", 303)
    if not code:
        return device_form(request, caller)
    try:
        devices.waiting(hub, caller, code)
    except (NotFoundError, TooManyRequestsError) as error:
        return device_form(request, caller, error, code)
    return page(
        request, "device", "Log a device in", caller, scripts=False, error=None, code=code.upper()[:20], grant=True,
        said="",
    )  # fmt: skip


@router.post("/login/device")
def device(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `code`, `decision` (`allow` or `deny`), `role` (`read` or `write`), `csrf`."""
    caller = form.caller
    if caller.session_id is None:
        raise InvalidCredentialsError
    code, allow = form.fields.get("code", ""), form.fields.get("decision") == "allow"
    try:
        devices.answer(hub, caller, code, allow, form.fields.get("role", "write"))
    except (NotFoundError, TooManyRequestsError) as error:
        return device_form(request, caller, error, code)
    said = "The device is logged in; you can close this page." if allow else "The device was refused."
    return page(
        request, "device", "Done" if allow else "Refused", caller, scripts=False, error=None, code="", grant=False,
        said=said,
    )  # fmt: skip


def device_form(request: Request, caller: Caller, error: HubError | None = None, code: str = "") -> Response:
    """The field for the code."""
    return page(
        request, "device", "Log a device in", caller, error.status if error else 200, error.headers if error else None,
        scripts=False, error=error, code=code[:20], grant=False, said="",
    )  # fmt: skip
