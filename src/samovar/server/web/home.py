"""The start page: search, what is wanted lately, the tasks, how to begin; and one's own repositories."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from samovar.server.api.context import HubOf, base_url
from samovar.server.search.query import Query, by
from samovar.server.services.access import Caller
from samovar.server.services.searching import facets, list_page, viewer_of
from samovar.server.taxonomy.tasks import TASKS
from samovar.server.web.listing import FIELDS, OF_KIND
from samovar.server.web.markup import coloured
from samovar.server.web.site import BrowserOf, new_router, page, safe
from samovar.server.web.snippets import call_of

router = new_router()
MODELS, DATASETS, OWN, COUNTED = 8, 4, 4, 100
UPLOAD = """\
export HF_ENDPOINT={base}
hf auth login
hf upload {owner}/my-model ./my-model
"""
USE = """\
from samovar import pipeline

pipe = pipeline("{task}", model="{model}")
print(pipe{call})
"""


@router.get("/")
def home(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """What the visitor sees first."""
    query = Query(viewer=viewer_of(caller))
    models = list_page(hub, caller, "model", query, OF_KIND["model"], "trendingScore", MODELS).items
    datasets = list_page(hub, caller, "dataset", query, OF_KIND["dataset"], "trendingScore", DATASETS).items
    total, counted = facets(hub, "model", query, ("pipeline_tag",), COUNTED)
    counts = {value.id: value.count for value in counted["pipeline_tag"]}
    fields = [
        (FIELDS[field], [(task, counts[task]) for task in tasks if task in counts]) for field, tasks in TASKS.items()
    ]
    return page(
        request, "home", "Models and data sets", caller, models=models, datasets=datasets, total=total,
        datasets_total=facets(hub, "dataset", query, ("license",), 1)[0],
        fields=[(heading, tasks) for heading, tasks in fields if tasks], own=own(hub, caller), begin=begin(
            base_url(request), caller.name or "me", models
        ),
    )  # fmt: skip


def own(hub: HubOf, caller: Caller) -> list[tuple[str, dict[str, object]]]:
    """The visitor's own models and data sets that were changed last."""
    if caller.anonymous:
        return []
    query = Query((by(caller.name),), viewer=viewer_of(caller))
    found = [
        (kind, item)
        for kind in ("model", "dataset", "space")
        for item in list_page(hub, caller, kind, query, OF_KIND[kind], "lastModified", OWN).items
    ]
    return sorted(found, key=lambda pair: pair[1]["lastModified"], reverse=True)[:OWN]


def begin(base: str, owner: str, models: list[dict[str, object]]) -> list[tuple[str, str, object]]:
    """(heading, code, the same in colours) of the first steps."""
    found = next((one for one in models if one.get("pipeline_tag")), None)
    task = str(found["pipeline_tag"]) if found else "text-classification"
    use = USE.format(task=task, model=found["id"] if found else f"{owner}/my-model", call=call_of(task))
    upload = UPLOAD.format(base=base, owner=owner)
    return [
        ("Use a model", use, safe(coloured(use, "", "python"))),
        ("Share one of yours", upload, safe(coloured(upload, "", "bash"))),
    ]
