"""The write half of the Xet protocol (https://huggingface.co/docs/xet/api), as stock clients speak it when they upload.

Downloads never say that there is Xet here: they are plain HTTP.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse, Response

from samovar.server.api.context import CallerOf, HubOf, Plural, base_url, hub_of, repo_type
from samovar.server.errors import HubError, NotFoundError, UnauthenticatedError
from samovar.server.http.receiving import Behind, announced, blocks, check_room, heard
from samovar.server.hub import Hub
from samovar.server.objects.xet import shard, xorb
from samovar.server.services import xet, xorbs
from samovar.server.services.large_files import Grant, grant_of, uploader

router = APIRouter(tags=["large files"])
CAS = "/api/xet"
Segment = Annotated[str, Path(max_length=300)]
Hash = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
# Files that are built at a time.
builders = ThreadPoolExecutor(4, thread_name_prefix="xet")


@router.get("/api/{kind}/{owner:segment}/{name:segment}/xet-write-token/{rev:segment}")
def write_token(
    request: Request, hub: HubOf, caller: CallerOf, kind: Plural, owner: Segment, name: Segment, rev: Segment
) -> Response:
    """Where and with what to send the chunks of large files: in the body, and in headers for older clients."""
    ticket, expires = xet.token(hub, caller, repo_type(kind), f"{owner}/{name}")
    url = base_url(request) + CAS
    headers = {
        "X-Xet-Cas-Url": url, "X-Xet-Access-Token": ticket, "X-Xet-Token-Expiration": str(expires),
        "Cache-Control": "no-store",
    }  # fmt: skip
    return JSONResponse({"casUrl": url, "accessToken": ticket, "exp": expires}, headers=headers)


def check(request: Request) -> Grant:
    """Who sends, by the ticket. Raises `UnauthenticatedError`, and what `uploader` does."""
    hub = hub_of(request)
    scheme, _, ticket = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError("There is no token.", "Ask xet-write-token for one.")
    try:
        grant = grant_of(hub.signer.check(xet.PURPOSE, ticket.strip()))
    except HubError as error:
        raise UnauthenticatedError(error.cause, error.next_step) from None
    with hub.database.read() as session:
        uploader(session, grant)
    return grant


@router.get(CAS + "/v1/chunks/{prefix:segment}/{hash:segment}")
def find_chunk(prefix: Segment, hash: Segment) -> Response:
    """Whether others have sent a chunk: nobody is told."""
    raise NotFoundError("No such chunk.")


@router.post(CAS + "/v1/xorbs/{prefix:segment}/{hash:segment}")
async def put_xorb(request: Request, hub: HubOf, prefix: Segment, hash: Hash) -> Response:
    """Send a block of chunks. It is unpacked, and its hash computed, as it arrives."""
    async with heard(request):
        announced(request, xorb.LARGEST_BODY)
        grant = await anyio.to_thread.run_sync(check, request)
        path = await anyio.to_thread.run_sync(hub.objects.scratch)
        try:
            await anyio.to_thread.run_sync(check_room, path, xorb.LARGEST)
            with path.open("wb") as file:
                unpacker = xorb.Unpacker(file)
                async with Behind(unpacker.feed) as behind:
                    async for block in blocks(request, xorb.LARGEST_BODY):
                        await behind.put(block)
            found, lengths = unpacker.finish()
            if found != hash:
                raise xorb.XorbError(f"The block's hash is {found}, not {hash}.")
            await anyio.to_thread.run_sync(xorbs.keep, hub, path, hash, lengths, grant.account_id)
        finally:
            path.unlink(missing_ok=True)
    return JSONResponse({"was_inserted": True})


@router.post(CAS + "/v1/shards")
async def put_shard(request: Request, hub: HubOf) -> Response:
    """Say of which chunks files are made. They are there, whole and checked, when this answers."""
    async with heard(request):
        grant = await anyio.to_thread.run_sync(check, request)
        body = bytearray()
        async for block in blocks(request, shard.LARGEST):
            body += block
        files = await anyio.to_thread.run_sync(shard.read_shard, bytes(body))
    del body
    await asyncio.get_running_loop().run_in_executor(builders, build_all, hub, grant, files)
    return JSONResponse({"result": 1})


def build_all(hub: Hub, grant: Grant, files: list[shard.ShardFile]) -> None:
    """Build one file after the other."""
    for file in files:
        xet.build(hub, grant, file)
