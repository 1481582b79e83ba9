"""Files from the kernel to the socket, not through Python: the ASGI extension `http.response.zerocopysend` for uvicorn.

A response that finds the extension in its scope sends `{"type": "http.response.zerocopysend", "file": an open file,
"offset": bytes, "count": bytes, "more_body": bool}`. Over TLS, and under servers without it, the extension is not
there, and the response sends pieces as usual. Everything about a connection stays as uvicorn has it: a slow client is
waited for, one that went away ends the transfer, and the next request on the connection follows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "http.response.zerocopysend"
# Handed to the kernel at a time. What follows is asked of the disk meanwhile, so that the event loop, which all
# connections share, does not wait for it.
PIECE = 2 * 2**20
AHEAD = 8 * 2**20

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
    file, offset, count = message["file"], message["offset"], message["count"]
    if cycle.scope["method"] != "HEAD":
        if count > cycle.expected_content_length or cycle.chunked_encoding:
            raise RuntimeError("Response content longer than Content-Length")
        end, asked = offset + count, offset
        while offset < end and not cycle.disconnected and not cycle.transport.is_closing():
            piece = min(PIECE, end - offset)
            if asked < min(end, offset + 2 * piece):
                os.posix_fadvise(file.fileno(), asked, AHEAD, os.POSIX_FADV_WILLNEED)
                asked += AHEAD
            try:
                sent = await loop.sendfile(cycle.transport, file, offset, piece, fallback=False)
            except (OSError, RuntimeError):  # Reset by the client, or closed while we waited.
                cycle.transport.abort()
                break
            if sent == 0:  # The file is shorter than was promised: the client must not take it for the whole.
                cycle.transport.abort()
                break
            offset += sent
        cycle.expected_content_length -= count
        if offset < end:
            cycle.disconnected = True
            return
    await cycle.send({"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)})
