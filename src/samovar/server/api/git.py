"""`git clone`, `fetch` and `push` over HTTP (gitprotocol-http)."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import AsyncIterator
from typing import IO, Annotated, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Path, Request
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from samovar.server.api.context import HubOf, caller_of
from samovar.server.errors import BadRequestError, HubError, RepositoryNotFoundError, TooLargeError
from samovar.server.http.bodies import drain
from samovar.server.http.refusals import header_safe
from samovar.server.hub import Hub
from samovar.server.repos import program
from samovar.server.repos.packets import Commands, advertisement
from samovar.server.repos.serving import advertise, answer
from samovar.server.services import pushes
from samovar.server.services.access import RepoType, find, require_files

router = APIRouter(tags=["git"])
NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}
BASIC = {"WWW-Authenticate": 'Basic realm="Samovar Hub", charset="UTF-8"'}
# What a client says that wants something: ids that it wants and has (bytes).
LONGEST_QUESTION = 2**24
PIECE = 2**16
Prefix = Literal["datasets", "spaces"]
TYPES: dict[str, RepoType] = {"datasets": "dataset", "spaces": "space"}


def repository_of(request: Request, hub: Hub, type_: RepoType, full: str, write: bool) -> int:
    """The number of a repository that the caller may clone or push to. Raises what `access.find` does."""
    caller = caller_of(request)
    with hub.database.read() as session:
        repository = find(session, type_, full.removesuffix(".git"), caller, "write" if write else "read")
        require_files(session, caller, repository)
        return repository.id


def refused(error: HubError) -> Response:
    """An error as git shows it to people; 401 lets it ask for a name and a token."""
    headers = {"X-Error-Message": header_safe(error.message), **error.headers, **(BASIC if error.status == 401 else {})}
    if error.code:
        headers["X-Error-Code"] = error.code
    return PlainTextResponse(f"{error.message}\n", error.status, headers)


@router.get("/{prefix}/{owner:segment}/{name:segment}/info/refs")
async def typed_references(
    request: Request, hub: HubOf, prefix: Prefix, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    service: str = "",
) -> Response:  # fmt: skip
    """What there is to clone, or to push to, of a data set or space."""
    return await announce_references(request, hub, TYPES[prefix], f"{owner}/{name}", service)


@router.get("/{owner:segment}/{name:segment}/info/refs")
async def model_references(
    request: Request, hub: HubOf, owner: Annotated[str, Path()], name: Annotated[str, Path()], service: str = ""
) -> Response:
    """What there is to clone, or to push to, of a model."""
    return await announce_references(request, hub, "model", f"{owner}/{name}", service)


async def announce_references(request: Request, hub: Hub, type_: RepoType, full: str, service: str) -> Response:
    """The first question of every clone, fetch and push."""

    def begin() -> bytes:
        if service not in ("git-upload-pack", "git-receive-pack"):
            raise BadRequestError("Only git's smart protocol is spoken here.", "Use git 1.6.6 or newer.")
        number = repository_of(request, hub, type_, full, write=service == "git-receive-pack")
        if service == "git-receive-pack":
            return advertisement(service, pushes.references(hub.folders.open(number)))
        return advertise(hub.folders.path(number), request.headers.get("git-protocol", ""))

    try:
        body = await anyio.to_thread.run_sync(begin)
    except HubError as error:
        return refused(error)
    return Response(body, headers=NO_CACHE, media_type=f"application/x-{service}-advertisement")


@router.post("/{prefix}/{owner:segment}/{name:segment}/git-upload-pack")
async def clone_typed(
    request: Request, hub: HubOf, prefix: Prefix, owner: Annotated[str, Path()], name: Annotated[str, Path()]
) -> Response:
    """Clone or fetch a data set or space."""
    return await upload_pack(request, hub, TYPES[prefix], f"{owner}/{name}")


@router.post("/{owner:segment}/{name:segment}/git-upload-pack")
async def clone_model(
    request: Request, hub: HubOf, owner: Annotated[str, Path()], name: Annotated[str, Path()]
) -> Response:
    """Clone or fetch a model."""
    return await upload_pack(request, hub, "model", f"{owner}/{name}")


async def upload_pack(request: Request, hub: Hub, type_: RepoType, full: str) -> Response:
    """Hand the question to git, and its answer on, as it comes."""
    try:
        number = await anyio.to_thread.run_sync(repository_of, request, hub, type_, full, False)
        question = bytearray()
        async for piece in decoded(request):
            question += piece
            if len(question) > LONGEST_QUESTION:
                raise TooLargeError("The request is too large.")
        protocol = request.headers.get("git-protocol", "")
    except HubError as error:
        await drain(request, error)
        return refused(error)
    return StreamingResponse(
        answer(hub.folders.path(number), bytes(question), protocol), headers=NO_CACHE,
        media_type="application/x-git-upload-pack-result",
    )  # fmt: skip


@router.post("/{prefix}/{owner:segment}/{name:segment}/git-receive-pack")
async def push_typed(
    request: Request, hub: HubOf, prefix: Prefix, owner: Annotated[str, Path()], name: Annotated[str, Path()]
) -> Response:
    """Push to a data set or space."""
    return await receive_pack(request, hub, TYPES[prefix], f"{owner}/{name}")


@router.post("/{owner:segment}/{name:segment}/git-receive-pack")
async def push_model(
    request: Request, hub: HubOf, owner: Annotated[str, Path()], name: Annotated[str, Path()]
) -> Response:
    """Push to a model."""
    return await receive_pack(request, hub, "model", f"{owner}/{name}")


async def receive_pack(request: Request, hub: Hub, type_: RepoType, full: str) -> Response:
    """Take the commands, keep the pack in a file until it is whole, then look at it and move the references."""
    commands, size = Commands(), 0
    most = hub.settings.largest_commit
    try:
        number = await anyio.to_thread.run_sync(repository_of, request, hub, type_, full, True)
        with program.disk_errors(), tempfile.TemporaryFile(dir=hub.folders.path(number) / "objects") as pack:
            async for piece in decoded(request):
                rest = piece if commands.done else commands.feed(piece)
                size += len(rest)
                if size > most:
                    raise TooLargeError(f"The push has more than {most:,} bytes.", "Keep large files in git-lfs.")
                if rest:
                    await anyio.to_thread.run_sync(pack.write, rest)
            if not commands.commands:
                # An empty question is how git finds out whether its login is right.
                return Response(b"", headers=NO_CACHE, media_type="application/x-git-receive-pack-result")
            body = await anyio.to_thread.run_sync(finish, request, hub, type_, full, commands, pack, size > 0)
    except HubError as error:
        await drain(request, error)
        return refused(error)
    except FileNotFoundError:
        return refused(RepositoryNotFoundError())
    except ClientDisconnect:
        return Response(status_code=400)
    return Response(body, headers=NO_CACHE, media_type="application/x-git-receive-pack-result")


def finish(
    request: Request, hub: Hub, type_: RepoType, full: str, commands: Commands, pack: IO[bytes], has_pack: bool
) -> bytes:
    """Rights are looked at again, as sending took its time; then the push."""
    number = repository_of(request, hub, type_, full, write=True)
    pack.seek(0)
    return pushes.push(hub, number, commands, pack, has_pack)


async def decoded(request: Request) -> AsyncIterator[bytes]:
    """The request's body in pieces, unzipped if it is zipped. Raises `BadRequestError`."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding in ("identity", ""):
        async for piece in request.stream():
            yield piece
        return
    if encoding not in ("gzip", "x-gzip"):
        raise BadRequestError(f"The encoding {encoding[:20]!r} is not known.", "Use gzip, or none.")
    unzipping = zlib.decompressobj(wbits=31)
    try:
        async for piece in request.stream():
            while piece and not unzipping.eof:
                # In pieces: a few bytes may stand for gigabytes.
                yield unzipping.decompress(piece, PIECE)
                piece = unzipping.unconsumed_tail
    except zlib.error as error:
        raise BadRequestError("The request is not what its encoding says.") from error
