"""Pages of the tasks: all of them by field with counts, and one each, with an example that runs."""

from __future__ import annotations

from fastapi import Request
from markupsafe import Markup
from sqlalchemy import select
from starlette.responses import Response

from samovar.server.api.context import HubOf
from samovar.server.db.tables import Repository, RepositoryContent
from samovar.server.errors import NotFoundError
from samovar.server.hub import Hub
from samovar.server.search.groups import mark
from samovar.server.search.query import Filter, Query, matching, tagged
from samovar.server.search.ranking import first
from samovar.server.services.access import ANONYMOUS, Caller, visible_to
from samovar.server.services.searching import list_page, viewer_of
from samovar.server.taxonomy.about import ABOUT
from samovar.server.taxonomy.tasks import TASKS
from samovar.server.web.listing import FIELDS, OF_KIND
from samovar.server.web.markup import coloured
from samovar.server.web.site import BrowserOf, link, new_router, page
from samovar.server.web.snippets import CALLS
from samovar.server.web.widget import Widget, why_not, widget_of

router = new_router()
SHOWN = 6
# Of the most liked models so many are looked at for one that runs.
TRIED = 12


@router.get("/tasks")
def tasks(request: Request, hub: HubOf, caller: BrowserOf) -> Response:
    """All tasks that have a page, by field, with the numbers of models and data sets."""
    groups = [
        (FIELDS[field], [
            (task, ABOUT[task], count(hub, caller, "model", task), count(hub, caller, "dataset", task))
            for task in inside if task in ABOUT
        ])
        for field, inside in TASKS.items()
    ]  # fmt: skip
    return page(request, "tasks", "Tasks", caller, groups=[group for group in groups if group[1]])


@router.get("/tasks/{task:segment}")
def task(request: Request, hub: HubOf, caller: BrowserOf, task: str) -> Response:
    """One task: what it is, an example, models, data sets and metrics."""
    about = ABOUT.get(task)
    if about is None:
        raise NotFoundError("There is no page on this task.", "The list of tasks names those that have one.")
    library = request.app.state.library
    known = library.described()
    models = list_page(hub, caller, "model", of(caller, "model", task), OF_KIND["model"], "likes", SHOWN).items
    datasets = list_page(hub, caller, "dataset", of(caller, "dataset", task), OF_KIND["dataset"], "likes", SHOWN).items
    widget = example(request, hub, task)
    name = widget.name if widget else models[0]["id"] if models else "owner/name"
    code = f'from samovar import pipeline\n\npipe = pipeline("{task}", model="{name}")\n'
    code += f"print(pipe{CALLS.get(task, called(about.takes))})"
    return page(
        request, "task", task, caller, task=task, about=about, runs=task in known.tasks, widget=widget, answer=None,
        models=models, datasets=datasets, model_count=count(hub, caller, "model", task),
        dataset_count=count(hub, caller, "dataset", task), all_models=link("/models", pipeline_tag=task),
        all_datasets=link("/datasets", task_categories=task),
        metrics=[known.metrics[one] for one in about.metrics if one in known.metrics], code=code,
        code_html=Markup(coloured(code, "", "python")),
    )  # fmt: skip


def called(takes: str) -> str:
    """A first call of a task without one of its own."""
    if takes.startswith("A picture"):
        return '("photo.jpg")'
    return '("speech.wav")' if takes.startswith("A recording") else '("Tea is ready.")'


def of(caller: Caller, kind: str, task: str) -> Query:
    """The query for a task's models or data sets."""
    condition = Filter((mark("pipeline_tag", task),)) if kind == "model" else tagged(f"task_categories:{task}")
    return Query((condition,), viewer=viewer_of(caller))


def count(hub: Hub, caller: Caller, kind: str, task: str) -> int:
    """How many models or data sets of the task the caller may see."""
    return len(matching(hub.index.table(kind), of(caller, kind, task)))


def example(request: Request, hub: Hub, task: str) -> Widget | None:
    """The widget of the most liked public model of the task that can be run here; None if there is none."""
    state = request.app.state
    if not state.pool.able or not state.library.runs(task):
        return None
    table = hub.index.table("model")
    slots, _ = first(table, matching(table, of(ANONYMOUS, "model", task)), "likes", TRIED)
    ids = table.columns["id"][slots].tolist()
    with hub.database.read() as session:
        rows = session.execute(
            select(Repository, RepositoryContent)
            .join(RepositoryContent, RepositoryContent.repository_id == Repository.id)
            .where(Repository.id.in_(ids), visible_to(ANONYMOUS), Repository.gated.is_(None))
        ).all()
    for repository, content in sorted(rows, key=lambda row: ids.index(row[0].id)):
        if why_not(state.pool, state.library, repository.pipeline_tag, content.files) is None:
            return widget_of(state.pool, state.library, repository, content)
    return None
