"""Gated repositories on pages: the form with which somebody asks for the files, and the owner's page of who asked.

What is asked for stands in the card, as in the field: `extra_gated_fields`, `extra_gated_prompt` and the like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args

from fastapi import Depends, Query, Request
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import WEB_PREFIX, HubOf
from samovar.server.api.forms import Submitted, submitted
from samovar.server.db.tables import AccessRequest, Repository, RepositoryContent
from samovar.server.errors import BadRequestError, HubError
from samovar.server.hub import Hub
from samovar.server.services import gating
from samovar.server.services.access import Caller, RepoType, find, may_read_files
from samovar.server.web.files import KINDS, opened
from samovar.server.web.markup import card_html
from samovar.server.web.site import BrowserOf, link, new_router, page, safe

router = new_router()
FormOf = Annotated[Submitted, Depends(submitted)]
MOST_FIELDS, MOST_OPTIONS, LONGEST, SHOWN = 30, 60, 300, 50


@dataclass(frozen=True)
class Field:
    """One question of the form."""

    name: str
    kind: str
    """`text`, `checkbox`, `select` or `date`."""
    options: list[tuple[str, str]]
    """(value, label) of a select."""


@dataclass(frozen=True)
class Gate:
    """What stands between a visitor and the files."""

    state: str
    """`ask`, `pending`, `rejected`, or `open` for whoever is let in."""
    reason: str
    heading: str
    prompt: Markup
    button: str
    fields: list[Field]
    waiting: int
    """How many requests wait for an answer, for those who may give it."""


def gate_of(session: Session, caller: Caller, repository: Repository, card: dict[str, Any]) -> Gate | None:
    """The gate of a repository as the caller meets it; None if it has none."""
    if not repository.gated:
        return None
    asked = gating.of(session, repository, caller.account_id) if caller.account_id else None
    state = "open" if may_read_files(session, caller, repository) else asked.status if asked else "ask"
    waiting = 0
    if caller.may_administer(repository):
        pending = (AccessRequest.repository_id == repository.id, AccessRequest.status == "pending")
        waiting = session.scalar(select(func.count()).select_from(AccessRequest).where(*pending)) or 0
    said = {
        name: value if isinstance(value := card.get(f"extra_gated_{name}"), str) else ""
        for name in ("heading", "prompt", "description", "button_content")
    }
    prompt = card_html(said["prompt"] or said["description"], "/", "/")
    return Gate(
        state, asked.reason if asked else "", said["heading"][:LONGEST], safe(prompt), said["button_content"][:60],
        fields_of(card), waiting,
    )  # fmt: skip


def fields_of(card: dict[str, Any]) -> list[Field]:
    """The questions of a card; what does not have the form is left out."""
    given = card.get("extra_gated_fields")
    found = []
    for name, what in list(given.items())[:MOST_FIELDS] if isinstance(given, dict) else []:
        kind = what.get("type") if isinstance(what, dict) else what
        options = [option_of(one) for one in what.get("options") or []] if isinstance(what, dict) else []
        if isinstance(name, str) and isinstance(kind, str) and len(name) <= LONGEST and name != "csrf":
            known = {"date_picker": "date", "checkbox": "checkbox", "select": "select"}.get(kind, "text")
            found.append(Field(name, known if options or known != "select" else "text", options[:MOST_OPTIONS]))
    return found


def option_of(one: object) -> tuple[str, str]:
    """(value, label) of a choice, written as a text or as `{label, value}`."""
    if isinstance(one, dict):
        return str(one.get("value", ""))[:LONGEST], str(one.get("label", one.get("value", "")))[:LONGEST]
    return str(one)[:LONGEST], str(one)[:LONGEST]


def ask(hub: Hub, form: Submitted, type_: RepoType, full: str) -> Response:
    """Ask with the fields of the page's form, and go back to the page. Raises `BadRequestError` for one left empty."""
    fields = {name: value for name, value in form.fields.items() if name != "csrf"}
    with hub.database.read() as session:
        content = session.get(RepositoryContent, find(session, type_, full, form.caller).id)
        wanted = fields_of(content.card) if content else []
    empty = [one.name for one in wanted if not fields.get(one.name, "").strip()]
    if empty:
        raise BadRequestError(f"This was left empty: {', '.join(empty)}.", "Go back, and fill it in.")
    gating.ask(hub.database, form.caller, type_, full, fields)
    return RedirectResponse(f"/{WEB_PREFIX[type_]}{full}", 303)


def listed(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, status: gating.Status = "pending",
    after: int = 0, error: HubError | None = None,
) -> Response:  # fmt: skip
    """Who asked, in one of the states. For those who administer the repository."""
    with hub.database.read() as session:
        repository = gating.gated(session, caller, type_, full, "admin")
        rows = gating.listed(session, repository, status, SHOWN + 1, after)
        counts = dict(
            session.execute(
                select(AccessRequest.status, func.count())
                .where(AccessRequest.repository_id == repository.id)
                .group_by(AccessRequest.status)
            ).all()
        )
    at = opened(hub, caller, type_, full)
    here = f"{at.root}/settings/access"
    return page(
        request, "access", f"{full} · access", caller, error.status if error else 200, **at.frame | {"tab": "access"},
        rows=rows[:SHOWN], chosen=status, this=here, error=error,
        states=[(one, counts.get(one, 0), link(here, status=one)) for one in get_args(gating.Status)],
        more=link(here, status=status, after=rows[SHOWN - 1][0].id) if len(rows) > SHOWN else None,
    )  # fmt: skip


def handle(request: Request, hub: Hub, form: Submitted, type_: RepoType, full: str) -> Response:
    """Form: `deed` (`accepted`, `rejected`, `pending`, or `grant`), `user`, `reason`, `status` (the list), `csrf`."""
    fields, caller, user = form.fields, form.caller, form.fields.get("user", "").strip()
    status: gating.Status = "pending"
    for one in get_args(gating.Status):
        status = one if fields.get("status") == one else status
    try:
        match fields.get("deed"):
            case "accepted" | "rejected" | "pending" as wanted:
                reason = fields.get("reason", "").strip()[:200]
                gating.handle(hub.database, caller, type_, full, wanted, user, reason=reason)
            case "grant":
                gating.grant(hub.database, caller, type_, full, user)
            case _:
                raise BadRequestError("Nothing was chosen.")
    except HubError as error:
        with hub.database.read() as session:
            find(session, type_, full, caller, "admin")
        return listed(request, hub, caller, type_, full, status, error=error)
    return RedirectResponse(link(f"/{WEB_PREFIX[type_]}{full}/settings/access", status=status), 303)


def add_routes(prefix: str, type_: RepoType) -> None:
    """The pages of one kind of repository; models have no prefix."""
    here = prefix + "/{owner:owner}/{name:segment}"

    @router.post(here + "/ask-access")
    def asked(hub: HubOf, form: FormOf, owner: str, name: str) -> Response:
        return ask(hub, form, type_, f"{owner}/{name}")

    @router.get(here + "/settings/access")
    def requests(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, status: gating.Status = "pending",
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    ) -> Response:  # fmt: skip
        return listed(request, hub, caller, type_, f"{owner}/{name}", status, after)

    @router.post(here + "/settings/access")
    def handled(request: Request, hub: HubOf, form: FormOf, owner: str, name: str) -> Response:
        return handle(request, hub, form, type_, f"{owner}/{name}")


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
