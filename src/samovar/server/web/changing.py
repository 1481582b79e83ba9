"""One file gets another name, or goes: forms on its page, a commit each."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import WEB_PREFIX, HubOf
from samovar.server.api.forms import Submitted, submitted
from samovar.server.errors import BadRequestError, ConflictError, EntryNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos.names import file_path, printable
from samovar.server.services import pulls, uploads
from samovar.server.services.access import RepoType
from samovar.server.services.commits import AddFile, Draft
from samovar.server.services.files import find_file
from samovar.server.web.files import KINDS
from samovar.server.web.site import new_router

router = new_router()


def change(hub: Hub, form: Submitted, type_: RepoType, full: str, revision: str, path: str) -> Response:
    """Form: `deed` (`rename` with `name`, or `delete`), `message`, `csrf`. Raises what is in the way."""
    fields, caller = form.fields, form.caller
    number = uploads.writable(hub, caller, type_, full, revision)
    with hub.database.read() as session:
        file = find_file(hub, session, type_, full, caller, revision, path)
        message, deed = fields.get("message", "").strip(), fields.get("deed")
        name = file_path(fields.get("name", "").strip().strip("/")) if deed == "rename" else ""
        if deed not in ("rename", "delete") or name == path:
            raise BadRequestError("Nothing was changed.", "Give another name.")
        if name:
            try:
                find_file(hub, session, type_, full, caller, revision, name)
            except EntryNotFoundError:
                pass
            else:
                raise ConflictError(f"There is a file {printable(name)} already.", "Choose another name.")
    draft = Draft.begin(hub, number)
    try:
        draft.header(message or (f"Rename {path} to {name}" if name else f"Delete {path}"), "", file.commit)
        draft.delete(path, folder=False)
        if name and file.sha256 is not None:
            draft.add_large(name, file.sha256, None)
        elif name:
            draft.operate(AddFile(name, bytes.fromhex(file.blob)))
        pulls.commit(hub, caller, type_, full, draft, revision, False)
    finally:
        draft.close()
    root, at = f"/{WEB_PREFIX[type_]}{file.repository.name}", quote(revision, safe="")
    folder = path.rpartition("/")[0]
    return RedirectResponse(
        f"{root}/blob/{at}/{quote(name)}" if name else f"{root}/tree/{at}{f'/{quote(folder)}' if folder else ''}", 303
    )


def add_routes(prefix: str, type_: RepoType) -> None:
    """The forms of one kind of repository; models have no prefix."""
    here = prefix + "/{owner:owner}/{name:segment}"

    @router.post(here + "/blob/{revision:segment}/{path:rest}")
    def change_form(
        request: Request, hub: HubOf, form: Annotated[Submitted, Depends(submitted)], owner: str, name: str,
        revision: str, path: str,
    ) -> Response:  # fmt: skip
        return change(hub, form, type_, f"{owner}/{name}", revision, path)


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
