"""A file as an answer: headers, ranges, and the shortest way for its bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import anyio.to_thread
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from samovar.server.http.ranges import UnsatisfiableRangeError, matches, parse_range, range_holds
from samovar.server.http.sendfile import EXTENSION
from samovar.server.objects.store import ObjectStore


class Content(Protocol):
    """Bytes to be sent."""

    @property
    def size(self) -> int:
        """How many."""

    def local_path(self) -> Path | None:
        """A file that holds exactly them, if there is one."""

    def read(self, start: int, count: int) -> Iterator[bytes]:
        """Pieces of them."""


@dataclass(frozen=True)
class Held:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """How many."""
        return len(self.data)

    def local_path(self) -> None:
        """There is no file."""

    def read(self, start: int, count: int) -> Iterator[bytes]:
        """One piece."""
        yield self.data[start : start + count]


@dataclass(frozen=True)
class Stored:
    """A large file in the store."""

    store: ObjectStore
    sha256: str
    size: int

    def local_path(self) -> Path | None:
        """The store's own file, if it is on this machine."""
        return self.store.local_path(self.sha256)

    def read(self, start: int, count: int) -> Iterator[bytes]:
        """Pieces from the store."""
        return self.store.read(self.sha256, start, count)


class FileResponse(Response):
    """Sends `content`, or the part of it that the request asks for, as it is: never compressed.

    `headers` are those of the contract. Answers 200, 206, 304 and 416.
    """

    def __init__(
        self, content: Content, etag: str, request_headers: Mapping[str, str], headers: Mapping[str, str],
        accel: str | None = None,
    ) -> None:  # fmt: skip
        self.source, self.start, self.count = content, 0, content.size
        super().__init__(status_code=200, headers={"ETag": f'"{etag}"', "Accept-Ranges": "bytes", **headers})
        self.body = b""
        if matches(request_headers.get("if-none-match"), etag):
            self.status_code, self.count = 304, 0
            del self.headers["content-length"]
            return
        try:
            wanted = request_headers.get("range") if range_holds(request_headers.get("if-range"), etag) else None
            part = parse_range(wanted, content.size)
        except UnsatisfiableRangeError:
            self.status_code, self.count = 416, 0
            self.headers["content-range"] = f"bytes */{content.size}"
        else:
            if accel and "if-range" not in request_headers:  # nginx finds the file, and sees to ranges itself.
                self.headers["x-accel-redirect"] = accel
                self.count = 0
                del self.headers["content-length"]
                return
            if part is not None:
                self.status_code, self.start, self.count = 206, part[0], part[1] - part[0]
                self.headers["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{content.size}"
        self.headers["content-length"] = str(self.count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it: from the kernel where server and file allow, else piece by piece from a thread."""
        path = self.source.local_path() if self.count and scope["method"] != "HEAD" else None
        file: BinaryIO | None = None
        if path is not None and EXTENSION in scope.get("extensions", {}):
            file = await anyio.to_thread.run_sync(path.open, "rb")
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self.count == 0 or scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
            elif file is not None:
                await send({"type": EXTENSION, "file": file, "offset": self.start, "count": self.count})
            else:
                async for piece in iterate_in_threadpool(self.source.read(self.start, self.count)):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        finally:
            if file is not None:
                file.close()
