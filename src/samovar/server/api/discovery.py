"""Finding things without a list's filters: by the text of cards, by what is popular, by tags, by beginning to type."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from samovar.server.api.context import CallerOf, HubOf
from samovar.server.api.filters import values
from samovar.server.errors import BadRequestError
from samovar.server.repos.names import printable
from samovar.server.search.query import Query as SearchQuery
from samovar.server.services.descriptions import BRIEF
from samovar.server.services.fulltext import MOST, search_texts
from samovar.server.services.popular import Remembered, quick
from samovar.server.services.searching import list_page, viewer_of

router = APIRouter(tags=["search"])
remembered = Remembered()
KINDS = ("model", "dataset", "space")
TypesQuery = Annotated[list[str] | None, Query(description="Kinds; repeated or with commas.")]
Text = Annotated[str, Query(max_length=250, description="What is looked for.")]


def kinds_of(request: Request, known: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds that `type` names; all if it names none. Raises `BadRequestError`."""
    given = tuple(dict.fromkeys(values(request.query_params, "type")))
    for kind in given:
        if kind not in known:
            raise BadRequestError(f"type cannot be {printable(kind)}.", f"Choose of: {', '.join(known)}.")
    return given or known


@router.get("/api/search/full-text")
def full_text(
    hub: HubOf, caller: CallerOf, request: Request, q: Text = "", type: TypesQuery = None,
    skip: Annotated[int, Query(ge=0, le=MOST)] = 0, limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JSONResponse:  # fmt: skip
    """Repositories whose ids or cards hold the words, the best first (BM25); `skip` and `limit` choose a part."""
    started = time.perf_counter()
    total, hits = search_texts(hub, caller, q, kinds_of(request, KINDS), skip, limit)
    took = round((time.perf_counter() - started) * 1000)
    return JSONResponse(
        {"hits": hits, "estimatedTotalHits": total, "offset": skip, "limit": limit, "query": q,
         "processingTimeMs": took}
    )  # fmt: skip


@router.get("/api/quicksearch")
def quicksearch(
    hub: HubOf, caller: CallerOf, request: Request, q: Text = "", type: TypesQuery = None,
    limit: Annotated[int, Query(ge=1, le=20)] = 5,
) -> dict[str, Any]:  # fmt: skip
    """A few repositories and accounts whose names hold what was typed so far."""
    return {"q": q, **quick(hub, caller, q, kinds_of(request, (*KINDS, "user", "org")), limit)}


@router.get("/api/trending")
def trending(
    hub: HubOf, caller: CallerOf, request: Request, type: TypesQuery = None,
    limit: Annotated[int, Query(ge=1, le=20)] = 10,
) -> dict[str, Any]:  # fmt: skip
    """What was liked and downloaded most lately, of all kinds."""
    found: list[dict[str, Any]] = [
        {"repoData": item, "repoType": kind}
        for kind in kinds_of(request, KINDS)
        for item in list_page(hub, caller, kind, SearchQuery(viewer=viewer_of(caller)), BRIEF[kind], limit=limit).items
    ]
    found.sort(key=lambda one: -one["repoData"]["trendingScore"])
    return {"recentlyTrending": found[:limit]}


@router.get("/api/models-tags-by-type")
def models_tags_by_type(hub: HubOf) -> JSONResponse:
    """Tags that lists of models can be filtered by, by type."""
    return JSONResponse(remembered.tags_by_type(hub, "model"))


@router.get("/api/datasets-tags-by-type")
def datasets_tags_by_type(hub: HubOf) -> JSONResponse:
    """Tags that lists of data sets can be filtered by, by type."""
    return JSONResponse(remembered.tags_by_type(hub, "dataset"))


@router.get("/api/tasks")
def tasks(hub: HubOf) -> JSONResponse:
    """All tasks, each with models that clients may take for it when none is named."""
    return JSONResponse(remembered.tasks(hub))
