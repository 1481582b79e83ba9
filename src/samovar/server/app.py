"""The Hub as an ASGI application."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import anyio.to_thread
import pygit2
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import samovar
from samovar.server.api.context import COOKIE
from samovar.server.errors import BadRequestError, HubError, NotFoundError, StorageFullError
from samovar.server.http.bodies import LARGEST
from samovar.server.http.limits import Limits
from samovar.server.http.measuring import Measures, Measuring
from samovar.server.http.refusals import error_response, header_safe
from samovar.server.http.routing import RawPath
from samovar.server.hub import Hub
from samovar.server.inference.library import Library
from samovar.server.inference.pool import Pool
from samovar.server.services.jobs import Jobs
from samovar.server.services.stock import StockTaking
from samovar.server.viewer.jobs import Converter
from samovar.server.web.site import refusal

logger = logging.getLogger(__name__)
# Requests that are worked on at a time, beyond those that only move bytes.
THREADS = 64
# The routes, in the order in which they are tried; `api/NAME.py` each, with a `router`.
ROUTES = (
    "health",
    "metrics",
    "whoami",
    "users",
    "organisations",
    "likes",
    "access_requests",
    "tokens",
    "settings",
    "admin",
    "notices",
    "oauth",
    "repos",
    "upload",
    "tree",
    "refs",
    "discussions",
    "git",
    "avatars",
    "discovery",
    "listing",
    "info",
    "short_names",
    "lfs",
    "xet",
    "resolve",
    "inference",
    "viewer",
)

# Those that read some bodies in pieces, and say themselves which are small.
STREAMS = ("upload", "git", "lfs", "xet", "inference")
# The pages for people, `web/NAME.py` each; the last ones take whatever address is left.
PAGES = (
    "static_files",
    "logging_in",
    "home",
    "account",
    "organisations",
    "listing",
    "making",
    "tokens_page",
    "docs",
    "liking",
    "gate",
    "files",
    "history",
    "changing",
    "community",
    "rows",
    "trying",
    "tasks",
    "metrics",
    "uploading",
    "profile",
    "repository",
)


def create_app(hub: Hub) -> ASGIApp:
    """The application over an open Hub. Closing it closes the Hub."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        jobs = Jobs(hub)
        jobs.start()
        app.state.converter.start()
        try:
            yield
        finally:
            await app.state.pool.close()
            await run_in_threadpool(app.state.library.close)
            app.state.converter.stop()
            jobs.stop()
            hub.close()

    app = FastAPI(
        title="Samovar Hub", version=samovar.__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json", redirect_slashes=False,
    )  # fmt: skip
    app.state.hub = hub
    app.state.pool = Pool(hub)
    app.state.library = Library(hub.settings)
    app.state.converter = Converter(hub)
    app.state.measures = Measures()
    app.state.stock = StockTaking(hub)
    for name in ROUTES:
        most = None if name in STREAMS else LARGEST
        app.include_router(import_module(f"samovar.server.api.{name}").router, max_body_size=most)
    for name in PAGES:
        app.include_router(import_module(f"samovar.server.web.{name}").router)
    app.add_exception_handler(HubError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, missing)
    app.add_exception_handler(Exception, failed)
    limited = Limits(RawPath(app), hub.settings, hub.rates, COOKIE)
    return Measuring(RequestIds(limited), app.state.measures)


class RequestIds:
    """A number for each request, in its answer and in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = number

        async def numbered(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-request-id", number.encode())]
            await send(message)

        await self.app(scope, receive, numbered)


async def refused(request: Request, error: Exception) -> Response:
    """What a service refused."""
    assert isinstance(error, HubError)
    return error_response(error)


async def invalid(request: Request, error: Exception) -> Response:
    """A request that is not of the form that the route documents."""
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return error_response(BadRequestError("; ".join(wrong) or "The request has the wrong form."))


async def missing(request: Request, error: Exception) -> Response:
    """No such route, or not with this method."""
    assert isinstance(error, HTTPException)
    wants_page = request.headers.get("accept", "").startswith("text/html") and not request.url.path.startswith("/api/")
    if wants_page and error.status_code == 404:
        return await run_in_threadpool(refusal, request, NotFoundError("There is no such page."))
    body: dict[str, Any] = {"error": str(error.detail)}
    headers = {"X-Error-Message": header_safe(str(error.detail)), **(error.headers or {})}
    return Response(json.dumps(body), error.status_code, headers, "application/json")


async def failed(request: Request, error: Exception) -> Response:
    """A mistake of ours: logged with the request's number, said without details. A full disk is none."""
    if isinstance(error, (OSError, pygit2.GitError)) and ("No space left" in str(error) or "quota exc" in str(error)):
        return error_response(StorageFullError("The Hub's disk is full; nothing was changed.", "Tell its operator."))
    number = getattr(request.state, "request_id", "")
    logger.error("%s %s failed (%s)", request.method, request.url.path, number, exc_info=error)
    return JSONResponse({"error": f"Internal error; its number is {number}."}, 500)
