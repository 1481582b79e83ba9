"""Pages of organisations: a new one, its settings and members, and joining one with an invitation."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf, base_url
from samovar.server.api.forms import Sent, Submitted, sent, submitted
from samovar.server.errors import BadRequestError, HubError, NotFoundError
from samovar.server.hub import Hub
from samovar.server.services import avatars, invitations, organisations
from samovar.server.services.access import ROLES, Caller
from samovar.server.services.accounts import LONGEST_BIO
from samovar.server.web.site import BrowserOf, link, new_router, page

router = new_router()
FormOf = Annotated[Submitted, Depends(submitted)]
HERE = "/organizations/{name:segment}/settings"
MEMBERS = 100


@router.get("/organizations/new")
def new(request: Request, caller: BrowserOf) -> Response:
    """The form for a new organisation."""
    return new_form(request, caller, {})


def new_form(request: Request, caller: Caller, fields: dict[str, str], error: HubError | None = None) -> Response:
    """The form, with what went wrong."""
    caller.require_person()
    return page(
        request, "new_organisation", "New organisation", caller, error.status if error else 200, error=error,
        fields=fields,
    )  # fmt: skip


@router.post("/organizations/new")
def create(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `name`, `full_name`, `csrf`."""
    name = form.fields.get("name", "").strip()
    try:
        organisations.create(hub.database, form.caller, name, form.fields.get("full_name", "").strip())
    except HubError as error:
        return new_form(request, form.caller, form.fields, error)
    return RedirectResponse(f"/{name}", 303)


@router.get("/organizations/join")
def joining(request: Request, caller: BrowserOf, code: Annotated[str, Query()] = "") -> Response:
    """The form for an invitation's code."""
    return join_form(request, caller, code)


def join_form(request: Request, caller: Caller, code: str, error: HubError | None = None) -> Response:
    """The form, with what went wrong."""
    caller.require_person()
    return page(
        request, "join", "Join an organisation", caller, error.status if error else 200, error=error, code=code[:200]
    )


@router.post("/organizations/join")
def join(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `code`, `csrf`."""
    code = form.fields.get("code", "").strip()
    try:
        name = invitations.join(hub.database, form.caller, code)
    except HubError as error:
        return join_form(request, form.caller, code, error)
    return RedirectResponse(f"/{name}", 303)


@router.get(HERE)
def settings(
    request: Request, hub: HubOf, caller: BrowserOf, name: str, after: Annotated[int, Query(ge=0, le=2**62)] = 0
) -> Response:
    """What it says of itself, its members and their roles, invitations, its end. For its admins."""
    return settings_form(request, hub, caller, name, after=after)


def settings_form(
    request: Request, hub: Hub, caller: Caller, name: str, error: HubError | None = None, invited: str = "",
    after: int = 0,
) -> Response:  # fmt: skip
    """The forms, with what went wrong; the address of an invitation that was just made stands on it this once."""
    with hub.database.read() as session:
        account = organisations.run_by(session, caller, name)
        rows = organisations.members(session, account, MEMBERS + 1, after)
        pictured = avatars.digest_of(session, account.name)
    here = f"/organizations/{account.name}/settings"
    return page(
        request, "organisation_settings", f"{account.name} · settings", caller, error.status if error else 200,
        error=error, account=account, rows=rows[:MEMBERS], roles=ROLES, this=here, invited=invited,
        more=link(here, after=rows[MEMBERS - 1][0].id) if len(rows) > MEMBERS else None,
        first=here if after else None, pictured=pictured, longest=LONGEST_BIO,
    )  # fmt: skip


@router.post(HERE)
def change(request: Request, hub: HubOf, form: FormOf, name: str) -> Response:
    """Form: `deed` with its fields (see the template), `csrf`. A member may `remove` themselves: they leave."""
    fields, caller, user = form.fields, form.caller, form.fields.get("user", "").strip()
    leaving = fields.get("deed") == "remove" and user.lower() == caller.name.lower()
    try:
        match fields.get("deed"):
            case "describe":
                full_name, bio = fields.get("full_name", "").strip(), fields.get("bio", "")
                organisations.describe(
                    hub.database, caller, name, full_name, bio.replace("\r\n", "\n").strip()
                )  # fmt: skip
            case "role":
                organisations.set_role(hub.database, caller, name, user, fields.get("role", ""))
            case "remove":
                organisations.remove(hub.database, caller, name, user)
            case "invite":
                code = invitations.invite_to_join(hub.database, caller, name, fields.get("role", ""), user or None)
                address = link(f"{base_url(request)}/signup", invitation=code)
                return settings_form(request, hub, caller, name, invited=address)
            case "delete":
                if fields.get("name", "").strip() != name:
                    raise BadRequestError("The name is not the organisation's.", f"Type {name} to delete it.")
                organisations.delete(hub.database, caller, name)
                return RedirectResponse("/settings/profile", 303)
            case _:
                raise BadRequestError("Nothing was chosen.")
    except NotFoundError:
        raise
    except HubError as error:
        if leaving:
            raise
        return settings_form(request, hub, caller, name, error)
    return RedirectResponse(f"/{name}" if leaving else f"/organizations/{name}/settings", 303)


@router.post("/organizations/{name:segment}/picture")
def picture(request: Request, hub: HubOf, form: Annotated[Sent, Depends(sent)], name: str) -> Response:
    """Form with a file: `picture`, `deed` (`remove` takes the picture away), `csrf`."""
    try:
        if form.file or form.fields.get("deed") == "remove":
            avatars.choose(hub, form.caller, None if form.fields.get("deed") == "remove" else form.file, name)
    except HubError as error:
        return settings_form(request, hub, form.caller, name, error)
    return RedirectResponse(f"/organizations/{name}/settings", 303)
