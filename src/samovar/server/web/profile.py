"""The page of a user or organisation: what they made that the visitor may see."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf
from samovar.server.errors import NotFoundError
from samovar.server.search.query import Query, by
from samovar.server.services import overview
from samovar.server.services.access import TYPES, find_account
from samovar.server.services.searching import list_page, viewer_of
from samovar.server.web.listing import OF_KIND
from samovar.server.web.site import BrowserOf, new_router, page

router = new_router()
SHOWN = 12


@router.get("/{owner:owner}")
def profile(request: Request, hub: HubOf, caller: BrowserOf, owner: str) -> Response:
    """Their models, data sets and spaces, and where they belong."""
    with hub.database.read() as session:
        account = find_account(session, owner)
        if account is None or account.disabled:
            raise NotFoundError("There is nobody of this name.")
        if account.name != owner:
            return RedirectResponse(f"/{account.name}", 301)
        counts = overview.repositories(session, caller, account.id)
        groups = overview.organisations(session, account.id) if account.kind == "user" else []
        members = overview.size(session, account.id) if account.kind == "org" else 0
    query = Query((by(account.name),), viewer=viewer_of(caller))
    lists = {
        type_: list_page(hub, caller, type_, query, OF_KIND[type_], "lastModified", SHOWN).items for type_ in TYPES
    }
    return page(
        request, "profile", account.name, caller, account=account, counts=counts, lists=lists, groups=groups,
        members=members,
    )  # fmt: skip
