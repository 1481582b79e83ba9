"""Lists of models, data sets and spaces: every filter, order and key of the field's Hub, page by page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse

from samovar.server.api.context import CallerOf, HubOf, Plural, base_url, repo_type
from samovar.server.api.filters import OF_DATASETS, PLAIN, PREFIXED, flag, read_query, read_sort, values
from samovar.server.errors import BadRequestError
from samovar.server.http.links import next_link
from samovar.server.repos.names import printable
from samovar.server.search.facets import FACETS
from samovar.server.search.ranking import DEFAULT
from samovar.server.services.descriptions import BRIEF, FULL, expanded
from samovar.server.services.searching import facets, list_page

router = APIRouter(tags=["search"])
LARGEST_PAGE = 1000
MOST_VALUES = 1000


def parameter(name: str, about: str, many: bool = False, type_: str = "string") -> dict[str, Any]:
    """A parameter for the description of the API."""
    schema: dict[str, Any] = {"type": "array", "items": {"type": type_}} if many else {"type": type_}
    return {"in": "query", "name": name, "required": False, "description": about, "schema": schema}


CONDITIONS = [
    parameter("search", "Words that the id holds, all of them.", many=True),
    parameter("filter", "Tags, all of them; repeated or with commas.", many=True),
    parameter("author", "The owner.", many=True),
    parameter("gated", "Only gated ones, or only others.", type_="boolean"),
    parameter("pipeline_tag", "The task (models).", many=True),
    parameter("architecture", "The class that the configuration names (models).", many=True),
    parameter("num_parameters", "`min:6B,max:128B` (models)."),
    parameter("apps", "Programs that can run the model (models).", many=True),
    parameter("inference", "`warm`: none here (models)."),
    parameter("inference_provider", "None here (models).", many=True),
    parameter("models", "Used by the space (spaces).", many=True),
    parameter("datasets", "Used by the space (spaces).", many=True),
    parameter("linked", "Uses some model or data set (spaces).", type_="boolean"),
    *(parameter(name, "A tag.", many=True) for name in (*PREFIXED, *PLAIN, *OF_DATASETS)),
]
PARAMETERS = [
    *CONDITIONS,
    parameter("sort", "trendingScore (default), downloads, likes, lastModified, createdAt; always descending."),
    parameter("direction", "-1, for clients that send it."),
    parameter("limit", f"How many, {LARGEST_PAGE} at most.", type_="integer"),
    parameter("cursor", "Where to go on: from the `Link` of the page before."),
    parameter("full", "All keys that are cheap.", type_="boolean"),
    parameter("config", "With the configuration (models).", type_="boolean"),
    parameter("cardData", "With the card's YAML.", type_="boolean"),
    parameter("expand", "Only these keys; not together with the three above.", many=True),
]


@router.get("/api/{kind:kind}", openapi_extra={"parameters": PARAMETERS})
def list_repositories(
    hub: HubOf, caller: CallerOf, request: Request, kind: Annotated[Plural, Path()]
) -> JSONResponse:  # fmt: skip
    """Models, data sets or spaces that fulfil all conditions; the next page under `Link: …; rel="next"`."""
    parameters, type_ = request.query_params, repo_type(kind)
    query = read_query(parameters, type_, caller)
    sort = read_sort(parameters, DEFAULT)
    limit = read_limit(parameters.get("limit"), LARGEST_PAGE, LARGEST_PAGE)
    keys = read_keys(request, type_)
    if limit == 0:
        return JSONResponse([])
    page = list_page(hub, caller, type_, query, keys, sort, limit, parameters.get("cursor"))
    headers = {}
    if page.cursor:
        link = next_link(base_url(request), request.url.path, request.url.query, cursor=page.cursor)
        headers["Link"] = link
    return JSONResponse(page.items, headers=headers)


@router.get(
    "/api/{kind:kind}-facets",
    openapi_extra={
        "parameters": [
            *CONDITIONS,
            parameter("facet", "Only these facets.", many=True),
            parameter("limit", f"Values of each facet, {MOST_VALUES} at most.", type_="integer"),
        ]
    },
)
def count_facets(
    hub: HubOf, caller: CallerOf, request: Request, kind: Annotated[Plural, Path()]
) -> JSONResponse:  # fmt: skip
    """How many fulfil all conditions, and how many of them have each value of each facet, the most frequent first.

    `{"total": n, "facets": {facet: [{"id", "label", "count"}]}}`. A facet in which something is chosen counts as if
    nothing were, so that its other values stay in sight.
    """
    parameters, type_ = request.query_params, repo_type(kind)
    names = tuple(values(parameters, "facet")) or FACETS[type_]
    for name in names:
        if name not in FACETS[type_]:
            raise BadRequestError(f"{printable(name)} is no facet.", f"Choose of: {', '.join(FACETS[type_])}.")
    limit = read_limit(parameters.get("limit"), 50, MOST_VALUES)
    total, found = facets(hub, type_, read_query(parameters, type_, caller), names, limit)
    said = {
        name: [{"id": value.id, "label": value.label, "count": value.count} for value in of_facet]
        for name, of_facet in found.items()
    }
    return JSONResponse({"total": total, "facets": said})


def read_limit(text: str | None, default: int, most: int) -> int:
    """The number of items, no more than `most`. Raises `BadRequestError`."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise BadRequestError(f"limit cannot be {printable(text)}.", f"Use a number up to {most}.")
    return min(int(text), most)


def read_keys(request: Request, kind: str) -> tuple[str, ...]:
    """Under which keys to describe. Raises `BadRequestError`."""
    parameters = request.query_params
    full, config, card = flag(parameters, "full"), flag(parameters, "config"), flag(parameters, "cardData")
    expand = values(parameters, "expand")
    if expand:
        if full or config or card:
            raise BadRequestError("expand goes without full, config and cardData.", "Leave out one or the other.")
        return expanded(kind, expand)
    keys = FULL[kind] if full else BRIEF[kind]
    if config and kind == "model":
        keys = (*keys, "config")
    return (*keys, "cardData") if card and "cardData" not in keys else keys
