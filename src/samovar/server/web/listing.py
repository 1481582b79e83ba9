"""The lists of models, data sets and spaces: filters with counts, search, order; every state is a link."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from samovar.server.api.context import SINGULAR, HubOf
from samovar.server.api.filters import read_query, read_sort
from samovar.server.search.facets import Value
from samovar.server.services.access import RepoType
from samovar.server.services.searching import facets, list_page
from samovar.server.taxonomy.languages import LANGUAGES
from samovar.server.taxonomy.libraries import LIBRARIES
from samovar.server.taxonomy.tasks import GROUP_OF, TASKS
from samovar.server.web.site import BrowserOf, link, new_router, page

router = new_router()
SIZE = 30
SHOWN = 12
ALL = 500
SORTS = {
    "trendingScore": "Trending", "likes": "Most likes", "downloads": "Most downloads",
    "lastModified": "Recently updated", "createdAt": "Recently created",
}  # fmt: skip
TITLES = {"model": "Models", "dataset": "Datasets", "space": "Spaces"}
COUNTS = {
    "model": ("{n} model", "{n} models"), "dataset": ("{n} dataset", "{n} datasets"),
    "space": ("{n} space", "{n} spaces"),
}  # fmt: skip
# Facet of the index → (parameter of the address, heading), in the order of the page.
RAILS: dict[str, dict[str, tuple[str, str]]] = {
    "model": {
        "pipeline_tag": ("pipeline_tag", "Tasks"), "library": ("library", "Libraries"),
        "dataset": ("dataset", "Datasets"),
        "language": ("language", "Languages"), "license": ("license", "Licenses"),
        "architecture": ("architecture", "Architectures"), "parameters": ("num_parameters", "Parameters"),
    },
    "dataset": {
        "task_categories": ("task_categories", "Tasks"), "size_categories": ("size_categories", "Rows"),
        "modality": ("modality", "Modalities"), "format": ("format", "Formats"), "language": ("language", "Languages"),
        "license": ("license", "Licenses"),
    },
    "space": {"sdk": ("filter", "Kit"), "license": ("license", "Licenses")},
}  # fmt: skip
FIELDS = {
    "nlp": "Language", "cv": "Vision", "audio": "Audio", "multimodal": "Multimodal", "rl": "Reinforcement learning",
    "tabular": "Tables and series", "other": "Other",
}  # fmt: skip
KEYS = (
    "likes",
    "trendingScore",
    "private",
    "gated",
    "downloads",
    "pipeline_tag",
    "library_name",
    "lastModified",
    "safetensors",
)
OF_KIND = {
    "model": KEYS,
    "dataset": ("likes", "trendingScore", "private", "gated", "downloads", "lastModified", "tags"),
    "space": ("likes", "trendingScore", "private", "gated", "sdk", "lastModified"),
}


@dataclass(frozen=True)
class Choice:
    """One value of a filter, and where a click on it leads."""

    label: str
    count: int
    href: str
    chosen: bool


@dataclass(frozen=True)
class Rail:
    """One filter of the page."""

    name: str
    title: str
    groups: list[tuple[str, list[Choice]]]
    """(heading, choices); one without a heading unless the filter is grouped."""
    more: str | None
    """Where all values are shown, if not all are."""
    chosen: bool


class State:
    """The parameters of the address, to make links of that differ in one thing."""

    def __init__(self, request: Request, kind: RepoType) -> None:
        self.path = f"/{kind}s"
        self.given: dict[str, list[str]] = {}
        self.begun: dict[str, tuple[str, str]] = {}
        known = {parameter for parameter, _ in RAILS[kind].values()} | {"search", "sort", "author", "other", "show"}
        for name in known:
            values = [one for one in request.query_params.getlist(name) if one]
            if values:
                self.given[name] = values

    def has(self, name: str, value: str) -> bool:
        """Whether the filter is set."""
        return value in self.given.get(name, [])

    def with_(self, name: str, value: str | None) -> str:
        """With this value alone under the name, or with none."""
        return self.link({**self.given, name: [value] if value else []})

    def toggled(self, name: str, value: str) -> str:
        """With the value added, or taken away if it is there."""
        values = self.given.get(name, [])
        if value in values:
            return self.link({**self.given, name: [one for one in values if one != value]})
        before, after = self.around(name)
        return f"{before}{urlencode({name: value})}{after}"

    def around(self, name: str) -> tuple[str, str]:
        """What stands before and after one more value of a filter: the same for hundreds of values."""
        if name not in self.begun:
            begun = self.link({other: values for other, values in self.given.items() if other <= name})
            rest = self.link({other: values for other, values in self.given.items() if other > name})
            after = rest.partition("?")[2]
            self.begun[name] = f"{begun}{'&' if '?' in begun else '?'}", f"&{after}" if after else ""
        return self.begun[name]

    def link(self, parameters: dict[str, list[str]]) -> str:
        """The address, in a stable order."""
        return link(self.path, **{name: parameters[name] for name in sorted(parameters)})


@router.get("/models")
def models(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """All models that fulfil the conditions of the address."""
    return show(request, hub, caller, "models")


@router.get("/datasets")
def datasets(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """All data sets that fulfil the conditions of the address."""
    return show(request, hub, caller, "datasets")


@router.get("/spaces")
def spaces(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """All spaces that fulfil the conditions of the address."""
    return show(request, hub, caller, "spaces")


def show(request: Request, hub: Any, caller: Any, kind: str) -> Response:
    """A list."""
    type_ = SINGULAR[kind]
    state, query = State(request, type_), read_query(request.query_params, type_, caller)
    sort = read_sort(request.query_params, "trendingScore")
    cursor = request.query_params.get("cursor")
    found = list_page(hub, caller, type_, query, OF_KIND[type_], sort, SIZE, cursor)
    shown = state.given.get("show", [""])[0]
    total, counted = facets(
        hub, type_, query, tuple(RAILS[type_]), SHOWN, **({shown: ALL} if shown in RAILS[type_] else {})
    )
    chips = [
        (title_of(name, value), state.toggled(name, value))
        for name, values in state.given.items() if name not in ("search", "sort", "show") for value in values
    ]  # fmt: skip
    return page(
        request, "listing", TITLES[type_], caller, kind=kind, type=type_, items=found.items, total=total,
        count=COUNTS[type_], rails=[rail(state, type_, name, counted[name], shown) for name in RAILS[type_]],
        chips=chips, clear=state.link({name: state.given.get(name, []) for name in ("search", "sort")}),
        sorts=[(name, title, state.with_("sort", name)) for name, title in SORTS.items() if sort_fits(type_, name)],
        sort=sort, search=" ".join(state.given.get("search", [])), hidden=hidden(state),
        further=link(state.path, **{**state.given, "cursor": found.cursor}) if found.cursor else None,
        first=state.link(state.given) if cursor else None,
    )  # fmt: skip


def sort_fits(type_: str, name: str) -> bool:
    """Spaces are not downloaded."""
    return type_ != "space" or name != "downloads"


def hidden(state: State) -> list[tuple[str, str]]:
    """What the search form sends along."""
    return [(name, value) for name, values in state.given.items() if name != "search" for value in values]


def rail(state: State, type_: str, name: str, values: list[Value], shown: str) -> Rail:
    """One filter, with its counts; tasks are grouped by field."""
    parameter, title = RAILS[type_][name]
    chosen = state.given.get(parameter, [])
    present = {written(name, value.id) for value in values}
    # A chosen value stays in sight, also when nothing has it.
    values = [*values, *(Value(one, one, 0) for one in chosen if one not in present and name != "parameters")]
    whole = shown == name
    choices = [
        (value.id, Choice(title_of(parameter, text), value.count, state.toggled(parameter, text), text in chosen))
        for value in values
        if (text := written(name, value.id))
    ]
    if not whole:
        choices = choices[:SHOWN] + [one for one in choices[SHOWN:] if one[1].chosen]
    groups: list[tuple[str, list[Choice]]] = [("", [choice for _, choice in choices])]
    if name in ("pipeline_tag", "task_categories"):
        fields: dict[str, list[Choice]] = {field: [] for field in TASKS}
        for id_, choice in choices:
            fields[GROUP_OF.get(id_.partition(":")[2] or id_, "other")].append(choice)
        groups = [(FIELDS[field], inside) for field, inside in fields.items() if inside]
    more = state.with_("show", name) if not whole and len(values) >= SHOWN and name != "parameters" else None
    return Rail(name, title, groups, more, bool(chosen))


def title_of(parameter: str, value: str) -> str:
    """A value of the address as people call it."""
    if parameter == "num_parameters":
        least, most = (re.search(rf"{end}:([^,]+)", value) for end in ("min", "max"))
        return (
            f"{least[1]}–{most[1]}" if least and most else f"> {least[1]}" if least else f"< {most[1] if most else '?'}"
        )
    bare = value.removeprefix(f"{parameter}:")
    return {"language": LANGUAGES, "library": LIBRARIES}.get(parameter, {}).get(bare, bare)


def written(name: str, value: str) -> str:
    """How a value stands in the address."""
    if name == "parameters":
        if value.startswith("<"):
            return f"max:{value[1:]}"
        if value.startswith(">"):
            return f"min:{value[1:]}"
        least, _, most = value.partition("-")
        return f"min:{least},max:{most}"
    plain = (
        value.partition(":")[2]
        if name in ("license", "dataset", "task_categories", "size_categories", "modality", "format")
        else value
    )
    return plain or value
