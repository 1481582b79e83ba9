"""Uploading: which way each file goes, and the commit that puts them in place."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from samovar.server.api.context import CallerOf, HubOf, Plural, base_url, repo_type, repo_url
from samovar.server.errors import BadRequestError, HubError
from samovar.server.http.bodies import LARGEST, drain
from samovar.server.http.ndjson import Line, Lines
from samovar.server.hub import Hub
from samovar.server.services import pulls, uploads
from samovar.server.services.access import Caller, RepoType
from samovar.server.services.cards import check_card
from samovar.server.services.commits import Draft

router = APIRouter(tags=["upload"])
REPOSITORY = "/api/{kind}/{owner:segment}/{name:segment}"
# Bytes that go to a thread at a time.
PIECE = 2**18
# What the operations of a commit come as; nobody looks at the header.
NDJSON = ("application/x-ndjson", "text/plain")


class Card(BaseModel):
    """A README to look at."""

    content: str = Field(max_length=2**22)
    repo_type: str = Field("model", alias="repoType")


class Announced(BaseModel):
    """A file that will be uploaded: its first bytes (base64) and its size."""

    path: str
    sample: str = Field("", max_length=2**14)
    size: int = Field(ge=0, le=2**62)


class Announcement(BaseModel):
    """The files of a commit that is being prepared."""

    files: list[Announced] = Field(max_length=uploads.MOST_FILES)
    git_ignore: str | None = Field(None, alias="gitIgnore", max_length=2**20)
    git_attributes: str | None = Field(None, alias="gitAttributes", max_length=2**20)


@router.post("/api/validate-yaml", max_body_size=LARGEST)
def validate_yaml(card: Card, response: Response) -> dict[str, Any]:
    """Whether a README's YAML can be read; 400 with `errors` if not. Warnings keep nobody from committing it."""
    errors, warnings = check_card(card.content)
    response.status_code = 400 if errors else 200
    return {
        "errors": [{"message": one} for one in errors],
        "warnings": [{"message": one} for one in warnings],
    }


@router.post(REPOSITORY + "/preupload/{rev:segment}", max_body_size=LARGEST)
def preupload(
    hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    rev: Annotated[str, Path()], announcement: Announcement, create_pr: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Which way each file goes (`regular`: within the commit; `lfs`: as a large file first), which of them
    `.gitignore` leaves out, and what is there now under its name."""
    files = []
    for one in announcement.files:
        try:
            sample = base64.b64decode(one.sample, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequestError("A file's sample is no base64.") from error
        files.append(uploads.Announced(one.path, sample, one.size))
    plans = uploads.plan(
        hub, caller, repo_type(kind), f"{owner}/{name}", rev, files, create_pr,
        ignore=announcement.git_ignore, git_attributes=announcement.git_attributes,
    )  # fmt: skip
    return {
        "files": [
            {
                "path": plan.path,
                "uploadMode": "lfs" if plan.large else "regular",
                "shouldIgnore": plan.ignored,
                **({"oid": plan.oid} if plan.oid else {}),
            }
            for plan in plans
        ]
    }


@router.post(
    REPOSITORY + "/commit/{rev:segment}",
    openapi_extra={"requestBody": {"content": {one: {"schema": {"type": "string"}} for one in NDJSON}}},
)
async def commit(
    request: Request, hub: HubOf, caller: CallerOf, kind: Plural, owner: Annotated[str, Path()],
    name: Annotated[str, Path()], rev: Annotated[str, Path()], create_pr: Annotated[bool, Query()] = False,
) -> dict[str, Any]:  # fmt: skip
    """Commit operations that come as one JSON object a line: `header`, `file`, `lfsFile`, `deletedFile`,
    `deletedFolder`. They are read as they arrive; the commit happens whole or not at all."""
    type_, full = repo_type(kind), f"{owner}/{name}"
    draft = await anyio.to_thread.run_sync(begin, hub, caller, type_, full, rev, create_pr)
    settings = hub.settings
    lines = Lines(settings.largest_regular, settings.largest_commit * 3 // 2 + 2**26)
    try:
        buffer = bytearray()
        async for piece in request.stream():
            buffer += piece
            if len(buffer) >= PIECE:
                await anyio.to_thread.run_sync(take, draft, lines, bytes(buffer), False)
                buffer.clear()
        await anyio.to_thread.run_sync(take, draft, lines, bytes(buffer), True)
        done = await anyio.to_thread.run_sync(pulls.commit, hub, caller, type_, full, draft, rev, create_pr)
    except ClientDisconnect as error:
        raise BadRequestError("The request ended early.") from error
    except HubError as error:
        await drain(request, error)
        raise
    finally:
        lines.close()
        draft.close()
    url = repo_url(base_url(request), type_, done.repository)
    answer = {
        "success": True, "commitUrl": f"{url}/commit/{done.commit}", "commitOid": done.commit, "hookOutput": "",
    }  # fmt: skip
    if done.number is not None:
        answer["pullRequestUrl"] = f"{url}/discussions/{done.number}"
    return answer


def begin(hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, create_pr: bool) -> Draft:
    """A draft in a repository that the caller may commit to. Raises what `access.find` does."""
    return Draft.begin(hub, uploads.writable(hub, caller, type_, full, revision, create_pr))


def take(draft: Draft, lines: Lines, data: bytes, last: bool) -> None:
    """Give what arrived to the draft."""
    for line in lines.feed(data):
        operate(draft, line)
    if last:
        for line in lines.end():
            operate(draft, line)


def operate(draft: Draft, line: Line) -> None:
    """Give one line to the draft. Raises `BadRequestError` for one that makes no sense."""
    value = line.value
    try:
        if line.key == "header":
            parent, description = value.get("parentCommit"), value.get("description")
            draft.header(
                text(value.get("summary")),
                "" if description is None else text(description),
                None if parent is None else text(parent),
            )
        elif line.key == "file":
            if line.content is None:
                content = text(value.get("content")).encode()
                raise BadRequestError(
                    f"A file's content ({len(content)} bytes) is not in base64.", 'Send `"encoding": "base64"`.'
                )
            draft.add_file(text(value.get("path")), line.content, line.size)
        elif line.key == "lfsFile":
            if value.get("algo", "sha256") != "sha256":
                raise BadRequestError("Large files are named by their sha256.")
            size = value.get("size")
            if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
                raise BadRequestError("A file's size is a number.")
            draft.add_large(text(value.get("path")), text(value.get("oid")), size)
        elif line.key in ("deletedFile", "deletedFolder"):
            draft.delete(text(value.get("path")), folder=line.key == "deletedFolder")
        else:
            raise BadRequestError(f"There is no operation {line.key[:40]!r}.")
    finally:
        if line.content is not None:
            line.content.close()


def text(value: object) -> str:
    """A string. Raises `BadRequestError`."""
    if not isinstance(value, str):
        raise BadRequestError("A value of an operation is missing, or no string.")
    return value
