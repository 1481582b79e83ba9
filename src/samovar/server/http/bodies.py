"""Bodies of requests: how large those are that are read at once, and what becomes of the rest of a refused one."""

from __future__ import annotations

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from samovar.server.errors import HubError

# Of a body that is taken apart in memory (bytes). Routes that read theirs in pieces have limits of their own.
LARGEST = 2**23
# What is read, and for how long, so that the client hears why: most only listen when they have said everything.
COURTESY = 2**24  # Bytes.
PATIENCE = 5  # Seconds.


async def drain(request: Request, error: HubError) -> None:
    """Read a little more; if that was not all, the answer also ends the connection."""
    seen = 0
    try:
        with anyio.move_on_after(PATIENCE):
            async for piece in request.stream():
                seen += len(piece)
                if seen > COURTESY:
                    break
            else:
                return
    except (ClientDisconnect, RuntimeError):
        pass
    error.headers["Connection"] = "close"
