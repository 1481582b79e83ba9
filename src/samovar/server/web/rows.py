"""The viewer's page of a data set: rows with what is in them, how each column is spread, search and conditions."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import HubOf
from samovar.server.errors import UnprocessableError
from samovar.server.services.access import Caller
from samovar.server.viewer import query
from samovar.server.viewer.data import (
    NoDataError,
    NotReadyError,
    Split,
    found_by_condition,
    found_by_words,
    opened,
    text_columns,
)
from samovar.server.viewer.shown import cells, media
from samovar.server.web.charts import columns as column_chart
from samovar.server.web.files import Opened
from samovar.server.web.files import opened as repository_of
from samovar.server.web.numbers import short
from samovar.server.web.site import BrowserOf, link, new_router, page, safe

router = new_router()
SIZE = 50
# Seconds that a visitor waits for rows before a page says that they are being made.
PATIENCE = 4.0
HERE = "/datasets/{owner:owner}/{name:segment}/viewer"


@router.get(HERE)
def first(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str) -> Response:
    """The first split."""
    at = repository_of(hub, caller, "dataset", f"{owner}/{name}")
    try:
        data = opened(hub, request.app.state.converter, caller, at.repository.name, PATIENCE)
    except (NotReadyError, NoDataError) as problem:
        return without_rows(request, caller, at, problem)
    config = next(iter(data.info))
    split = next(iter(data.info[config]["splits"]))
    return RedirectResponse(place_of(at.root, config, split), 302)


def without_rows(request: Request, caller: Caller, at: Opened, problem: NotReadyError | NoDataError) -> Response:
    """Says why there are no rows; where they are being made, the page looks again by itself."""
    soon = isinstance(problem, NotReadyError)
    return page(
        request, "no_rows", at.repository.name, caller, 200, {"Refresh": "3"} if soon else {},
        **at.frame | {"tab": "viewer"}, cause=problem.cause, next_step=problem.next_step, soon=soon,
    )  # fmt: skip


def place_of(root: str, config: str, split: str) -> str:
    """The address of a split's page."""
    return f"{root}/viewer/{quote(config, safe='')}/{quote(split, safe='')}"


@router.get(HERE + "/{config:segment}/{split:segment}")
def rows(
    request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, config: str, split: str,
    p: Annotated[int, Query(ge=0, le=10**9)] = 0, search: Annotated[str, Query(max_length=1000)] = "",
    where: Annotated[str, Query(max_length=10_000)] = "", orderby: Annotated[str, Query(max_length=500)] = "",
) -> Response:  # fmt: skip
    """A page of rows: all, those that hold words, or those that fulfil a condition."""
    at = repository_of(hub, caller, "dataset", f"{owner}/{name}")
    try:
        data = opened(hub, request.app.state.converter, caller, at.repository.name, PATIENCE)
    except (NotReadyError, NoDataError) as reason:
        return without_rows(request, caller, at, reason)
    part, problem = data.split(config, split), ""
    try:
        if search.strip():
            found = found_by_words(part, search, p * SIZE, SIZE)
        elif where.strip() or orderby.strip():
            found = found_by_condition(part, where, orderby, p * SIZE, SIZE)
        else:
            found = query.page(part.path, p * SIZE, SIZE)
    except UnprocessableError as error:
        found, problem = query.Found([], 0), error.message
    here = place_of(at.root, config, split)
    given = {"search": search, "where": where, "orderby": orderby}
    places = [
        (f"{one} / {inside}", place_of(at.root, one, inside), (one, inside) == (config, split))
        for one, facts in data.info.items() for inside in facts["splits"]
    ]  # fmt: skip
    return page(
        request, "rows", f"{at.repository.name} · {split}", caller, **at.frame | {"tab": "viewer"}, places=places,
        columns=described(part), table=[shown(part, number, row) for number, row in found.rows], total=found.total,
        problem=problem, p=p, searchable=bool(text_columns(part.features)), this=here, given=given,
        partial=part.partial,
        before=link(here, **given, p=p - 1) if p else None,
        after=link(here, **given, p=p + 1) if (p + 1) * SIZE < found.total else None,
        first_row=p * SIZE + 1, last_row=p * SIZE + len(found.rows),
    )  # fmt: skip


def described(part: Split) -> list[dict[str, Any]]:
    """Name, type, and a small chart of each column."""
    known = {one["column_name"]: one for one in part.statistics()["statistics"]}
    found = []
    for feature in part.features:
        kind = media(feature["type"]) or known.get(feature["name"], {}).get("column_type", "")
        values = known.get(feature["name"], {}).get("column_statistics", {})
        chart, caption = "", ""
        if values.get("histogram", {}).get("hist"):
            edges = values["histogram"]["bin_edges"]
            chart = column_chart([(edge_label(edges, at), n) for at, n in enumerate(values["histogram"]["hist"])])
            caption = f"{short(values['min'])} – {short(values['max'])}"
        elif values.get("frequencies"):
            pairs = list(values["frequencies"].items())
            chart = column_chart([(str(label), n) for label, n in pairs[:20]])
            caption = ", ".join(f"{label} {short(n)}" for label, n in pairs[:3])
        found.append({"name": feature["name"], "kind": kind, "chart": safe(chart), "caption": caption[:80]})
    return found


def edge_label(edges: list[float], at: int) -> str:
    """The range of one bin."""
    return f"{edges[at]:g} – {edges[min(at + 1, len(edges) - 1)]:g}"


def shown(part: Split, number: int, row: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """A row for the template: texts, pictures and sounds."""
    plain, cut = cells(row, number, part.features, part.asset(""))
    found = []
    for feature in part.features:
        name, value = feature["name"], plain[feature["name"]]
        kind = media(feature["type"])
        if kind and value:
            found.append({"kind": kind, "src": value["src"] if kind == "image" else value[0]["src"], "text": ""})
            continue
        labels = feature["type"].get("names") if isinstance(feature["type"], dict) else None
        text = "" if value is None else str(value)
        if labels and isinstance(value, int) and 0 <= value < len(labels):
            text = f"{value} ({labels[value]})"
        found.append({"kind": "", "src": "", "text": text + ("…" if name in cut else "")})
    return number, found
