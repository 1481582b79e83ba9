"""A repository's page: its card, the facts, how it was evaluated, and how to use it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pygit2
from fastapi import Request
from sqlalchemy import select
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import WEB_PREFIX, HubOf, base_url
from samovar.server.db.tables import DownloadDay, Repository, RepositoryContent
from samovar.server.db.tables.base import now
from samovar.server.hub import Hub
from samovar.server.repos.revisions import DEFAULT, referenced
from samovar.server.services import likes
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.searching import dependants
from samovar.server.web.charts import bars, days
from samovar.server.web.evaluation import Result, results
from samovar.server.web.gate import gate_of
from samovar.server.web.markup import card_html
from samovar.server.web.site import BrowserOf, new_router, page, safe
from samovar.server.web.snippets import snippets
from samovar.server.web.widget import widget_of

router = new_router()
DAYS = 30
MOST_CHARTS = 8


@router.get("/datasets/{owner:owner}/{name:segment}")
def dataset(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str) -> Response:
    """A data set's page."""
    return show(request, hub, caller, "dataset", f"{owner}/{name}")


@router.get("/spaces/{owner:owner}/{name:segment}")
def space(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str) -> Response:
    """A space's page."""
    return show(request, hub, caller, "space", f"{owner}/{name}")


@router.get("/{owner:owner}/{name:segment}")
def model(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str) -> Response:
    """A model's page."""
    return show(request, hub, caller, "model", f"{owner}/{name}")


def show(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, values: dict[str, str] | None = None,
    answer: Any = None,
) -> Response:  # fmt: skip
    """The page, or a redirect to the name that the repository has now.

    `values` and `answer` are what a visitor tried on it without scripts.
    """
    with hub.database.read() as session:
        repository = find(session, type_, full, caller)
        if repository.name != full:
            return RedirectResponse(f"/{WEB_PREFIX[type_]}{repository.name}", 301)
        content = session.get(RepositoryContent, repository.id) or RepositoryContent(
            card={}, card_text="", config={}, safetensors={}, files=[], warnings=[]
        )
        daily = downloads(session, repository.id)
        liked = likes.likes(session, caller, repository.id)
        gate = gate_of(session, caller, repository, content.card)
    base, root = base_url(request), f"/{WEB_PREFIX[type_]}{repository.name}"
    commit = repository.sha or DEFAULT
    text = readme(hub, repository) if any(row[0] == "README.md" for row in content.files) else ""
    found = results(content.card, repository.name)
    widget = None
    if type_ == "model" and repository.sha and len(content.files) > 1:
        number = request.query_params.get("example", "")
        state = request.app.state
        widget = widget_of(state.pool, state.library, repository, content, values, number)
    return page(
        request, "repository", repository.name, caller, tab="card", type=type_, kind=f"{type_}s", repository=repository,
        root=root, config=content.config, card=content.card, warnings=content.warnings, liked=liked,
        html=safe(card(text, f"{root}/resolve/{commit}/", f"{root}/blob/{DEFAULT}/")) if text else "",
        weights=content.safetensors, labels=labels(content.config),
        files=len(content.files), bytes=sum(row[1] for row in content.files),
        daily=safe(days(daily)) if daily else "", results=found, charts=charted(found),
        snippets=snippets(type_, repository, content.config, base), may_write=caller.may_write(repository),
        used_by=used_by(content.card), gate=gate,
        children=dependants(hub, caller, repository.name)["children"] if type_ == "model" else 0,
        answer=answer, widget=widget,
    )  # fmt: skip


@lru_cache(256)
def card(text: str, files: str, blob: str) -> str:
    """A README as HTML; the addresses hold the commit, so an entry is never stale."""
    return card_html(text, files, blob)


def readme(hub: Hub, repository: Repository) -> str:
    """The whole README of the default branch."""
    git = hub.folders.open(repository.id)
    found = referenced(git, DEFAULT)
    try:
        blob = found.tree["README.md"] if found else None
    except KeyError:
        return ""
    return blob.data.decode("utf-8-sig", "replace") if isinstance(blob, pygit2.Blob) else ""


def downloads(session: Any, repository_id: int) -> list[tuple[str, int]]:
    """(day, downloads) of the last 30 days, the oldest first; empty if there were none."""
    rows = session.execute(
        select(DownloadDay.day, DownloadDay.count)
        .where(DownloadDay.repository_id == repository_id)
        .order_by(DownloadDay.day.desc())
        .limit(DAYS)
    ).all()
    known = {row.day.isoformat(): row.count for row in rows}
    if not known:
        return []
    today = now().date().toordinal()
    dates = [type(rows[0].day).fromordinal(today - back).isoformat() for back in range(DAYS - 1, -1, -1)]
    return [(date, known.get(date, 0)) for date in dates]


def labels(config: dict[str, Any]) -> list[str]:
    """The names of a classifier's labels, in the order of their numbers."""
    names = config.get("id2label")
    if not isinstance(names, dict):
        return []
    return [str(names[key]) for key in sorted(names, key=lambda key: (len(str(key)), str(key)))]


def charted(found: list[Result]) -> list[tuple[str, Any]]:
    """A chart for each metric that has numbers; shares and percentages against their whole, others against the most."""
    by_metric: dict[str, list[tuple[str, float]]] = {}
    for one in found:
        if isinstance(one.value, float) and 0 <= one.value < float("inf"):
            name = f"{one.dataset} · {one.split}" if one.split else one.dataset
            by_metric.setdefault(one.metric, []).append((name, one.value))
    return [(metric, safe(bars(rows, whole=whole(rows)))) for metric, rows in by_metric.items()][:MOST_CHARTS]


def whole(rows: list[tuple[str, float]]) -> float:
    """What the longest bar could stand for."""
    most = max(value for _, value in rows)
    return 1.0 if most <= 1 else 100.0 if most <= 100 else most


def used_by(facts: dict[str, Any]) -> dict[str, list[str]]:
    """Base models and data sets that the card names, for links."""
    named: dict[str, list[str]] = {}
    for key in ("base_model", "datasets"):
        value = facts.get(key)
        many = value if isinstance(value, list) else [value] if value else []
        named[key] = [one for one in many if isinstance(one, str) and len(one) < 200][:20]
    return named
