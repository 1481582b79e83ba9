"""Files from the kernel to the socket, not through Python: the ASGI extension `http.response.zerocopysend` for uvicorn.

A response that finds the extension in its scope sends `{"type": "http.response.zerocopysend", "file": an open file,
"offset": bytes, "count": bytes, "more_body": bool}`. Over TLS, and under servers without it, the extension is not
there, and the response sends pieces as usual. Everything about a connection stays as uvicorn has it: a slow client is
waited for, one that went away ends the transfer, and the next request on the connection follows.

The event loop feeds a client whenever there is room in its socket, which costs it a turn for every few hundred
kilobytes. A client that takes all that at once is given to a thread, where one call into the kernel sends megabytes;
should it become slow, the loop has it back. There are few such threads, and whoever finds none loses little.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "http.response.zerocopysend"
# Handed to the kernel at a time by the loop. What follows is asked of the disk meanwhile, so that the event loop, which
# all connections share, does not wait for it.
PIECE = 2 * 2**20
AHEAD = 8 * 2**20
# By a thread, as long as the client takes so many bytes a second; and how long a thread waits for one that stops.
LARGE_PIECE = 16 * 2**20
FAST = 50 * 2**20
PATIENCE = 1
LANES = 8
lanes = ThreadPoolExecutor(LANES, thread_name_prefix="sendfile")

Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class SendfileProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with the extension on plain sockets."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Application) -> None:
        if self.transport.get_extra_info("sslcontext") is None and self.transport.get_extra_info("socket") is not None:
            app = with_files(app, cycle, self.loop)
        super()._start_asgi_task(cycle, app)


def with_files(app: Application, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> Application:
    """The application, whose `send` also takes files."""

    async def extended(scope: Any, receive: Any, send: Any) -> None:
        async def send_all(message: Message) -> None:
            if message["type"] == EXTENSION:
                await send_file(cycle, loop, message)
            else:
                await send(message)

        scope["extensions"] = {**scope.get("extensions", {}), EXTENSION: {}}
        await app(scope, receive, send_all)

    return extended


async def send_file(cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop, message: Message) -> None:
    """Send `count` bytes from `offset` on. A client that goes away is no error: the rest is not sent."""
    if cycle.scope["method"] != "HEAD":
        if message["count"] > cycle.expected_content_length or cycle.chunked_encoding:
            raise RuntimeError("Response content longer than Content-Length")
        if not await Transfer(cycle, loop, message["file"], message["offset"], message["count"]).run():
            # The client must not take what it has for the whole.
            cycle.transport.abort()
            cycle.disconnected = True
            return
        cycle.expected_content_length -= message["count"]
    await cycle.send({"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)})


class Transfer:
    """One file on its way to one client."""

    in_lanes = 0
    """Transfers of this process that threads do."""

    def __init__(
        self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop, file: BinaryIO, offset: int, count: int
    ) -> None:
        self.cycle, self.loop, self.file = cycle, loop, file
        self.offset, self.asked, self.end = offset, offset, offset + count

    async def run(self) -> bool:
        """Send all; False when the client went away, or the file is shorter than was promised."""
        transport = self.cycle.transport
        while self.offset < self.end:
            if self.cycle.disconnected or transport.is_closing():
                return False
            start = time.monotonic()
            try:
                sent = await self.piece(transport)
                took = max(time.monotonic() - start, 1e-6)
                if sent and self.end - self.offset > LARGE_PIECE and sent / took > FAST and Transfer.in_lanes < LANES:
                    sent = await self.in_lane(transport)
            except (OSError, RuntimeError):  # Reset by the client, or closed while we waited.
                return False
            if sent == 0:
                return False
        return True

    async def piece(self, transport: asyncio.Transport) -> int:
        """Send a piece from the loop."""
        count = min(PIECE, self.end - self.offset)
        if self.asked < min(self.end, self.offset + 2 * PIECE):
            os.posix_fadvise(self.file.fileno(), self.asked, AHEAD, os.POSIX_FADV_WILLNEED)
            self.asked += AHEAD
        sent = await self.loop.sendfile(transport, self.file, self.offset, count, fallback=False)
        self.offset += sent
        return sent

    async def in_lane(self, transport: asyncio.Transport) -> int:
        """Let a thread send until the end, or until the client is slow; the bytes, at least one unless all failed."""
        # The loop's own way has just left nothing to be written, and nobody else writes within a response.
        reading = transport.is_reading()
        if reading:
            transport.pause_reading()
        before = self.offset
        with transport.get_extra_info("socket").dup() as connection:
            Transfer.in_lanes += 1
            try:
                await self.loop.run_in_executor(lanes, self.send_blocking, connection)
            except asyncio.CancelledError:
                connection.shutdown(socket.SHUT_RDWR)  # Wakes the thread.
                raise
            finally:
                Transfer.in_lanes -= 1
        self.asked = max(self.asked, self.offset)
        if reading and not transport.is_closing():
            transport.resume_reading()
        return max(1, self.offset - before)

    def send_blocking(self, connection: socket.socket) -> None:
        """Send with calls that wait in the kernel. Raises `OSError` when the client went away."""
        connection.setblocking(True)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE, 0))
        try:
            while self.offset < self.end:
                start = time.monotonic()
                count = min(LARGE_PIECE, self.end - self.offset)
                try:
                    sent = os.sendfile(connection.fileno(), self.file.fileno(), self.offset, count)
                except BlockingIOError:  # Nothing went in all that time.
                    return
                self.offset += sent
                if sent == 0 or sent < FAST * (time.monotonic() - start):
                    return
        finally:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 0))
            connection.setblocking(False)
