"""Pages of the evaluation metrics: all of them with a search, and one each, where it is explained and computed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from samovar.server.api.forms import Fields, Submitted, submitted_text
from samovar.server.errors import HubError, NotFoundError, NotSupportedError, UnprocessableError
from samovar.server.inference.library import Library
from samovar.server.taxonomy.about import ABOUT
from samovar.server.web.markup import card_html, coloured, escape
from samovar.server.web.site import HEADERS, BrowserOf, fragment, new_router, page, safe
from samovar.server.web.trying import LONGEST_JSON, Answer
from samovar.server.web.typed import HINTS, column, option, text_of

router = new_router()
KINDS = {
    "classification": "Classes", "regression": "Numbers", "ranking": "Order of results", "text": "Texts",
    "translation": "Translation", "speech": "Speech", "question-answering": "Answers to questions",
    "token-classification": "Marked words", "vision": "Pictures", "benchmark": "Benchmarks",
}  # fmt: skip
MOST_CELLS = 400


@dataclass(frozen=True)
class Entry:
    """One field of the form."""

    name: str
    hint: str
    text: str
    choices: tuple[str, ...] = ()
    default: str = ""


@router.get("/metrics")
def metrics(request: Request, caller: BrowserOf, search: str = "") -> Response:
    """All metrics by kind; `search` leaves those whose name or description holds each of its words."""
    words = search[:200].lower().split()
    known = library(request).described().metrics.values()
    found = [one for one in known if all(word in f"{one['name']} {one['description']}".lower() for word in words)]
    kinds = list(dict.fromkeys([*KINDS, *(one["kind"] for one in known)]))
    groups = [
        (KINDS.get(kind, kind), sorted((one for one in found if one["kind"] == kind), key=lambda one: str(one["name"])))
        for kind in kinds
    ]
    return page(
        request, "metrics", "Metrics", caller, groups=[group for group in groups if group[1]], search=search[:200],
        total=len(found), first=first_sentence,
    )  # fmt: skip


@router.get("/metrics/{name:segment}")
def metric(request: Request, caller: BrowserOf, name: str, config: str = "") -> Response:
    """One metric; `config` chooses what its form asks for where it has several."""
    spec = found(request, name)
    if not spec["model"]:
        columns = {one["name"] for one in next(iter(spec["columns"].values()))}
        given = {key: one for key, one in spec["values"].items() if key != "config"}
        library(request).warm_up(
            name, spec["values"].get("config", ""), {key: one for key, one in given.items() if key in columns},
            {key: one for key, one in given.items() if key not in columns},
        )  # fmt: skip
    return shown(request, caller, spec, config)


@router.post("/metrics/{name:segment}")
def compute(request: Request, form: Annotated[Submitted, Depends(submitted_text)], name: str) -> Response:
    """Form: the columns and options of the metric, `config`, `csrf`. The value alone for scripts, else the page."""
    spec, fields = found(request, name), form.fields
    config = fields.get("config", "")
    began = time.monotonic()
    try:
        found_here = value(library(request), spec, config, fields)
        result = found_here["result"]
        notes = [f'<p class="quiet" lang="en">{escape(one)}</p>' for one in found_here["notes"][:5]]
        text = json.dumps(result, indent=1, ensure_ascii=False)[:LONGEST_JSON]
        answer = Answer(table(result) + Markup("".join(notes)), text, time.monotonic() - began)
    except HubError as error:
        answer = Answer(problem=error.cause, next_step=error.next_step)
    if request.headers.get("x-part") == "answer":
        return HTMLResponse(fragment(request, "answer", answer=answer), headers=HEADERS)
    return shown(request, form.caller, spec, config, fields, answer)


def library(request: Request) -> Library:
    """The process that knows them."""
    known: Library = request.app.state.library
    return known


def found(request: Request, name: str) -> dict[str, Any]:
    """A metric by name. Raises `NotFoundError`."""
    spec = library(request).described().metrics.get(name)
    if spec is None:
        raise NotFoundError("There is no metric of this name.", "The list of metrics names them all.")
    return spec


def value(known: Library, spec: dict[str, Any], config: str, fields: Fields) -> Any:
    """What the metric gives for the fields, under `result`, and its warnings under `notes`.

    Raises `HubError`: what is wrong with the fields, or with the metric here.
    """
    if not known.able:
        raise NotSupportedError("This Hub computes nothing.", "The code beside does it on your machine.")
    if spec["model"]:
        raise UnprocessableError("This metric needs a model.", "The code beside does it on your machine.")
    if config not in spec["columns"]:
        raise UnprocessableError(f"{spec['name']} has no configuration of that name.", "Choose one of the list.")
    columns = {one["name"]: column(one["name"], fields.get(one["name"], ""), one["holds"])
               for one in spec["columns"][config]}  # fmt: skip
    options = {
        one["name"]: option(one["name"], fields[f"option_{one['name']}"], one["default"])
        for one in spec["options"]
        if fields.get(f"option_{one['name']}", "").strip()
    }
    return known.compute(spec["name"], config, columns, options)


def shown(
    request: Request, caller: Any, spec: dict[str, Any], config: str, fields: Fields | None = None,
    answer: Answer | None = None,
) -> Response:  # fmt: skip
    """The page of a metric, with its form filled in."""
    config = config if config in spec["columns"] else next(iter(spec["columns"]))
    example = dict(spec["values"])
    if example.pop("config", "") != config and spec["configs"] and spec["kind"] == "benchmark":
        wanted = {one["holds"] for one in spec["columns"][config]}
        example = example if wanted == {"labels"} else {}
    given = fields or {}
    columns = [
        Entry(one["name"], HINTS[one["holds"]], given.get(one["name"], text_of(example.get(one["name"]), one["holds"])))
        for one in spec["columns"][config]
    ]
    options = [
        Entry(
            one["name"], one["type"], given.get(f"option_{one['name']}", option_text(example, one)),
            ("True", "False") if isinstance(one["default"], bool) else (), repr(one["default"]),
        )
        for one in spec["options"]
    ]  # fmt: skip
    tasks = [task for task, about in ABOUT.items() if spec["name"] in about.metrics]
    return page(
        request, "metric", spec["name"], caller, spec=spec, config=config, columns=columns, options=options,
        kind=KINDS.get(spec["kind"], spec["kind"]), description=safe(card_html(spec["description"], "", "")),
        code=code(spec), code_html=safe(coloured(code(spec), "", "pycon")), tasks=tasks, answer=answer,
        computes=library(request).able and not spec["model"],
    )  # fmt: skip


def option_text(example: dict[str, Any], one: dict[str, Any]) -> str:
    """An option as the example sets it; empty where it stays as it is."""
    if one["name"] not in example:
        return ""
    given = example[one["name"]]
    return json.dumps(given) if isinstance(given, list | dict) else str(given)


def code(spec: dict[str, Any]) -> str:
    """How it is computed in a program."""
    return f">>> from samovar.evaluate import load\n{spec['example']}"


def first_sentence(text: str) -> str:
    """The beginning of a description."""
    return text.partition("\n\n")[0].replace("\n", " ").replace("`", "")


def table(result: Any) -> Markup:
    """Values by name; lists as small tables."""
    rows = list(result.items()) if isinstance(result, dict) else [("", result)]
    alike = [(name, one) for name, one in rows if isinstance(one, dict) and one]
    if len(alike) > 1 and all(list(one) == list(alike[0][1]) for _, one in alike):
        rows = [(name, one) for name, one in rows if not (isinstance(one, dict) and one)]
        return crossed(alike) + (table(dict(rows)) if rows else Markup(""))
    inside = "".join(f"<tr><th scope='row'>{escape(str(name))}</th><td>{cell(one)}</td></tr>" for name, one in rows)
    return Markup(f'<div class="scroll" tabindex="0"><table class="values"><tbody>{inside}</tbody></table></div>')


def crossed(rows: list[tuple[str, dict[str, Any]]]) -> Markup:
    """Dictionaries with the same keys as one table."""
    head = "".join(f"<th scope='col'>{escape(str(key))}</th>" for key in rows[0][1])
    body = [
        f"<tr><th scope='row'>{escape(str(name))}</th>" + "".join(f"<td>{cell(one)}</td>" for one in values.values())
        for name, values in rows
    ]
    return Markup(
        f'<div class="scroll" tabindex="0"><table class="values"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{'</tr>'.join(body)}</tr></tbody></table></div>"
    )


def cell(one: Any) -> str:
    """A value."""
    if isinstance(one, bool) or one is None:
        return str(one)
    if isinstance(one, float):
        return f"{one:.6g}"
    if isinstance(one, dict):
        return str(table(one))
    if isinstance(one, list) and one and all(isinstance(row, list) for row in one):
        if sum(map(len, one)) > MOST_CELLS:
            return f"{len(one)} × {len(one[0])}"
        rows = "".join(f"<tr>{''.join(f'<td>{cell(number)}</td>' for number in row)}</tr>" for row in one)
        return f'<table class="values"><tbody>{rows}</tbody></table>'
    if isinstance(one, list):
        more = "" if len(one) <= 20 else ", …"
        return ", ".join(cell(number) for number in one[:20]) + more
    return escape(str(one))[:500]
