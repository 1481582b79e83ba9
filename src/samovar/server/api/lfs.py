"""Large files as git-lfs and clients of the Hub send and fetch them: batch, single and in parts, verify.

The addresses that a batch hands out are signed: clients send no token there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from samovar.server.api.context import WEB_PREFIX, CallerOf, HubOf, base_url
from samovar.server.errors import BadRequestError, HubError, NotFoundError, UnprocessableError
from samovar.server.http.bodies import LARGEST
from samovar.server.http.files import FileResponse, Stored
from samovar.server.http.receiving import heard, receive
from samovar.server.hub import Hub
from samovar.server.services import lfs, parts, quota
from samovar.server.services.access import Caller, RepoType
from samovar.server.services.large_files import grant_of, store, uploader

router = APIRouter(tags=["large files"])
MEDIA = "application/vnd.git-lfs+json"
MOST_OBJECTS = 1000
Segment = Annotated[str, Path(max_length=300)]
Ticket = Annotated[str, Path(max_length=2000)]
T = TypeVar("T")


class LfsObject(BaseModel):
    """A large file by hash and size."""

    oid: str = Field(max_length=200)
    size: int = Field(ge=-(2**63), le=2**63)


class Batch(BaseModel):
    """A question about many."""

    operation: str = Field(max_length=20)
    transfers: list[str] = Field(default=["basic"], max_length=20)
    objects: list[LfsObject] = Field(max_length=MOST_OBJECTS)
    hash_algo: str = Field(default="sha256", max_length=20)
    resumable: bool = False
    """Of this Hub: go on with the parts of an upload that was broken off; `arrived` says which are here."""


class Part(BaseModel):
    """A part that was sent."""

    partNumber: int  # noqa: N815
    etag: str = Field(max_length=200)


class Completion(BaseModel):
    """All parts are sent."""

    oid: str = Field(max_length=200)
    parts: list[Part] = Field(max_length=lfs.MOST_PARTS)


def for_git(work: Callable[[], T]) -> T:
    """Run, telling git-lfs how to log in when that is what is missing."""
    try:
        return work()
    except HubError as error:
        error.more["message"] = error.message
        if error.status == 401:
            error.headers |= {"WWW-Authenticate": 'Basic realm="Hub"', "LFS-Authenticate": 'Basic realm="Hub"'}
        raise


def answer_batch(request: Request, hub: Hub, caller: Caller, type_: RepoType, name: str, batch: Batch) -> Response:
    """What to do with each file."""
    wanted = [lfs.Wanted(one.oid, one.size) for one in batch.objects]
    if batch.hash_algo != "sha256":
        raise BadRequestError("Large files are named by their SHA-256 here.", "Use hash_algo sha256.")
    in_parts = "multipart" in batch.transfers
    if batch.operation == "upload":
        answers = for_git(lambda: lfs.upload(hub, caller, type_, name, wanted, in_parts, batch.resumable))
    elif batch.operation == "download":
        answers = for_git(lambda: lfs.download(hub, caller, type_, name, wanted))
    else:
        raise BadRequestError("The operation is neither upload nor download.")
    base = base_url(request)
    verify = f"{base}/{WEB_PREFIX[type_]}{name}.git/info/lfs/objects/verify"
    transfer = "multipart" if any(one.chunk for one in answers) else "basic"
    found = [described(hub, base, verify, one) for one in answers]
    return JSONResponse({"transfer": transfer, "objects": found, "hash_algo": "sha256"}, media_type=MEDIA)


def described(hub: Hub, base: str, verify: str, one: lfs.Answer) -> dict[str, Any]:
    """One file of the answer. Without `actions` it is here already."""
    found: dict[str, Any] = {"oid": one.oid, "size": one.size}
    expires = int(hub.settings.upload_lifetime.total_seconds())
    if one.error is not None:
        found["error"] = {"code": one.error.status, "message": one.error.message}
    elif one.get is not None:
        download = {"href": f"{base}/api/lfs/objects/{one.get}", "expires_in": expires}
        found |= {"authenticated": True, "actions": {"download": download}}
    elif one.put is not None:
        upload: dict[str, Any] = {"href": f"{base}/api/lfs/objects/{one.put}", "expires_in": expires}
        if one.chunk is not None:
            urls = {str(at): f"{base}/api/lfs/parts/{part}" for at, part in enumerate(one.parts, 1)}
            upload["header"] = {"chunk_size": str(one.chunk), **urls}
            if one.arrived:
                upload["arrived"] = list(one.arrived)
        found["actions"] = {"upload": upload, "verify": {"href": verify}}
    return found


def answer_verify(hub: Hub, caller: Caller, type_: RepoType, name: str, one: LfsObject) -> Response:
    """Whether a file has arrived."""
    for_git(lambda: lfs.verify(hub, caller, type_, name, lfs.Wanted(one.oid, one.size)))
    return JSONResponse({}, media_type=MEDIA)


@router.post("/datasets/{owner:segment}/{name:segment}.git/info/lfs/objects/batch", max_body_size=LARGEST)
def dataset_batch(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, batch: Batch
) -> Response:
    """What to do to send or fetch large files of a data set."""
    return answer_batch(request, hub, caller, "dataset", f"{owner}/{name}", batch)


@router.post("/spaces/{owner:segment}/{name:segment}.git/info/lfs/objects/batch", max_body_size=LARGEST)
def space_batch(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, batch: Batch
) -> Response:
    """What to do to send or fetch large files of a space."""
    return answer_batch(request, hub, caller, "space", f"{owner}/{name}", batch)


@router.post("/{owner:segment}/{name:segment}.git/info/lfs/objects/batch", max_body_size=LARGEST)
def model_batch(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, batch: Batch
) -> Response:
    """What to do to send or fetch large files of a model."""
    return answer_batch(request, hub, caller, "model", f"{owner}/{name}", batch)


@router.post("/datasets/{owner:segment}/{name:segment}.git/info/lfs/objects/verify", max_body_size=LARGEST)
def dataset_verify(hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, one: LfsObject) -> Response:
    """Whether a large file of a data set has arrived."""
    return answer_verify(hub, caller, "dataset", f"{owner}/{name}", one)


@router.post("/spaces/{owner:segment}/{name:segment}.git/info/lfs/objects/verify", max_body_size=LARGEST)
def space_verify(hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, one: LfsObject) -> Response:
    """Whether a large file of a space has arrived."""
    return answer_verify(hub, caller, "space", f"{owner}/{name}", one)


@router.post("/{owner:segment}/{name:segment}.git/info/lfs/objects/verify", max_body_size=LARGEST)
def model_verify(hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, one: LfsObject) -> Response:
    """Whether a large file of a model has arrived."""
    return answer_verify(hub, caller, "model", f"{owner}/{name}", one)


@router.put("/api/lfs/objects/{ticket:segment}")
async def put_object(request: Request, hub: HubOf, ticket: Ticket) -> Response:
    """Send a large file whole."""
    async with heard(request):
        signed = hub.signer.check(lfs.PUT, ticket)
        if "upload" in signed:
            raise BadRequestError("This file is to be sent in parts.", "Send them to the addresses in `header`.")
        await anyio.to_thread.run_sync(check_grant, hub, signed)
        path = await anyio.to_thread.run_sync(hub.objects.scratch)
        received = await receive(request, path, signed["size"])
    if (received.sha256, received.size) != (signed["oid"], signed["size"]):
        path.unlink(missing_ok=True)
        raise UnprocessableError(
            f"{received.size} bytes with the SHA-256 {received.sha256} arrived, not {signed['size']} with "
            f"{signed['oid']}.", "Upload the file again.",
        )  # fmt: skip
    await anyio.to_thread.run_sync(store, hub, path, received.sha256, received.size, grant_of(signed))
    return Response(None, 200, {"ETag": f'"{received.sha256}"'})


def check_grant(hub: Hub, signed: dict[str, Any]) -> None:
    """Raises what `uploader` and `quota.check` do, before many bytes are sent for nothing."""
    with hub.database.read() as session:
        _, repository = uploader(session, grant_of(signed))
        quota.check(session, hub.settings, repository.owner_id, signed["size"])


@router.put("/api/lfs/parts/{ticket:segment}")
async def put_part(request: Request, hub: HubOf, ticket: Ticket) -> Response:
    """Send a part of a large file. Parts may come in any order, at the same time, and again."""
    async with heard(request):
        signed = hub.signer.check(lfs.PART, ticket)
        await anyio.to_thread.run_sync(check_grant, hub, signed)
        folder = await anyio.to_thread.run_sync(parts.folder_of, hub, signed)
        path = parts.incoming(folder)
        try:
            received = await receive(request, path, signed["size"])
        except FileNotFoundError:
            raise NotFoundError("This upload is over.", "Begin a new one.") from None
    if received.size != signed["size"]:
        path.unlink(missing_ok=True)
        raise UnprocessableError(f"The part has {received.size} bytes, not {signed['size']}.", "Send it again.")
    await anyio.to_thread.run_sync(parts.keep, path, signed)
    return Response(None, 200, {"ETag": f'"{received.sha256}"'})


@router.post("/api/lfs/objects/{ticket:segment}", max_body_size=LARGEST)
def complete_object(hub: HubOf, ticket: Ticket, completion: Completion) -> Response:
    """All parts are sent: put them together."""
    signed = hub.signer.check(lfs.PUT, ticket)
    if "upload" not in signed:
        raise BadRequestError("This file is to be sent whole, with PUT.")
    if completion.oid != signed["oid"]:
        raise UnprocessableError("That is not the file of this upload.")
    parts.complete(hub, signed)
    return JSONResponse({}, media_type=MEDIA)


@router.get("/api/lfs/objects/{ticket:segment}")
@router.head("/api/lfs/objects/{ticket:segment}")
def get_object(request: Request, hub: HubOf, ticket: Ticket) -> Response:
    """Fetch a large file."""
    signed = hub.signer.check(lfs.GET, ticket)
    headers = {"Content-Type": "application/octet-stream", "Cache-Control": "private"}
    content = Stored(hub.objects, signed["oid"], signed["size"])
    return FileResponse(content, signed["oid"], request.headers, headers)
