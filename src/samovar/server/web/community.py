"""What people say of a repository: discussions and pull requests, read, begun, answered, closed and merged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import WEB_PREFIX, HubOf
from samovar.server.api.forms import Submitted, submitted_text
from samovar.server.errors import BadRequestError, HubError, UnauthenticatedError
from samovar.server.hub import Hub
from samovar.server.repos.differences import changes
from samovar.server.services import discussions, pulls
from samovar.server.services.access import Caller, RepoType, may_read_files
from samovar.server.web.files import KINDS, opened
from samovar.server.web.markup import card_html
from samovar.server.web.site import BrowserOf, new_router, page, safe

router = new_router()
FormOf = Annotated[Submitted, Depends(submitted_text)]
Kind = Literal["all", "discussion", "pull_request"]
Status = Literal["open", "closed"]


def listing(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, status: Status, kind: Kind, p: int
) -> Response:  # fmt: skip
    """Discussions and pull requests, the newest first."""
    at = opened(hub, caller, type_, full)
    counts = {
        one: discussions.listed(hub, caller, type_, full, 0, kind, one, None)["count"] for one in ("open", "closed")
    }
    found = discussions.listed(hub, caller, type_, full, p, kind, status, None)
    return page(
        request, "discussions", f"{full} · discussions", caller, **at.frame | {"tab": "community"},
        found=found["discussions"], counts=counts, state=status, chosen=kind, p=p,
        more=found["start"] + len(found["discussions"]) < found["count"],
    )  # fmt: skip


def beginning(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, fields: dict[str, str],
    error: HubError | None = None,
) -> Response:  # fmt: skip
    """The form for a new discussion."""
    at = opened(hub, caller, type_, full)
    caller.require_login()
    return page(
        request, "new_discussion", f"{full} · new discussion", caller, error.status if error else 200,
        **at.frame | {"tab": "community"}, fields=fields, error=error,
    )  # fmt: skip


def begin(request: Request, hub: Hub, form: Submitted, type_: RepoType, full: str) -> Response:
    """Form: `title`, `comment`, `csrf`."""
    fields = form.fields
    try:
        number = discussions.create(
            hub, form.caller, type_, full, fields.get("title", ""), fields.get("comment", "").replace("\r\n", "\n")
        )
    except BadRequestError as error:
        return beginning(request, hub, form.caller, type_, full, fields, error)
    return RedirectResponse(f"/{WEB_PREFIX[type_]}{full}/discussions/{number}", 303)


def discussion(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, text: str = "",
    error: HubError | None = None,
) -> Response:  # fmt: skip
    """One discussion with all that happened; of a pull request also what it changes, for whoever may read the files."""
    at = opened(hub, caller, type_, full)
    details = pulls.details(hub, caller, type_, full, number, diff=False)
    with hub.database.read() as session:
        found = discussions.get(session, caller, type_, full, number).discussion
        readable = may_read_files(session, caller, at.repository)
    changed, after = None, ""
    ends = pulls.ends_of(at.git, found) if found.is_pull_request and found.status != "merged" else None
    if ends is not None and readable:
        _, head, common = ends
        changed, after = changes(at.git, common.tree if common else None, head.tree), str(head.id)
    mine = caller.account_id is not None and found.author_id == caller.account_id
    return page(
        request, "discussion", f"{full} · {found.title}", caller, error.status if error else 200,
        **at.frame | {"tab": "community"}, one=details, events=[shown(one, at.root) for one in details["events"]],
        changes=changed, after=after, text=text, error=error,
        may_close=mine or at.frame["may_write"], may_merge=at.frame["may_write"] and ends is not None,
        branch=details.get("changes", {}).get("base", "").removeprefix("refs/heads/"),
    )  # fmt: skip


def shown(event: dict[str, Any], root: str) -> dict[str, Any]:
    """An event for a template: a comment's text as HTML that can do no harm."""
    if event["type"] != "comment" or event["data"]["hidden"]:
        return event
    # A line before the text: `---` at its beginning is no card's head here.
    html = card_html("\n" + event["data"]["latest"]["raw"], f"{root}/resolve/main/", f"{root}/blob/main/")
    return event | {"html": safe(html)}


def answer(request: Request, hub: Hub, form: Submitted, type_: RepoType, full: str, number: int) -> Response:
    """Form: `deed` (`comment`, `close`, `reopen`, `merge`, `hide` with `event`), `comment`, `csrf`."""
    fields, caller = form.fields, form.caller
    text, deed = fields.get("comment", "").replace("\r\n", "\n"), fields.get("deed", "comment")
    try:
        if deed in ("close", "reopen"):
            status = "closed" if deed == "close" else "open"
            discussions.set_status(hub, caller, type_, full, number, status, text)
        elif deed == "merge":
            pulls.merge(hub, caller, type_, full, number, text)
        elif deed == "hide":
            discussions.change_comment(hub, caller, type_, full, number, fields.get("event", ""), None)
        else:
            discussions.comment(hub, caller, type_, full, number, text)
    except UnauthenticatedError:
        raise
    except HubError as error:
        if error.status not in (400, 409):
            raise
        return discussion(request, hub, caller, type_, full, number, text, error)
    return RedirectResponse(f"/{WEB_PREFIX[type_]}{full}/discussions/{number}", 303)


def add_routes(prefix: str, type_: RepoType) -> None:
    """The pages of one kind of repository; models have no prefix."""
    here = prefix + "/{owner:owner}/{name:segment}/discussions"

    @router.get(here)
    def list_page(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, status: Status = "open",
        kind: Annotated[Kind, Query(alias="type")] = "all", p: Annotated[int, Query(ge=0, le=10**6)] = 0,
    ) -> Response:  # fmt: skip
        return listing(request, hub, caller, type_, f"{owner}/{name}", status, kind, p)

    @router.get(here + "/new")
    def new_page(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str) -> Response:
        return beginning(request, hub, caller, type_, f"{owner}/{name}", {})

    @router.post(here + "/new")
    def new_form(request: Request, hub: HubOf, form: FormOf, owner: str, name: str) -> Response:
        return begin(request, hub, form, type_, f"{owner}/{name}")

    @router.get(here + "/{number:int}")
    def discussion_page(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, number: int
    ) -> Response:  # fmt: skip
        return discussion(request, hub, caller, type_, f"{owner}/{name}", min(number, 10**9))

    @router.post(here + "/{number:int}")
    def discussion_form(
        request: Request, hub: HubOf, form: FormOf, owner: str, name: str, number: int
    ) -> Response:  # fmt: skip
        return answer(request, hub, form, type_, f"{owner}/{name}", min(number, 10**9))


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
