"""Try a model on its page: a form for each kind of task, and the answer as bars, marked words, cells or text.

Without scripts the form leads to the page with the answer in it; with them the answer is fetched and put in place.
"""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import HTMLResponse, Response

from samovar.server.api.context import HubOf, identified, require_csrf, require_own_page
from samovar.server.api.inference import LARGEST, model_of, pool_of
from samovar.server.errors import BadRequestError, HubError, TooLargeError
from samovar.server.inference.contract import CONTRACTS, Call, read_call
from samovar.server.web.markup import escape
from samovar.server.web.repository import show
from samovar.server.web.site import HEADERS, fragment, new_router

router = new_router()
# What the form of each kind of task asks for: (field, label, lines of text).
FORMS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "text": (("text", "Text", 4),),
    "chat": (("text", "Text", 4),),
    "question": (("question", "Question", 1), ("context", "Context", 6)),
    "table": (("question", "Question", 1), ("table", "Table, with commas between the cells", 6)),
    "labels": (("text", "Text", 4), ("labels", "Labels, with commas between them", 1)),
    "pair": (("text", "Sentence", 1), ("sentences", "Sentences to compare, one on each line", 4)),
    "choices": (("text", "Beginning or question", 2), ("sentences", "Choices, one on each line", 4)),
    "image": (),
}
EXAMPLES: dict[str, dict[str, str]] = {
    "question": {
        "question": "Where does the samovar stand?",
        "context": "The samovar stands on the table in the garden.",
    },
    "table": {"question": "How many samovars has Tula?", "table": "city, samovars\nTula, 90\nSuksun, 12"},
    "labels": {"text": "The tea was served at five on the veranda.", "labels": "food, sport, politics"},
    "pair": {"text": "Tea is ready.", "sentences": "The tea is made.\nIt rains.\nDinner is served."},
    "choices": {"text": "The samovar boils, so", "sentences": "we drink tea.\nthe lake freezes."},
    "fill-mask": {"text": "We drink [MASK] in the evening."},
    "text-generation": {"text": "Once upon a time"},
    "": {"text": "I could drink this tea every day."},
}
COLOURS = 6
MOST_EXAMPLES = 8


@dataclass(frozen=True)
class Widget:
    """The form of one model."""

    task: str
    kind: str
    fields: tuple[tuple[str, str, int], ...]
    values: dict[str, str]
    examples: list[tuple[str, dict[str, str]]]


def widget_for(
    task: str | None, card: dict[str, Any], values: dict[str, str] | None = None, mask: str = ""
) -> Widget | None:
    """The form of a model with that task, or None if no form fits. Examples come from the card's `widget`."""
    if task not in CONTRACTS:
        return None
    kind = CONTRACTS[task].kind
    given = card.get("widget")
    found = [example_of(one, kind) for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    examples = [one for one in found if one][:MOST_EXAMPLES]
    first = examples[0][1] if examples else EXAMPLES.get(task) or EXAMPLES.get(kind) or EXAMPLES[""]
    if mask and not examples:
        first = {name: value.replace("[MASK]", mask) for name, value in first.items()}
    return Widget(task, kind, FORMS[kind], values or first, examples)


def example_of(one: dict[str, Any], kind: str) -> tuple[str, dict[str, str]] | None:
    """An example of a card as values of the form."""
    found: dict[str, str] = {}
    for theirs, ours in (
        ("text", "text"),
        ("question", "question"),
        ("context", "context"),
        ("source_sentence", "text"),
        ("prompt", "text"),
    ):
        if isinstance(one.get(theirs), str):
            found[ours] = one[theirs][:5000]
    for theirs in ("sentences", "choices"):
        if isinstance(one.get(theirs), list):
            found["sentences"] = "\n".join(str(part) for part in one[theirs])[:5000]
    if isinstance(one.get("candidate_labels"), str | list):
        labels = one["candidate_labels"]
        found["labels"] = (labels if isinstance(labels, str) else ", ".join(map(str, labels)))[:1000]
    if isinstance(one.get("table"), dict):
        columns = {str(name): cells for name, cells in one["table"].items() if isinstance(cells, list)}
        rows = zip(*columns.values(), strict=False)
        found["table"] = "\n".join(", ".join(map(str, row)) for row in [tuple(columns), *rows])[:5000]
    wanted = {name for name, _, _ in FORMS[kind]}
    if not wanted or not wanted <= set(found):
        return None
    title = one.get("example_title")
    return (title if isinstance(title, str) else found[FORMS[kind][0][0]])[:60], found


@router.post("/{owner:owner}/{name:segment}/try")
async def attempt(request: Request, hub: HubOf, owner: str, name: str) -> Response:
    """Form: the fields of the task's form, `csrf`. The answer alone for scripts, else the page with it."""
    require_own_page(request)
    fields, image = await submitted(request)
    caller = await run_in_threadpool(identified, request)
    if caller.session_id is not None:
        require_csrf(caller, fields.get("csrf", ""))
    model = await run_in_threadpool(model_of, hub, caller, f"{owner}/{name}")
    values = {key: value for key, value in fields.items() if key != "csrf"}
    began = time.monotonic()
    try:
        body = image if image is not None else body_for(model.task, values)
        call = read_call(model.task, body)
        call = Call(call.inputs, call.options | defaults(model.task))
        answer = await pool_of(request).run(model.repository_id, model.commit, model.task, call)
        phrased = CONTRACTS[model.task].phrase(answer)
        seconds, problem = time.monotonic() - began, ""
        html = shown(model.task, phrased, values)
        text = json.dumps(phrased, indent=1, ensure_ascii=False)
    except HubError as error:
        seconds, problem, html, text = 0.0, error.message, Markup(""), ""
    result = {"html": html, "json": text[:20_000], "seconds": seconds, "problem": problem}
    if request.headers.get("x-part") == "answer":
        return HTMLResponse(fragment(request, "answer", answer=result), headers=HEADERS)
    return await run_in_threadpool(show, request, hub, caller, "model", model.name, values, result)


async def submitted(request: Request) -> tuple[dict[str, str], bytes | None]:
    """The form's texts and its image. Raises `TooLargeError`."""
    if int(request.headers.get("content-length") or 0) > LARGEST:
        raise TooLargeError("The form is too large.", f"Send at most {LARGEST // 2**20} MiB.")
    async with request.form(max_files=1, max_fields=20, max_part_size=1_000_000) as form:
        image = None
        for value in form.values():
            if isinstance(value, UploadFile):
                image = await value.read(LARGEST)
        return {key: value for key, value in form.items() if isinstance(value, str)}, image or None


def body_for(task: str, values: dict[str, str]) -> dict[str, Any]:
    """The request that the form's values mean. Raises `BadRequestError` for an empty field."""
    kind = CONTRACTS[task].kind
    for name, label, _ in FORMS[kind]:
        if not values.get(name, "").strip():
            raise BadRequestError(f"{label}: this is empty.", "Write something there.")
    if kind == "image":
        raise BadRequestError("There is no image.", "Choose one.")
    lines = [line.strip() for line in values.get("sentences", "").splitlines() if line.strip()]
    if kind == "question":
        return {"inputs": {"question": values["question"], "context": values["context"]}}
    if kind == "table":
        return {"inputs": {"query": values["question"], "table": columns_of(values["table"])}}
    if kind == "labels":
        labels = [one.strip() for one in values["labels"].split(",") if one.strip()]
        return {"inputs": values["text"], "parameters": {"candidate_labels": labels}}
    if kind == "pair":
        return {"inputs": {"source_sentence": values["text"], "sentences": lines}}
    if kind == "choices":
        return {"inputs": {"prompt": values["text"], "choices": lines}}
    return {"inputs": values["text"]}


def columns_of(text: str) -> dict[str, list[str]]:
    """A table typed with commas: the first line names the columns. Raises `BadRequestError` for ragged rows."""
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text.strip()), skipinitialspace=True) if row
    ]
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise BadRequestError("The rows of the table have different numbers of cells.", "Put commas between the cells.")
    return {name: [row[at] for row in rows[1:]] for at, name in enumerate(rows[0])}


def defaults(task: str) -> dict[str, Any]:
    """Options for a visitor who wants to see an answer soon."""
    return (
        {"max_new_tokens": 60}
        if task in ("text-generation", "text2text-generation", "summarization", "translation")
        else {}
    )


def shown(task: str, answer: Any, values: dict[str, str]) -> Markup:
    """An answer as a person reads it."""
    if task == "question-answering":
        one = answer[0] if isinstance(answer, list) else answer
        return marked(values["context"], [(one["start"], one["end"], "", one["score"])])
    if task == "token-classification":
        spans = [
            (one["start"], one["end"], one.get("entity_group") or one.get("entity", ""), one["score"]) for one in answer
        ]
        return marked(values["text"], spans)
    if task == "table-question-answering":
        one = answer[0] if isinstance(answer, list) else answer
        return table(values["table"], one)
    if task == "sentence-similarity":
        lines = [line.strip() for line in values["sentences"].splitlines() if line.strip()]
        return bars(sorted(zip(lines, answer, strict=True), key=lambda row: -row[1]))
    if task == "fill-mask":
        return bars([(one["token_str"], one["score"]) for one in answer])
    if task == "multiple-choice" and isinstance(answer, dict | list):
        many = answer if isinstance(answer, list) else [answer]
        return bars([(str(one.get("choice", one.get("label", one.get("answer", "")))), one["score"]) for one in many])
    if task in ("feature-extraction", "image-feature-extraction"):
        return Markup(f"<p>{escape(shape(answer))}</p>")
    rows = answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], list) else answer
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and "score" in rows[0]:
        return bars([(str(one["label"]), one["score"]) for one in rows[:20]])
    texts = (
        [text for one in rows for key, text in one.items() if key.endswith("_text")] if isinstance(rows, list) else []
    )
    return Markup("".join(f'<p class="written">{escape(str(text))}</p>' for text in texts))


def bars(rows: list[tuple[str, float]]) -> Markup:
    """Names with bars of their scores."""
    return Markup(f'<ul class="scores">{"".join(bar(name, score) for name, score in rows)}</ul>')


def bar(name: str, score: float) -> str:
    """One name with its bar."""
    inside = max(0.0, min(1.0, score))
    meter = f'<meter min="0" max="1" value="{inside:.4f}">{score:.3f}</meter>'
    return f"<li><span>{escape(name)}</span>{meter}<b>{score:.3f}</b></li>"


def marked(text: str, spans: list[tuple[int, int, str, float]]) -> Markup:
    """A text with the parts that were found marked, each kind in a colour."""
    parts, at, kinds = [], 0, list(dict.fromkeys(kind for _, _, kind, _ in spans))
    for start, end, kind, score in sorted(spans):
        if start < at or end <= start:
            continue
        label = f"<small>{escape(kind)}</small>" if kind else ""
        number = kinds.index(kind) % COLOURS
        parts.append(escape(text[at:start]))
        parts.append(f'<mark class="k{number}" title="{score:.3f}">{escape(text[start:end])}{label}</mark>')
        at = end
    return Markup(f'<p class="written">{"".join(parts)}{escape(text[at:])}</p>')


def table(text: str, answer: dict[str, Any]) -> Markup:
    """The table, with the cells of the answer marked."""
    columns = columns_of(text)
    chosen = {tuple(one) for one in answer.get("coordinates", [])}
    rows = list(zip(*columns.values(), strict=True))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(cell_html(cell, (y, x) in chosen) for x, cell in enumerate(row))}</tr>"
        for y, row in enumerate(rows)
    )
    answered = f"<p><b>{escape(str(answer['answer']))}</b></p>"
    return Markup(f"{answered}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def cell_html(text: str, chosen: bool) -> str:
    """One cell of a table."""
    return f"<td><mark>{escape(text)}</mark></td>" if chosen else f"<td>{escape(text)}</td>"


def shape(value: Any) -> str:
    """The dimensions of nested lists, and the first numbers."""
    sizes, inner = [], value
    while isinstance(inner, list):
        sizes.append(len(inner))
        inner = inner[0] if inner else None
    numbers = value
    while isinstance(numbers, list) and numbers and isinstance(numbers[0], list):
        numbers = numbers[0]
    first = ", ".join(f"{one:.4f}" for one in numbers[:6]) if isinstance(numbers, list) else ""
    return f"{' × '.join(map(str, sizes))}: {first}, …"
