"""One's own settings: profile and picture, the browsers one is logged in with, the password."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import select
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf
from samovar.server.api.cookies import with_cookie
from samovar.server.api.forms import Sent, Submitted, sent, submitted
from samovar.server.db.tables import Account, Membership
from samovar.server.errors import HubError
from samovar.server.hub import Hub
from samovar.server.services import accounts, avatars, passwords, sessions
from samovar.server.services.access import Caller
from samovar.server.web.site import BrowserOf, new_router, page

router = new_router()
FormOf = Annotated[Submitted, Depends(submitted)]
PROFILE = "/settings/profile"
# What stands in `User-Agent`, the first that fits: most browsers also name the one that they descend from.
BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("YaBrowser/", "Yandex"), ("Firefox/", "Firefox"),
            ("Chrome/", "Chrome"), ("Safari/", "Safari"))  # fmt: skip
SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
           ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip


@router.get("/settings")
def settings() -> Response:
    """The first of the tabs."""
    return RedirectResponse(PROFILE, 303)


@router.get(PROFILE)
def profile(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """What the account says of itself, its picture, its organisations."""
    return profile_form(request, hub, caller)


def profile_form(request: Request, hub: Hub, caller: Caller, error: HubError | None = None) -> Response:
    """The forms, with what went wrong."""
    person = caller.require_person()
    with hub.database.read() as session:
        account = session.get_one(Account, person)
        pictured = avatars.digest_of(session, account.name)
        groups = session.execute(
            select(Account.name, Account.full_name, Membership.role)
            .join(Membership, Membership.organisation_id == Account.id)
            .where(Membership.user_id == person)
            .order_by(Account.name_key)
        ).all()
    return page(
        request, "own_profile", "Settings", caller, error.status if error else 200, error=error, account=account,
        pictured=pictured, groups=groups, longest=accounts.LONGEST_BIO,
    )  # fmt: skip


@router.post(PROFILE)
def describe(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `full_name`, `email`, `bio`, `csrf`."""
    fields = form.fields
    try:
        accounts.describe(
            hub, form.caller, fields.get("full_name", "").strip(), fields.get("email", "").strip(),
            fields.get("bio", "").replace("\r\n", "\n").strip(),
        )  # fmt: skip
    except HubError as error:
        form.caller.require_person()
        return profile_form(request, hub, form.caller, error)
    return RedirectResponse(PROFILE, 303)


@router.post("/settings/picture")
def picture(request: Request, hub: HubOf, form: Annotated[Sent, Depends(sent)]) -> Response:
    """Form with a file: `picture`, `deed` (`remove` takes the picture away), `csrf`."""
    try:
        if form.file or form.fields.get("deed") == "remove":
            avatars.choose(hub, form.caller, None if form.fields.get("deed") == "remove" else form.file)
    except HubError as error:
        form.caller.require_person()
        return profile_form(request, hub, form.caller, error)
    return RedirectResponse(PROFILE, 303)


@router.get("/settings/sessions")
def sessions_page(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """The browsers that one is logged in with."""
    rows = [
        (row, sessions.name_of(row), browser_of(row.agent), hub.activity.sessions.get(row.digest) or row.last_used_at)
        for row in sessions.listed(hub, caller)
    ]
    return page(request, "sessions", "Settings", caller, rows=rows)


def browser_of(agent: str) -> str:
    """A `User-Agent` as people say it: `Firefox, Linux`; else its beginning."""
    browser = next((name for mark, name in BROWSERS if mark in agent), None)
    system = next((name for mark, name in SYSTEMS if mark in agent), None)
    return f"{browser}, {system}" if browser and system else browser or agent[:60]


@router.post("/settings/sessions")
def end_session(hub: HubOf, form: FormOf) -> Response:
    """Form: `session`, `csrf`. Log one of these browsers out."""
    sessions.end(hub, form.caller, form.fields.get("session", ""))
    return RedirectResponse("/settings/sessions", 303)


@router.get("/settings/password")
def password_page(request: Request, caller: BrowserOf) -> Response:
    """The form for another password; `done` says that it was changed."""
    return password_form(request, caller, done="done" in request.query_params)


def password_form(request: Request, caller: Caller, error: HubError | None = None, done: bool = False) -> Response:
    """The form, with what went wrong or that it is done."""
    caller.require_person()
    return page(
        request, "password", "Settings", caller, error.status if error else 200, error.headers if error else None,
        scripts=False, error=error, done=done, shortest=passwords.SHORTEST,
    )  # fmt: skip


@router.post("/settings/password")
def change_password(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `old`, `new`, `csrf`. All other sessions end; this one gets another cookie."""
    agent = request.headers.get("user-agent", "")
    try:
        cookie = sessions.change_password(
            hub, form.caller, form.fields.get("old", ""), form.fields.get("new", ""), agent
        )
    except HubError as error:
        return password_form(request, form.caller, error)
    answer = RedirectResponse("/settings/password?done=1", 303)
    return with_cookie(answer, request, cookie) if cookie else answer
