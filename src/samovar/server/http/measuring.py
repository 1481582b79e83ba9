"""What requests cost, counted as they pass: numbers for `/metrics`, of this process since it started."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, defaultdict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from samovar.server.http.sendfile import EXTENSION

# Upper bounds of the classes of durations (seconds); the last class has none.
BOUNDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
UNKNOWN = "unknown"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Durations:
    """How many requests took how long."""

    __slots__ = ("classes", "total")

    def __init__(self) -> None:
        self.classes = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.classes[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Measures:
    """The counters. Only the event loop's thread writes them."""

    def __init__(self) -> None:
        self.started = time.time()
        self.requests: Counter[tuple[str, str, int]] = Counter()
        """(method, route, status) → requests."""
        self.durations: defaultdict[str, Durations] = defaultdict(Durations)
        """Route → how long its requests took."""
        self.sent: Counter[str] = Counter()
        """Route → bytes of bodies sent."""
        self.received: Counter[str] = Counter()
        """Route → bytes of bodies received."""
        self.running = 0


class Measuring:
    """Counts every request that passes through it."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self.app, self.measures = app, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, then count it under the route that took it: paths are the clients' to choose."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, sent, received = 500, 0, 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            nonlocal status, sent
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif scope["method"] != "HEAD":
                sent += message["count"] if message["type"] == EXTENSION else len(message.get("body", b""))

        measures, began = self.measures, time.perf_counter()
        measures.running += 1
        try:
            await self.app(scope, counting_receive, counting_send)
        finally:
            measures.running -= 1
            route = getattr(scope.get("route"), "path_format", UNKNOWN)
            method = scope["method"] if scope["method"] in METHODS else UNKNOWN
            measures.requests[method, route, status] += 1
            measures.durations[route].add(time.perf_counter() - began)
            measures.sent[route] += sent
            measures.received[route] += received
