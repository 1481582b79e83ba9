"""Pages on which people make and change repositories: a new one, its settings, its card and other texts.

All work without scripts: each is a form that this server answers with a page or a redirect.
"""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy import select
from starlette.responses import HTMLResponse, RedirectResponse, Response

from samovar.server.api.context import SINGULAR, WEB_PREFIX, HubOf
from samovar.server.api.forms import Submitted, submitted, submitted_text
from samovar.server.db.tables import Account
from samovar.server.errors import BadRequestError, EntryNotFoundError, ForbiddenError, HubError, UnauthenticatedError
from samovar.server.hub import Hub
from samovar.server.repos.names import file_path
from samovar.server.services import pulls, repositories, uploads
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.cards import check_card
from samovar.server.services.commits import Draft
from samovar.server.services.files import find_file
from samovar.server.web.files import KINDS, opened, trail
from samovar.server.web.markup import card_html, coloured
from samovar.server.web.site import HEADERS, BrowserOf, new_router, page, safe

router = new_router()
FormOf = Annotated[Submitted, Depends(submitted)]
LARGEST = 500_000
SAMPLE = """---
license: mit
language: en
---
# Title

What this is, what it is for, and how it was made.
"""


@router.get("/new")
def new(request: Request, hub: HubOf, caller: BrowserOf, kind: Annotated[str, Query()] = "models") -> Response:
    """The form for a new repository."""
    return new_form(request, hub, caller, {"kind": kind if kind in SINGULAR else "models"})


@router.post("/new")
def create(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Form: `kind`, `owner`, `name`, `private`, `csrf`."""
    fields, caller = form.fields, form.caller
    type_ = SINGULAR.get(fields.get("kind", ""), "model")
    try:
        made = repositories.create(
            hub, caller, type_, fields.get("name", "").strip(), fields.get("owner") or None,
            private=fields.get("private") == "yes",
        )  # fmt: skip
    except HubError as error:
        return new_form(request, hub, caller, fields, error)
    return RedirectResponse(f"/{WEB_PREFIX[type_]}{made.name}", 303)


def new_form(
    request: Request, hub: Hub, caller: Caller, values: dict[str, str], error: HubError | None = None
) -> Response:
    """The form, with what went wrong."""
    caller.require_login()
    with hub.database.read() as session:
        ids = [number for number in caller.organisations if caller.may_write_in(number)]
        groups = session.scalars(select(Account.name).where(Account.id.in_(ids)).order_by(Account.name)).all()
    return page(
        request, "new", "New repository", caller, error.status if error else 200, values=values,
        owners=[caller.name, *groups], problem=error.message if error else "",
    )  # fmt: skip


def settings(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, error: HubError | None = None
) -> Response:
    """Visibility, name, and deletion."""
    with hub.database.read() as session:
        find(session, type_, full, caller, "admin")
    at = opened(hub, caller, type_, full)
    return page(
        request, "settings", f"{full} · settings", caller, error.status if error else 200,
        **at.frame | {"tab": "settings"}, problem=error.message if error else "",
    )  # fmt: skip


def change(request: Request, hub: Hub, form: Submitted, type_: RepoType, full: str) -> Response:
    """Form: `deed` (`visibility`, `rename` or `delete`) with its fields, `csrf`."""
    fields, caller = form.fields, form.caller
    deed = fields.get("deed")
    try:
        if deed == "visibility":
            gated: str | bool = fields["gated"] if fields.get("gated") in ("auto", "manual") else False
            repositories.set_visibility(hub, caller, type_, full, fields.get("private") == "yes", gated)
        elif deed == "rename":
            full = repositories.rename(hub, caller, type_, full, fields.get("name", "").strip()).name
        elif deed == "delete":
            if fields.get("name", "").strip() != full:
                raise BadRequestError("The name is not the repository's.", f"Type {full} to delete it.")
            repositories.remove(hub, caller, type_, full)
            return RedirectResponse(f"/{full.partition('/')[0]}", 303)
        else:
            raise BadRequestError("Nothing was chosen.")
    except HubError as error:
        return settings(request, hub, caller, type_, full, error)
    return RedirectResponse(f"/{WEB_PREFIX[type_]}{full}/settings", 303)


def edit(request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str) -> Response:
    """The text of a file in a form; an empty one for a file that is not there yet."""
    uploads.writable(hub, caller, type_, full, revision)
    text, parent = "", None
    try:
        with hub.database.read() as session:
            file = find_file(hub, session, type_, full, caller, revision, path)
    except EntryNotFoundError as error:
        parent = error.headers.get("X-Repo-Commit")
        text = SAMPLE if path == "README.md" else ""
    else:
        if file.sha256 or file.size > LARGEST or b"\0" in file.data:
            raise BadRequestError("This file cannot be edited here.", "Upload a new one in its place.")
        text, parent = file.data.decode("utf-8", "replace"), file.commit
    return editor(request, hub, caller, type_, full, revision, path, {"text": text, "parent": parent or ""})


def editor(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str,
    fields: dict[str, str], problem: str = "", status: int = 200, preview: bool = False,
) -> Response:  # fmt: skip
    """The form, with what went wrong or how the text will look."""
    at = opened(hub, caller, type_, full, revision)
    return page(
        request, "edit", f"{full} · {path}", caller, status, **at.frame, path=path, trail=trail(path), fields=fields,
        problem=problem, preview=safe(previewed(at.root, revision, path, fields.get("text", ""))) if preview else None,
        markdown=path.endswith(".md"),
    )  # fmt: skip


def previewed(root: str, revision: str, path: str, text: str) -> str:
    """How a text will look."""
    if path.endswith(".md"):
        return card_html(text, f"{root}/resolve/{revision}/", f"{root}/blob/{revision}/")
    return f"<pre><code>{coloured(text, path)}</code></pre>"


def save(request: Request, hub: Hub, form: Submitted, type_: RepoType, full: str, revision: str, path: str) -> Response:
    """Form: `text`, `parent` (the commit that was edited), `message`, `deed` (`commit`, `preview` or `delete`)."""
    fields, caller = form.fields, form.caller
    text = fields.get("text", "").replace("\r\n", "\n")
    root = f"/{WEB_PREFIX[type_]}{full}"
    if request.headers.get("x-part") == "preview":
        return HTMLResponse(previewed(root, revision, path, text), headers=HEADERS)
    if fields.get("deed") == "preview":
        return editor(request, hub, caller, type_, full, revision, path, fields, preview=True)
    try:
        errors = check_card(text)[0] if path == "README.md" else []
        if errors:
            raise BadRequestError(errors[0], "Correct the lines between `---`.")
        draft = Draft.begin(hub, uploads.writable(hub, caller, type_, full, revision))
        try:
            deleting = fields.get("deed") == "delete"
            title = fields.get("message", "").strip() or f"{'Delete' if deleting else 'Update'} {path}"
            draft.header(title, "", fields.get("parent") or None)
            if deleting:
                draft.delete(path, False)
            else:
                data = text.encode()
                draft.add_file(file_path(path), io.BytesIO(data), len(data))
            pulls.commit(hub, caller, type_, full, draft, revision, False)
        finally:
            draft.close()
    except UnauthenticatedError:
        raise
    except HubError as error:
        if isinstance(error, ForbiddenError):
            raise
        return editor(request, hub, caller, type_, full, revision, path, fields, error.message, error.status)
    return RedirectResponse(root if path == "README.md" else f"{root}/tree/{revision.replace('/', '%2F')}", 303)


def add_routes(prefix: str, type_: RepoType) -> None:
    """The pages of one kind of repository; models have no prefix."""
    here = prefix + "/{owner:owner}/{name:segment}"

    @router.get(here + "/settings")
    def settings_page(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str) -> Response:
        return settings(request, hub, caller, type_, f"{owner}/{name}")

    @router.post(here + "/settings")
    def settings_form(request: Request, hub: HubOf, form: FormOf, owner: str, name: str) -> Response:
        return change(request, hub, form, type_, f"{owner}/{name}")

    @router.get(here + "/edit/{revision:segment}/{path:rest}")
    def edit_page(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str, path: str
    ) -> Response:
        return edit(request, hub, caller, type_, f"{owner}/{name}", revision, path)

    @router.post(here + "/edit/{revision:segment}/{path:rest}")
    def edit_form(
        request: Request, hub: HubOf, form: Annotated[Submitted, Depends(submitted_text)], owner: str, name: str,
        revision: str, path: str,
    ) -> Response:  # fmt: skip
        return save(request, hub, form, type_, f"{owner}/{name}", revision, path)


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
