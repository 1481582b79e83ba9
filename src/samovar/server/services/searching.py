"""Lists, facets and counts of the repositories that a caller may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_

from samovar.server.db.tables import Repository
from samovar.server.hub import Hub
from samovar.server.search.facets import FACETS, Value
from samovar.server.search.facets import facets as count_facets
from samovar.server.search.query import Query, Viewer, matching, tagged
from samovar.server.search.ranking import DEFAULT, SORTS, first, read_cursor, write_cursor
from samovar.server.services.access import Caller, visible_to
from samovar.server.services.descriptions import COUNTED, describe, facts_of, selecting

# Repositories described in one question to the database.
AT_ONCE = 500
# Spaces that are named with a model.
MOST_SPACES = 100


@dataclass(frozen=True)
class Page:
    """Some of the repositories that were found."""

    items: list[dict[str, Any]] = field(default_factory=list)
    cursor: str | None = None
    """Where the next page begins; None: this was the last."""


def viewer_of(caller: Caller) -> Viewer:
    """`Caller.may_see` for the index."""
    if caller.account_id is None:
        return Viewer()
    owners = None if caller.runs_hub else frozenset({caller.account_id, *caller.organisations})
    within = None
    if caller.token_role == "fineGrained":
        within = (
            frozenset(number for kind, number, _ in caller.scopes if kind == "account"),
            frozenset(number for kind, number, _ in caller.scopes if kind == "repository"),
        )
    return Viewer(owners, within)


def list_page(
    hub: Hub, caller: Caller, kind: str, query: Query, keys: tuple[str, ...], sort: str = DEFAULT, limit: int = 100,
    cursor: str | None = None,
) -> Page:  # fmt: skip
    """The repositories that match, described under `keys`. Raises `BadRequestError` for a cursor of other making."""
    after = read_cursor(cursor, sort) if cursor else None
    table = hub.index.table(kind)
    slots, place = first(table, matching(table, query), SORTS[sort], limit, after)
    items = described(hub, caller, kind, table.columns["id"][slots].tolist(), keys)
    return Page(items, write_cursor(sort, place) if place else None)


def described(hub: Hub, caller: Caller, kind: str, ids: list[int], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Repositories by their numbers, in that order. Those that went away or became private meanwhile are left out."""
    facts: dict[int, dict[str, Any]] = {}
    with hub.database.read() as session:
        for start in range(0, len(ids), AT_ONCE):
            condition = and_(Repository.id.in_(ids[start : start + AT_ONCE]), visible_to(caller))
            for row in session.execute(selecting(kind, keys, condition)):
                facts[row.id] = facts_of(row)
    counted = kind == "model" and bool(COUNTED & set(keys))
    items = []
    for number in ids:
        if number in facts:
            more = dependants(hub, caller, facts[number]["name"]) if counted else {}
            items.append(describe(kind, facts[number] | more, keys))
    return items


def dependants(hub: Hub, caller: Caller, name: str) -> dict[str, Any]:
    """How many models were made from a model, and which spaces use it."""
    viewer = viewer_of(caller)
    children = matching(hub.index.table("model"), Query((tagged(f"base_model:{name}"),), viewer=viewer))
    spaces = hub.index.table("space")
    using, _ = first(
        spaces, matching(spaces, Query((tagged(f"model:{name}"),), viewer=viewer)), SORTS[DEFAULT], MOST_SPACES
    )
    ids = spaces.columns["id"][using].tolist()
    names = [item["id"] for item in described(hub, caller, "space", ids, ())]
    return {"children": len(children), "spaces": names}


def facets(
    hub: Hub, kind: str, query: Query, names: tuple[str, ...] | None = None, limit: int = 50, **limits: int
) -> tuple[int, dict[str, list[Value]]]:
    """How many match, and the most frequent values of each facet (all facets of the kind unless named).

    There are at most `limit` values of a facet, or as many as are given under its name.
    """
    return count_facets(hub.index.table(kind), query, names or FACETS[kind], limit, **limits)
