"""Models answer over HTTP, in the forms that the field's inference clients send and read: `POST /models/{id}`.

A client is pointed here by the model's address: `InferenceClient(model="http://hub/models/owner/name")`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from samovar.server.api.context import CallerOf, HubOf
from samovar.server.errors import (
    BadRequestError,
    ClientGoneError,
    HubError,
    NotSupportedError,
    TooLargeError,
    UnprocessableError,
)
from samovar.server.hub import Hub
from samovar.server.inference.chat import read_chat
from samovar.server.inference.contract import CONTRACTS, Call, read_call
from samovar.server.inference.parameters import MOST_TOKENS
from samovar.server.inference.pool import Pool
from samovar.server.services.access import Caller, find, require_files

router = APIRouter(tags=["inference"])
LARGEST = 20 * 2**20
EVENTS = "text/event-stream"
OwnerOf = Annotated[str, Path()]
Answer = TypeVar("Answer")
# From a worker's message, and whether it is the first, to the events that a client reads.
Phrase = Callable[[dict[str, Any], bool], list[dict[str, Any]]]
BODY = {
    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": {}}}
}


@dataclass(frozen=True)
class Model:
    """A model that somebody may ask, at one commit."""

    repository_id: int
    name: str
    commit: str
    task: str


def model_of(hub: Hub, caller: Caller, name: str, task: str | None = None) -> Model:
    """The model, for a caller who may read its files.

    Raises `RepositoryNotFoundError`, `GatedRepositoryError`, and `UnprocessableError` if it names no task.
    """
    with hub.database.read() as session:
        repository = find(session, "model", name, caller)
        require_files(session, caller, repository)
        chosen = task or repository.pipeline_tag
        if chosen is None or repository.sha is None:
            raise UnprocessableError(f"{repository.name} names no task.", "Its card can: `pipeline_tag: …`.")
        return Model(repository.id, repository.name, repository.sha, chosen)


def pool_of(request: Request) -> Pool:
    """The workers. Raises `NotSupportedError` where none can run."""
    pool: Pool = request.app.state.pool
    if not pool.able:
        raise NotSupportedError("This Hub runs no models.", "Its operator can: pip install 'samovar[hub,torch]'.")
    return pool


@router.post("/models/{owner:segment}/{name:segment}", openapi_extra=BODY)
async def ask(request: Request, hub: HubOf, caller: CallerOf, owner: OwnerOf, name: OwnerOf) -> Any:
    """Ask a model for what its task gives. JSON `{"inputs", "parameters"}`, or the bytes of an image."""
    return await answered(request, hub, caller, f"{owner}/{name}", None)


@router.post("/models/{owner:segment}/{name:segment}/pipeline/{task:segment}", openapi_extra=BODY)
@router.post("/pipeline/{task:segment}/{owner:segment}/{name:segment}", openapi_extra=BODY)
async def ask_task(
    request: Request, hub: HubOf, caller: CallerOf, owner: OwnerOf, name: OwnerOf, task: OwnerOf
) -> Any:  # fmt: skip
    """Ask a model for another task than its card names, such as features."""
    return await answered(request, hub, caller, f"{owner}/{name}", task)


@router.get("/models/{owner:segment}/{name:segment}/health")
async def health(request: Request, hub: HubOf, caller: CallerOf, owner: OwnerOf, name: OwnerOf) -> dict[str, str]:
    """The model can be asked."""
    pool_of(request)
    await run_in_threadpool(model_of, hub, caller, f"{owner}/{name}")
    return {"status": "ok"}


@router.get("/models/{owner:segment}/{name:segment}/info")
async def info(request: Request, hub: HubOf, caller: CallerOf, owner: OwnerOf, name: OwnerOf) -> dict[str, Any]:
    """Which model, at which commit, for what."""
    pool_of(request)
    model = await run_in_threadpool(model_of, hub, caller, f"{owner}/{name}")
    return {"model_id": model.name, "model_sha": model.commit, "model_pipeline_tag": model.task}


async def answered(request: Request, hub: Hub, caller: Caller, name: str, task: str | None) -> Any:
    """The answer of a model, or a stream of it."""
    model = await run_in_threadpool(model_of, hub, caller, name, task)
    pool, call = pool_of(request), read_call(model.task, await body_of(request))
    began = time.monotonic()
    if call.stream and model.task == "text-generation":
        return await streamed(request, pool, model, call, partial(tokens, call))
    call = replace(call, stream=False)
    message = await while_connected(request, pool.whole(model.repository_id, model.commit, model.task, call))
    headers = {"X-Compute-Time": f"{time.monotonic() - began:.3f}", "X-Repo-Commit": model.commit}
    contract = CONTRACTS[model.task]
    answer = contract.phrase(message["answer"])
    if contract.media:
        return Response(base64.b64decode(answer["file"]), headers=headers, media_type=contract.media)
    if call.details and isinstance(answer, list) and answer and isinstance(answer[0], dict):
        answer = [{**answer[0], "details": ending(call, message) | {"prefill": [], "tokens": []}}]
    return JSONResponse(answer, headers=headers)


@router.post("/models/{owner:segment}/{name:segment}/v1/chat/completions", openapi_extra=BODY)
async def chat(request: Request, hub: HubOf, caller: CallerOf, owner: OwnerOf, name: OwnerOf) -> Any:
    """A chat's next message, as OpenAI's clients ask for it, at once or as a stream of events."""
    model = await run_in_threadpool(model_of, hub, caller, f"{owner}/{name}", "text-generation")
    pool, asked = pool_of(request), read_chat(await body_of(request), model.name)
    if asked.call.stream:
        return await streamed(request, pool, model, asked.call, asked.chunks, end="data: [DONE]\n\n")
    told = pool.whole(model.repository_id, model.commit, model.task, asked.call)
    return asked.whole(await while_connected(request, told))


def tokens(call: Call, message: dict[str, Any], first: bool) -> list[dict[str, Any]]:
    """A piece as the field's text-generation servers stream it; the end carries the whole text."""
    token = {"id": 0, "text": message.get("piece", ""), "logprob": 0.0, "special": False}
    details = ending(call, message) if "end" in message else None
    return [{"index": 0, "token": token, "generated_text": message.get("end"), "details": details}]


def ending(call: Call, message: dict[str, Any]) -> dict[str, Any]:
    """How the writing ended."""
    read, wrote = message.get("usage") or [0, 0]
    reason = "length" if wrote >= call.options.get("max_new_tokens", MOST_TOKENS) else "eos_token"
    seed = call.options.get("seed")
    return {"finish_reason": reason, "generated_tokens": wrote, "input_length": read, "seed": seed}


async def while_connected(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The work's result; when the client goes away first, the work is cancelled. Raises `ClientGoneError`."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError, HubError):
                await working
            raise ClientGoneError("The client went away.")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def gone(request: Request) -> None:
    """Returns when the client has gone; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def streamed(
    request: Request, pool: Pool, model: Model, call: Call, phrase: Phrase, end: str = ""
) -> StreamingResponse:
    """A stream of events. What goes wrong before the first piece is an ordinary error."""
    messages = pool.messages(model.repository_id, model.commit, model.task, call)

    async def beginning() -> dict[str, Any]:
        return await anext(messages)

    first = await while_connected(request, beginning())

    async def events() -> AsyncIterator[str]:
        message, at_first = first, True
        try:
            while True:
                for event in phrase(message, at_first):
                    yield f"data: {json.dumps(event)}\n\n"
                at_first = False
                try:
                    message = await anext(messages)
                except StopAsyncIteration:
                    break
                except HubError as error:
                    yield f"data: {json.dumps({'error': error.message})}\n\n"
                    return
            yield end
        finally:
            await messages.aclose()

    return StreamingResponse(
        events(), media_type=EVENTS, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def body_of(request: Request) -> Any:
    """The body: parsed where it is JSON, else its bytes. Raises `TooLargeError`, `BadRequestError`."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > LARGEST:
            raise TooLargeError("The request is too large.", f"Send at most {LARGEST // 2**20} MiB.")
    type_ = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if type_ == "application/json" or data[:1] in (b"{", b"["):  # No image begins so.
        try:
            return json.loads(bytes(data))
        except (ValueError, RecursionError) as error:
            raise BadRequestError("The body is no JSON.", 'Send {"inputs": …}.') from error
    return bytes(data)
