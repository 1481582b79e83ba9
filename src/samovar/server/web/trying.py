"""Try a model on its page. Without scripts the form leads to the page with the answer in it; with them the answer is
fetched and put in place, and text is shown while it is written."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from samovar.server.api.context import HubOf, identified, require_csrf, require_own_page
from samovar.server.api.inference import LARGEST, Model, model_of, pool_of, while_connected
from samovar.server.db.tables import RepositoryContent
from samovar.server.errors import BadRequestError, ClientGoneError, HubError, TooLargeError
from samovar.server.hub import Hub
from samovar.server.inference.chat import read_chat
from samovar.server.inference.contract import CONTRACTS, read_call
from samovar.server.services.access import Caller, find
from samovar.server.services.files import find_file
from samovar.server.web.answers import shown
from samovar.server.web.asking import Values, body_for, chat_body, kind_of, with_cells
from samovar.server.web.repository import show
from samovar.server.web.site import HEADERS, BrowserOf, fragment, new_router
from samovar.server.web.widget import chats, widget_of

router = new_router()
MOST_FIELDS = 1000
LONGEST_JSON = 20_000


@dataclass(frozen=True)
class Answer:
    """What a visitor is shown."""

    html: Markup = Markup("")
    json: str = ""
    seconds: float = 0.0
    problem: str = ""
    """Why there is none, in English: the page translates it where its catalogue can."""
    next_step: str = ""


@router.get("/{owner:owner}/{name:segment}/try")
def state(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str) -> Response:
    """How far the model is from answering: `{"state", "seconds", "expected", "waiting"}`."""
    model = model_of(hub, caller, f"{owner}/{name}")
    with hub.database.read() as session:
        content = session.get(RepositoryContent, model.repository_id)
        size = sum(int(row[1]) for row in content.files if row[0].endswith(".safetensors")) if content else 0
    found = pool_of(request).state(model.repository_id, model.commit, model.task, size)
    answer = {"state": found.name, "seconds": found.seconds, "expected": found.expected, "waiting": found.waiting}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


@router.post("/{owner:owner}/{name:segment}/try")
async def attempt(request: Request, hub: HubOf, owner: str, name: str) -> Response:
    """Form: the fields of the task's form, `csrf`. The answer alone for scripts, else the page with it.

    `grow` makes the form's table larger and asks nothing.
    """
    require_own_page(request)
    fields, sent = await submitted(request)
    caller = await run_in_threadpool(identified, request)
    if caller.session_id is not None:
        require_csrf(caller, fields.get("csrf", ""))
    model = await run_in_threadpool(model_of, hub, caller, f"{owner}/{name}")
    grows = "grow" in fields
    values = with_cells({key: value for key, value in fields.items() if key != "csrf"})
    part = request.headers.get("x-part", "")
    if grows:
        if part == "form":
            return await run_in_threadpool(form, request, hub, caller, model, values)
        return await run_in_threadpool(show, request, hub, caller, "model", model.name, values)
    try:
        values, answer = await answered(request, hub, caller, model, values, sent)
    except ClientGoneError:
        raise
    except HubError as error:
        answer = Answer(problem=error.cause, next_step=error.next_step)
    if part == "answer":
        return HTMLResponse(fragment(request, "answer", answer=answer), headers=HEADERS)
    return await run_in_threadpool(show, request, hub, caller, "model", model.name, values, answer)


async def answered(
    request: Request, hub: Hub, caller: Caller, model: Model, values: Values, sent: bytes | None
) -> tuple[Values, Answer]:
    """The values that the form holds next, and the answer. Raises what the form and the model refuse."""
    began = time.monotonic()
    kind = await run_in_threadpool(kind_here, hub, model)
    if kind == "chat":
        asked = read_chat(chat_body(values), model.name)
        told = await while_connected(
            request, pool_of(request).whole(model.repository_id, model.commit, model.task, asked.call)
        )
        said = [*asked.call.inputs, asked.whole(told)["choices"][0]["message"]]
        values = {**values, "text": "", "messages": json.dumps(said, ensure_ascii=False)}
        return values, Answer(json=pretty(asked.whole(told)), seconds=time.monotonic() - began)
    picture = sent
    if picture is None and values.get("file"):
        picture = await run_in_threadpool(stored, hub, caller, model, values["file"])
    call = replace(read_call(model.task, body_for(model.task, kind, values, picture)), stream=False)
    work = pool_of(request).run(model.repository_id, model.commit, model.task, call)
    found = CONTRACTS[model.task].phrase(await while_connected(request, work))
    seconds = time.monotonic() - began
    html = await run_in_threadpool(shown, model.task, found, values, picture)
    return values, Answer(html, "" if CONTRACTS[model.task].media else pretty(found), seconds)


def kind_here(hub: Hub, model: Model) -> str:
    """Which form the model has."""
    read_call_for(model.task)
    with hub.database.read() as session:
        content = session.get(RepositoryContent, model.repository_id)
        return kind_of(model.task, chats(content.config if content else {}))


def read_call_for(task: str) -> None:
    """Raise `UnprocessableError` for a task without a form."""
    if task not in CONTRACTS:
        read_call(task, {})


def form(request: Request, hub: Hub, caller: Caller, model: Model, values: Values) -> Response:
    """The widget alone, filled in."""
    with hub.database.read() as session:
        repository = find(session, "model", model.name, caller)
        content = session.get_one(RepositoryContent, repository.id)
    widget = widget_of(request.app.state.pool, request.app.state.library, repository, content, values)
    return HTMLResponse(fragment(request, "widget", widget=widget, answer=None, caller=caller), headers=HEADERS)


def pretty(answer: Any) -> str:
    """The answer as JSON, as far as a person would look at it."""
    return json.dumps(answer, indent=1, ensure_ascii=False)[:LONGEST_JSON]


def stored(hub: Hub, caller: Caller, model: Model, path: str) -> bytes:
    """A file of the model's own repository, as its card's examples name it. Raises `HubError`."""
    with hub.database.read() as session:
        file = find_file(hub, session, "model", model.name, caller, model.commit, path)
    if file.size > LARGEST:
        raise TooLargeError("The example is too large.", f"At most {LARGEST // 2**20} MiB are read.")
    return file.data if file.sha256 is None else b"".join(hub.objects.read(file.sha256))


async def submitted(request: Request) -> tuple[Values, bytes | None]:
    """The form's texts and its file. Raises `TooLargeError`, `BadRequestError`."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():  # Browsers say it; without it the form could be of any size.
        raise BadRequestError("The form does not say how large it is.", "Send it from the model's page.")
    if int(length) > LARGEST:
        raise TooLargeError("The form is too large.", f"Send at most {LARGEST // 2**20} MiB.")
    try:
        async with request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=1_000_000) as form:
            sent = None
            for value in form.values():
                if isinstance(value, UploadFile):
                    sent = await value.read(LARGEST)
            return {key: value for key, value in form.items() if isinstance(value, str)}, sent or None
    except HTTPException as error:
        raise BadRequestError("This is no form that can be read.", "Send it from the model's page.") from error
