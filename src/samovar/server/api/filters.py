"""From the parameters of a list's address to a query: every spelling that clients have used."""

from __future__ import annotations

import re

from starlette.datastructures import QueryParams

from samovar.server.errors import BadRequestError
from samovar.server.repos.names import printable
from samovar.server.search.groups import GROUPS, group_of, mark
from samovar.server.search.query import Filter, Query, by, tagged
from samovar.server.search.ranking import SORTS
from samovar.server.search.rows import LINKED, NOT_GATED
from samovar.server.services.access import Caller
from samovar.server.services.searching import viewer_of
from samovar.server.taxonomy.tasks import GROUP_OF

MOST_CONDITIONS = 100
LONGEST_WORD = 200
TRUE, FALSE = ("true", "1"), ("false", "0")
# Tags that a model needs for a program that runs models on one's own machine.
APPS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("llama.cpp", "ollama", "lmstudio", "jan", "koboldcpp", "node-llama-cpp", "docker-model-runner", "lemonade",
         "llama-cpp-python", "backyard", "jellybox", "msty", "ramalama", "recursechat", "sanctum", "unsloth"),
        ("gguf",),
    ),
    "vllm": ("transformers", "text-generation"), "sglang": ("transformers", "text-generation"),
    "tgi": ("transformers", "text-generation"), "mlx-lm": ("mlx",), "diffusionbee": ("diffusers",),
    "drawthings": ("diffusers",), "draw-things": ("diffusers",), "invoke": ("diffusers",),
}  # fmt: skip
SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
# Parameters that are tags with a beginning, or plain ones.
PREFIXED = {"dataset": "dataset:", "license": "license:", "base_model": "base_model:"}
PLAIN = ("library", "language", "task", "tags", "other")
OF_DATASETS = ("task_categories", "task_ids", "language_creators", "multilinguality", "size_categories", "benchmark",
               "modality", "format")  # fmt: skip


def values(parameters: QueryParams, name: str) -> list[str]:
    """All values of a parameter: repeated, with `[]`, or with commas."""
    given = [*parameters.getlist(name), *parameters.getlist(f"{name}[]")]
    # No tag holds a NUL: with it the index marks what is none.
    return [value for one in given for part in one.replace("\0", "").split(",") if (value := part.strip())]


def flag(parameters: QueryParams, name: str) -> bool | None:
    """`true`, `True`, `1`, …; None if it is not there. Raises `BadRequestError`."""
    value = parameters.get(name, "").strip().lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    if value:
        raise BadRequestError(f"{name} cannot be {printable(value)}.", "Use true or false.")
    return None


def read_query(parameters: QueryParams, kind: str, caller: Caller) -> Query:
    """The query. Raises `BadRequestError`, naming the parameter that cannot be read."""
    conditions: list[Filter] = [condition(tag, kind) for tag in values(parameters, "filter")]
    for name, beginning in PREFIXED.items():
        conditions += [tagged(prefixed(value, beginning), name) for value in values(parameters, name)]
    for name in PLAIN:
        conditions += [condition(value, kind) for value in values(parameters, name)]
    if kind == "dataset":
        for name in OF_DATASETS:
            conditions += [tagged(prefixed(value, f"{name}:"), name) for value in values(parameters, name)]
    if kind == "space":
        conditions += [tagged(f"model:{value}") for value in values(parameters, "models")]
        conditions += [tagged(f"dataset:{value}") for value in values(parameters, "datasets")]
        conditions += [Filter((mark("sdk", value),), "sdk") for value in values(parameters, "sdk")]
        if flag(parameters, "linked"):
            conditions.append(tagged(LINKED))
    for name in ("pipeline_tag", "architecture"):
        conditions += [Filter((mark(name, value),), name) for value in values(parameters, name)]
    conditions += [by(author) for author in values(parameters, "author")]
    gated = flag(parameters, "gated")
    if gated is not None:
        conditions.append(Filter((mark("gated", "auto"), mark("gated", "manual")) if gated else (
            mark("gated", NOT_GATED),)))  # fmt: skip
    nothing = False
    for app in values(parameters, "apps"):
        nothing = nothing or app.lower() not in APPS
        conditions += [tagged(tag) for tag in APPS.get(app.lower(), ())]
    # No model of this Hub is served by anybody: whoever asks for such ones gets none.
    nothing = nothing or bool(values(parameters, "inference") or values(parameters, "inference_provider"))
    words = tuple(dict.fromkeys(word for one in parameters.getlist("search") for word in one.lower().split()))
    if len(conditions) > MOST_CONDITIONS or len(words) > MOST_CONDITIONS:
        raise BadRequestError(f"More than {MOST_CONDITIONS} conditions.", "Use fewer.")
    if any(len(word) > LONGEST_WORD for word in words):
        raise BadRequestError(f"A word is longer than {LONGEST_WORD} characters.", "Search for a shorter one.")
    sizes = read_sizes(parameters.get("num_parameters", ""))
    return Query(tuple(conditions), words, sizes, nothing, viewer_of(caller))


def prefixed(value: str, beginning: str) -> str:
    """The value behind the beginning, once."""
    return value if value.startswith(beginning) else beginning + value


def condition(tag: str, kind: str) -> Filter:
    """The condition of a tag, and the facet that shows it."""
    beginning, _, rest = tag.partition(":")
    if kind == "model" and rest and beginning in ("library", "language"):
        # Models carry them bare.
        return Filter((tag, rest), beginning)
    return tagged(tag, "pipeline_tag" if tag in GROUP_OF else GROUPS[group_of(tag.casefold())])


def read_sizes(text: str) -> tuple[int | None, int | None]:
    """`min:6B,max:128B` → least and most parameters. Raises `BadRequestError`."""
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        matched = re.fullmatch(r"(min|max):(\d{1,12}(?:\.\d{1,6})?)([KMBT]?)", part, re.IGNORECASE | re.ASCII)
        if not matched:
            raise BadRequestError(
                f"num_parameters cannot be {printable(text)}.", "Write it as `min:6B,max:128B`; one of both is enough."
            )
        number = float(matched[2]) * SUFFIXES[matched[3].upper()]
        found[matched[1].lower()] = min(int(number), 2**62)
    return found.get("min"), found.get("max")


def read_sort(parameters: QueryParams, default: str) -> str:
    """What to sort by, in any client's spelling. Raises `BadRequestError`.

    Always descending: `direction` is accepted as long as it says so.
    """
    given = parameters.get("sort") or default
    spelled = {
        "last_modified": "lastModified", "created_at": "createdAt", "trending_score": "trendingScore",
        "modified": "lastModified", "created": "createdAt", "trending": "trendingScore",
    }.get(given, given)  # fmt: skip
    if spelled not in SORTS:
        raise BadRequestError(f"{printable(given)} is nothing to sort by.", f"Choose of: {', '.join(SORTS)}.")
    if parameters.get("direction", "-1") not in ("-1", "", "desc"):
        raise BadRequestError("Lists are sorted in descending order alone.", "Leave out `direction`, or use -1.")
    return spelled
