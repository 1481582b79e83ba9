"""Models answer over HTTP, in the forms that the field's inference clients send and read: `POST /models/{id}`.

A client is pointed here by the model's address: `InferenceClient(model="http://hub/models/owner/name")`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, StreamingResponse

from samovar.server.api.context import CallerOf, HubOf
from samovar.server.errors import BadRequestError, HubError, NotSupportedError, TooLargeError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.inference.contract import CONTRACTS, MOST_TOKENS, Call, Contract, read_call
from samovar.server.inference.pool import Pool
from samovar.server.services.access import Caller, find, require_files

router = APIRouter(tags=["inference"])
LARGEST = 20 * 2**20
EVENTS = "text/event-stream"
OwnerOf = Annotated[str, Path()]
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
        return await streamed(pool, model, call, tokens)
    call = Call(call.inputs, call.options)
    contract: Contract = CONTRACTS[model.task]
    answer = contract.phrase(await pool.run(model.repository_id, model.commit, model.task, call))
    seconds = time.monotonic() - began
    return JSONResponse(answer, headers={"X-Compute-Time": f"{seconds:.3f}", "X-Repo-Commit": model.commit})


@router.post("/models/{owner:segment}/{name:segment}/v1/chat/completions", openapi_extra=BODY)
async def chat(request: Request, hub: HubOf, caller: CallerOf, owner: OwnerOf, name: OwnerOf) -> Any:
    """A chat's next message, as OpenAI's clients ask for it, at once or as a stream of events."""
    model = await run_in_threadpool(model_of, hub, caller, f"{owner}/{name}", "text-generation")
    pool, body = pool_of(request), await body_of(request)
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages or not all(is_message(one) for one in messages):
        raise BadRequestError("There are no `messages`.", 'Send {"messages": [{"role": "user", "content": "…"}]}.')
    options: dict[str, Any] = {"max_new_tokens": tokens_of(body)}
    for theirs, ours in (("temperature", "temperature"), ("top_p", "top_p"), ("stop", "stop_strings")):
        if body.get(theirs) is not None:
            options[ours] = body[theirs]
    if isinstance(options.get("temperature"), int | float):
        options["do_sample"] = options["temperature"] > 0
        if not options["do_sample"]:
            options.pop("temperature")
    call = Call(messages, options | {"return_full_text": False}, bool(body.get("stream")))
    frame = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model.name}
    if call.stream:

        def chunk(message: dict[str, Any], first: bool) -> list[dict[str, Any]]:
            delta = {"content": message["piece"]} if "piece" in message else {}
            if first:
                delta["role"] = "assistant"
            choice = {"index": 0, "delta": delta, "finish_reason": None if "piece" in message else "stop"}
            return [{**frame, "object": "chat.completion.chunk", "choices": [choice]}]

        return await streamed(pool, model, call, chunk, end="data: [DONE]\n\n")
    answer = await pool.run(model.repository_id, model.commit, model.task, call)
    text = answer[0]["generated_text"]
    message = text[-1] if isinstance(text, list) else {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return {**frame, "object": "chat.completion", "choices": [choice], "usage": usage}


def tokens_of(body: dict[str, Any]) -> int:
    """How many tokens to write."""
    wanted = body.get("max_completion_tokens") or body.get("max_tokens") or 256
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise BadRequestError("`max_tokens` must be a positive number.", "Leave it out for 256.")
    return min(wanted, MOST_TOKENS)


def is_message(one: object) -> bool:
    """Whether it has a role and a text."""
    return isinstance(one, dict) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str)


def tokens(message: dict[str, Any], first: bool) -> list[dict[str, Any]]:
    """A piece as the field's text-generation servers stream it; the end carries the whole text."""
    token = {"id": 0, "text": message.get("piece", ""), "logprob": 0.0, "special": False}
    return [{"index": 0, "token": token, "generated_text": message.get("end"), "details": None}]


async def streamed(pool: Pool, model: Model, call: Call, phrase: Any, end: str = "") -> StreamingResponse:
    """A stream of events. What goes wrong before the first piece is an ordinary error."""
    messages = pool.messages(model.repository_id, model.commit, model.task, call)
    first = await anext(messages)

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
            await messages.aclose()  # type: ignore[attr-defined]

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
