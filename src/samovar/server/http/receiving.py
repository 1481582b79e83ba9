"""A request's body into a file: hashed and written by a thread while the next bytes arrive, a megabyte held at most."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fastapi import Request
from starlette.requests import ClientDisconnect

from samovar.server.errors import BadRequestError, HubError, StorageFullError, TooLargeError

BLOCK = 2**19
# Room that an upload leaves on the disk for everything else.
RESERVE = 64 * 2**20
# What is read of a refused upload's rest, so that the client hears why before the connection ends.
COURTESY = 16 * 2**20
# Threads that hash and write, for all uploads together: hashing takes a core each.
writers = ThreadPoolExecutor(8, thread_name_prefix="uploads")


class Received(NamedTuple):
    """What arrived."""

    sha256: str
    size: int


def announced(request: Request, most: int) -> int | None:
    """Content-Length, if there is one. Raises `TooLargeError` above `most`, `BadRequestError`."""
    header = request.headers.get("content-length")
    if header is None:
        return None
    if not header.isdecimal() or len(header) > 18:
        raise BadRequestError("Content-Length is no number of bytes.")
    if int(header) > most:
        raise TooLargeError(f"{int(header):,} bytes were announced.", f"At most {most:,} are allowed here.")
    return int(header)


def check_room(path: Path, size: int) -> None:
    """Raises `StorageFullError` if the disk cannot take as much."""
    if shutil.disk_usage(path.parent).free < size + RESERVE:
        raise StorageFullError("The Hub's disk is full.", "Tell its operator.")


@contextlib.asynccontextmanager
async def heard(request: Request) -> AsyncIterator[None]:
    """Lets a refusal reach clients that read nothing before they have sent all."""
    try:
        yield
    except HubError:
        dropped = 0
        with contextlib.suppress(ClientDisconnect, RuntimeError):
            async for piece in request.stream():
                dropped += len(piece)
                if dropped > COURTESY:
                    break
        raise


async def blocks(request: Request, most: int) -> AsyncIterator[bytearray]:
    """The body in larger pieces. Raises `TooLargeError`, and `BadRequestError` when the client goes away."""
    gathered, total = bytearray(), 0
    try:
        async for piece in request.stream():
            total += len(piece)
            if total > most:
                raise TooLargeError(f"More than {most:,} bytes arrived.", "Send what was announced.")
            gathered += piece
            if len(gathered) >= BLOCK:
                yield gathered
                gathered = bytearray()
    except ClientDisconnect:
        raise BadRequestError("The upload broke off.", "Send it again.") from None
    if gathered:
        yield gathered


async def receive(request: Request, path: Path, most: int) -> Received:
    """Write the body to a file. Raises `TooLargeError`, `BadRequestError`, `StorageFullError`; no file is left then."""
    digest = hashlib.sha256()
    count = 0
    file = path.open("wb", buffering=0)

    def work(block: bytearray) -> None:
        digest.update(block)
        view = memoryview(block)
        while view:
            view = view[file.write(view) :]

    try:
        check_room(path, announced(request, most) or 0)
        async with Behind(work) as behind:
            async for block in blocks(request, most):
                count += len(block)
                await behind.put(block)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError("The Hub's disk is full.", "Tell its operator.") from error
        raise
    finally:
        file.close()
    return Received(digest.hexdigest(), count)


class Behind:
    """Does work on one block in a thread while the caller gets the next; in order, one at a time."""

    def __init__(self, work: Callable[[bytearray], None]) -> None:
        self.work = work
        self.under_way: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Behind:
        return self

    async def put(self, block: bytearray) -> None:
        """Wait for the block before, then begin on this one. Raises what the work on the one before raised."""
        await self.wait()
        self.under_way = asyncio.get_running_loop().run_in_executor(writers, self.work, block)

    async def wait(self) -> None:
        """Until nothing is being worked on."""
        if self.under_way is not None:
            under_way, self.under_way = self.under_way, None
            await under_way

    async def __aexit__(self, type_: type[BaseException] | None, *rest: object) -> None:
        try:
            await self.wait()
        except Exception:
            if type_ is None:
                raise
