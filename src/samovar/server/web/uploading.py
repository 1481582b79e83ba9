"""Upload files by browser: with scripts in parts that can be gone on with, without them by a plain form; one commit.

What scripts do is in `static/upload.js`; they use the addresses that other clients use.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import WEB_PREFIX, HubOf, identified, require_csrf, require_own_page
from samovar.server.errors import BadRequestError, ForbiddenError, HubError, TooLargeError, UnauthenticatedError
from samovar.server.http.receiving import announced, heard
from samovar.server.hub import Hub
from samovar.server.repos.revisions import branch_of
from samovar.server.services import pulls, quota, uploads
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.commits import Draft
from samovar.server.services.large_files import Grant, store
from samovar.server.web.files import KINDS, opened, trail
from samovar.server.web.site import BrowserOf, new_router, page

router = new_router()
# Of a form without scripts.
MOST_FILES = 1000
SAMPLE, PIECE = 512, 2**20
# Of a chosen folder: what no client uploads either, or an operating system leaves everywhere; as in `upload.js`.
LEFT_OUT = re.compile(
    r"(^|/)(\.git|\.DS_Store|Thumbs\.db|desktop\.ini)(/|$)|(^|/)\.cache/huggingface/"
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A file that a form brought."""

    path: str
    file: BinaryIO
    size: int


class RefusedError(BadRequestError):
    """Files that were refused; nothing was committed."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("Some files were refused, and nothing was changed.", "Choose the others again.")
        self.problems = problems


def form(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str,
    fields: dict[str, str] | None = None, error: HubError | None = None,
) -> Response:  # fmt: skip
    """The form, for whoever may commit to the branch; with what was refused. Raises what `uploads.writable` does."""
    uploads.writable(hub, caller, type_, full, revision)
    at = opened(hub, caller, type_, full, revision)
    branch_of(at.git, revision)
    if at.repository.name != full and error is None:
        return RedirectResponse(address(type_, at.repository.name, revision, path), 301)
    return page(
        request, "upload", f"{at.repository.name} · {revision}", caller, error.status if error else 200, **at.frame,
        path=path, trail=trail(path), fields=fields or {}, error=error,
        problems=error.problems if isinstance(error, RefusedError) else [],
    )  # fmt: skip


def address(type_: RepoType, full: str, revision: str, path: str = "", page: str = "upload") -> str:
    """Where a page of a branch is."""
    below = f"/{quote(path)}" if path else ""
    return f"/{WEB_PREFIX[type_]}{full}/{page}/{quote(revision, safe='')}{below}"


async def take(request: Request, hub: Hub, type_: RepoType, full: str, revision: str, path: str) -> Response:
    """Form (multipart): `csrf`, `folder`, `message`, `pull`, `keep`, and the files. One commit, or nothing."""
    require_own_page(request)
    caller = await run_in_threadpool(identified, request)
    async with heard(request):
        await run_in_threadpool(uploads.writable, hub, caller, type_, full, revision)
        if announced(request, hub.settings.largest_commit) is None:
            raise BadRequestError("The form's length is missing.", "Send Content-Length, as browsers do.")
    async with request.form(max_files=MOST_FILES, max_fields=20) as sent:
        fields = {name: value for name, value in sent.items() if isinstance(value, str)}
        if caller.session_id is not None:
            require_csrf(caller, fields.get("csrf", ""))
        files = [
            Sent(placed(value.filename or "", fields, name == "tree"), value.file, value.size or 0)
            for name, value in sent.multi_items()
            if isinstance(value, UploadFile)
            and value.filename
            and not (name == "tree" and LEFT_OUT.search(value.filename))
        ]
        try:
            onward = await run_in_threadpool(put, hub, caller, type_, full, revision, files, fields)
        except HubError as error:
            if isinstance(error, UnauthenticatedError | ForbiddenError):
                raise
            return await run_in_threadpool(form, request, hub, caller, type_, full, revision, path, fields, error)
    return RedirectResponse(onward, 303)


def placed(name: str, fields: dict[str, str], below: bool) -> str:
    """The path of a file in the repository. Of a folder that was chosen its content goes in, unless `keep` is set."""
    if below and fields.get("keep") != "yes":
        name = name.partition("/")[2] or name
    folder = fields.get("folder", "").strip().strip("/")
    return f"{folder}/{name}" if folder else name


def put(
    hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, files: list[Sent], fields: dict[str, str]
) -> str:
    """Make the commit; where to go on. Raises `RefusedError` with what is wrong with each file."""
    if not files:
        raise BadRequestError("No file was chosen.", "Choose one.")
    number = uploads.writable(hub, caller, type_, full, revision)
    pull = fields.get("pull") == "yes"
    with hub.database.read() as session:
        repository = find(session, type_, full, caller)
        grant = Grant.of(session, caller, repository)
        quota.check(session, hub.settings, repository.owner_id, sum(one.size for one in files))
    plans = planned(hub, caller, type_, full, revision, files)
    draft = Draft.begin(hub, number)
    problems = []
    try:
        title = fields.get("message", "").strip()
        draft.header(title or f"Upload {files[0].path if len(files) == 1 else f'{len(files)} files'}", "", None)
        for one, plan in zip(files, plans, strict=True):
            try:
                if plan.ignored:
                    continue
                if plan.large:
                    draft.add_large(one.path, stored(hub, one, grant), one.size)
                else:
                    draft.add_file(one.path, one.file, one.size)
            except HubError as error:
                problems.append((one.path, error.message))
        if problems:
            raise RefusedError(problems)
        if not draft.operations:
            raise BadRequestError("All these files are left out by .gitignore.")
        done = pulls.commit(hub, caller, type_, full, draft, revision, pull)
    finally:
        draft.close()
    if done.number is not None:
        return f"/{WEB_PREFIX[type_]}{done.repository}/discussions/{done.number}"
    return address(type_, done.repository, revision, page="tree")


def planned(
    hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, files: list[Sent]
) -> list[uploads.Plan]:  # fmt: skip
    """Which way each file goes. Raises `RefusedError`."""
    asked = []
    for one in files:
        asked.append(uploads.Announced(one.path, one.file.read(SAMPLE), one.size))
        one.file.seek(0)
    try:
        return uploads.plan(hub, caller, type_, full, revision, asked)
    except (BadRequestError, TooLargeError) as first:
        problems = []
        for announcement in asked:
            try:
                uploads.plan(hub, caller, type_, full, revision, [announcement])
            except (BadRequestError, TooLargeError) as error:
                problems.append((announcement.path, error.message))
        raise RefusedError(problems) from first


def stored(hub: Hub, one: Sent, grant: Grant) -> str:
    """Bring a large file to the repository; its SHA-256."""
    digest, path = hashlib.sha256(), hub.objects.scratch()
    try:
        with path.open("wb") as target:
            while piece := one.file.read(PIECE):
                digest.update(piece)
                target.write(piece)
        store(hub, path, digest.hexdigest(), one.size, grant)
    finally:
        path.unlink(missing_ok=True)
    return digest.hexdigest()


def add_routes(prefix: str, type_: RepoType) -> None:
    """The pages of one kind of repository; models have no prefix."""
    here = prefix + "/{owner:owner}/{name:segment}"

    @router.get(here + "/upload/{revision:segment}")
    @router.get(here + "/upload/{revision:segment}/{path:rest}")
    def upload_page(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str, path: str = ""
    ) -> Response:
        return form(request, hub, caller, type_, f"{owner}/{name}", revision, path.strip("/"))

    @router.post(here + "/upload/{revision:segment}")
    @router.post(here + "/upload/{revision:segment}/{path:rest}")
    async def upload_form(
        request: Request, hub: HubOf, owner: str, name: str, revision: str, path: str = ""
    ) -> Response:
        return await take(request, hub, type_, f"{owner}/{name}", revision, path.strip("/"))


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
