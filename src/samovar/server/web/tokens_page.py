"""A person's tokens: made, shown once, listed, revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf
from samovar.server.api.forms import Submitted, submitted
from samovar.server.db.tables.base import now
from samovar.server.errors import HubError
from samovar.server.hub import Hub
from samovar.server.services import tokens
from samovar.server.services.access import Caller
from samovar.server.web.site import BrowserOf, new_router, page

router = new_router()


@router.get("/settings/tokens")
def listed(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """All tokens that are not revoked, and the form for a new one."""
    return shown(request, hub, caller)


@router.post("/settings/tokens")
def deed(request: Request, hub: HubOf, form: Annotated[Submitted, Depends(submitted)]) -> Response:
    """Form: `deed` (`create` with `name`, `role`, `days`; or `revoke` with `token`), `csrf`."""
    fields, caller = form.fields, form.caller
    person = caller.require_person()
    try:
        if fields.get("deed") == "revoke":
            number = fields.get("token", "")
            tokens.revoke(hub.database, caller, int(number) if number.isdecimal() and len(number) < 18 else 0, person)
            return RedirectResponse("/settings/tokens", 303)
        days = fields.get("days", "")
        expires = now() + timedelta(days=int(days)) if days.isdecimal() and 0 < int(days[:5]) < 4000 else None
        _, token = tokens.create_token(
            hub.database, caller, caller.name, fields.get("role", "read"), fields.get("name", "").strip(), expires
        )
    except HubError as error:
        return shown(request, hub, caller, problem=error.message, status=error.status)
    return shown(request, hub, caller, fresh=token)


def shown(
    request: Request, hub: Hub, caller: Caller, fresh: str = "", problem: str = "", status: int = 200
) -> Response:
    """The page; a token that was just made stands on it this once."""
    rows = tokens.listed(hub.database, caller, caller.require_person())
    return page(request, "tokens", "Access tokens", caller, status, rows=rows, fresh=fresh, problem=problem)
