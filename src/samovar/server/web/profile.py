"""The page of a user or organisation: who they are, what they made that the visitor may see, what they like."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query as Parameter
from fastapi import Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf
from samovar.server.api.filters import read_sort
from samovar.server.db.tables import Account
from samovar.server.errors import NotFoundError
from samovar.server.hub import Hub
from samovar.server.search.query import Query, by
from samovar.server.services import likes, organisations, overview
from samovar.server.services.access import TYPES, Caller, find_account
from samovar.server.services.searching import described, list_page, viewer_of
from samovar.server.web.listing import OF_KIND, SORTS
from samovar.server.web.site import BrowserOf, link, new_router, page

router = new_router()
SHOWN, LIKED, MEMBERS = 12, 30, 60


def called(session: Session, name: str) -> Account:
    """The account of that name. Raises `NotFoundError`, also for one that was locked."""
    account = find_account(session, name)
    if account is None or account.disabled:
        raise NotFoundError("There is nobody of this name.")
    return account


@router.get("/{owner:owner}")
def profile(request: Request, hub: HubOf, caller: BrowserOf, owner: str) -> Response:
    """Their models, data sets and spaces, in the order of `sort`."""
    sort = read_sort(request.query_params, "lastModified")
    with hub.database.read() as session:
        account = called(session, owner)
    if account.name != owner:
        return RedirectResponse(link(f"/{account.name}", **dict(request.query_params)), 301)
    query = Query((by(account.name),), viewer=viewer_of(caller))
    # Spaces are not downloaded: there, the order is the usual one.
    orders = {type_: "lastModified" if type_ == "space" and sort == "downloads" else sort for type_ in TYPES}
    lists = {type_: list_page(hub, caller, type_, query, OF_KIND[type_], orders[type_], SHOWN).items for type_ in TYPES}
    return shown(
        request, hub, caller, account, "repositories", lists=lists, sort=sort,
        sorts=[(name, title, link(f"/{account.name}", sort=name)) for name, title in SORTS.items()],
        everything={type_: link(f"/{type_}s", author=account.name, sort=orders[type_]) for type_ in TYPES},
    )  # fmt: skip


@router.get("/{owner:owner}/likes")
def liked(
    request: Request, hub: HubOf, caller: BrowserOf, owner: str, p: Annotated[int, Parameter(ge=0, le=10_000)] = 0
) -> Response:
    """What they like, the last liked first."""
    with hub.database.read() as session:
        account = called(session, owner)
        found = likes.newest(session, caller, account.id, LIKED + 1, p * LIKED)
    shown_ones = {}
    for type_ in TYPES:
        ids = [number for kind, number in found[:LIKED] if kind == type_]
        for item in described(hub, caller, type_, ids, OF_KIND[type_]):
            shown_ones[int(item["_id"], 16)] = item
    # Those that became private meanwhile are left out.
    rows = [(kind, shown_ones[number]) for kind, number in found[:LIKED] if number in shown_ones]
    return shown(request, hub, caller, account, "likes", rows=rows, p=p, more=len(found) > LIKED)


def shown(request: Request, hub: Hub, caller: Caller, account: Account, tab: str, **values: Any) -> Response:
    """One of the tabs, below who it is."""
    with hub.database.read() as session:
        person = account.kind == "user"
        counts = overview.repositories(session, caller, account.id)
        groups = overview.organisations(session, account.id) if person else []
        number = 0 if person else overview.size(session, account.id)
        members = [] if person else organisations.members(session, account, MEMBERS, None)
        count = overview.likes(session, caller, account.id) if person else 0
    return page(
        request, f"profile_{tab}", account.full_name or account.name, caller, account=account, counts=counts,
        groups=groups, members=members, number=number, liked=count, tab=tab,
        role=caller.organisations.get(account.id), runs=not person and caller.may_run(account.id), **values,
    )  # fmt: skip
