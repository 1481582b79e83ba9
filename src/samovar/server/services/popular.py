"""What is found without asking: tags by type, models recommended for a task, and names while they are being typed."""

from __future__ import annotations

import threading
from typing import Any

from sqlalchemy import select

from samovar.server.db.tables import Account
from samovar.server.hub import Hub
from samovar.server.search.facets import facets
from samovar.server.search.groups import mark
from samovar.server.search.query import Filter, Query, matching
from samovar.server.search.ranking import DEFAULT, SORTS, first
from samovar.server.services.access import ANONYMOUS, Caller
from samovar.server.services.searching import described, viewer_of
from samovar.server.taxonomy.languages import LANGUAGES
from samovar.server.taxonomy.libraries import LIBRARIES, OF_DATASETS
from samovar.server.taxonomy.tasks import GROUP_OF

TAG_TYPES = {
    "model": ("pipeline_tag", "library", "dataset", "language", "license", "other", "region"),
    "dataset": ("task_categories", "task_ids", "language", "multilinguality", "size_categories", "modality", "format",
                "library", "license", "benchmark", "other"),
}  # fmt: skip
MOST_OF_A_TYPE = 5000
RECOMMENDED = 3


class Remembered:
    """What is the same for everybody and takes a while: kept until the index changes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[str, tuple[object, Any]] = {}

    def tags_by_type(self, hub: Hub, kind: str) -> dict[str, list[dict[str, str]]]:
        """Type → tags of public repositories, the most frequent first, and all known tasks and libraries."""
        return self.once(hub, f"tags of {kind}", lambda: tags_by_type(hub, kind))

    def tasks(self, hub: Hub) -> dict[str, dict[str, Any]]:
        """Task → public models recommended for it."""
        return self.once(hub, "tasks", lambda: tasks(hub))

    def once(self, hub: Hub, name: str, make: Any) -> Any:
        """What was made at this state of the index."""
        hub.index.table("model")
        state = hub.index.seen
        with self.lock:
            if name in self.known and self.known[name][0] == state:
                return self.known[name][1]
            made = make()
            self.known[name] = state, made
            return made


def tags_by_type(hub: Hub, kind: str) -> dict[str, list[dict[str, str]]]:
    """Only public repositories count: a private one's tags are nobody else's business."""
    _, found = facets(hub.index.table(kind), Query(), TAG_TYPES[kind], MOST_OF_A_TYPE)
    said: dict[str, list[dict[str, str]]] = {}
    for type_, values in found.items():
        ids = {value.id: value.label for value in values}
        if type_ == "pipeline_tag":
            ids = {task: task for task in GROUP_OF} | ids
        elif type_ == "library" and kind == "model":
            ids |= {library: library for library in LIBRARIES if library not in OF_DATASETS}
        elif type_ == "task_categories":
            ids |= {f"task_categories:{task}": task for task in GROUP_OF}
        said[type_] = [tag_entry(id_, type_) for id_ in ids]
    return said


def tag_entry(id_: str, type_: str) -> dict[str, str]:
    """One tag."""
    bare = id_.rpartition(":")[2] if type_ not in ("dataset", "other") else id_.partition(":")[2] or id_
    entry = {"id": id_, "label": label_of(bare, type_), "type": type_}
    if bare in GROUP_OF and type_ in ("pipeline_tag", "task_categories"):
        entry["subType"] = GROUP_OF[bare]
    return entry


def label_of(bare: str, type_: str) -> str:
    """A tag as people write it."""
    if type_ == "language":
        return LANGUAGES.get(bare, bare)
    if type_ == "library":
        return LIBRARIES.get(bare, bare)
    return bare.replace("-", " ").capitalize() if type_ in ("pipeline_tag", "task_categories", "task_ids") else bare


def tasks(hub: Hub) -> dict[str, dict[str, Any]]:
    """The most popular public models of each task, which clients take when none is given."""
    table = hub.index.table("model")
    said: dict[str, dict[str, Any]] = {}
    for task, group in GROUP_OF.items():
        query = Query((Filter((mark("pipeline_tag", task),)),))
        slots, _ = first(table, matching(table, query), "downloads", RECOMMENDED)
        names = [item["id"] for item in described(hub, ANONYMOUS, "model", table.columns["id"][slots].tolist(), ())]
        said[task] = {"id": task, "label": label_of(task, "pipeline_tag"), "type": group, "widgetModels": names}
    return said


def quick(hub: Hub, caller: Caller, text: str, kinds: tuple[str, ...], limit: int) -> dict[str, Any]:
    """The most popular repositories whose ids hold all words, and accounts whose names begin so."""
    words = tuple(text.lower().split())
    said: dict[str, Any] = {}
    for kind in ("model", "dataset", "space"):
        if kind in kinds:
            table = hub.index.table(kind)
            found = matching(table, Query(words=words, viewer=viewer_of(caller)))
            slots, _ = first(table, found, SORTS[DEFAULT], limit)
            ids = table.columns["id"][slots].tolist()
            said[f"{kind}s"] = described(hub, caller, kind, ids, ("trendingScore", "private"))
            said[f"{kind}sCount"] = len(found)
    for kind in ("user", "org"):
        if kind in kinds:
            with hub.database.read() as session:
                query = select(Account.name, Account.full_name).where(
                    Account.kind == kind, Account.disabled.is_(False),
                    Account.name_key.startswith(text.lower().strip(), autoescape=True),
                )  # fmt: skip
                rows = session.execute(query.order_by(Account.name_key).limit(limit)).all()
            said[f"{kind}s"] = [{"name": row.name, "user": row.name, "fullname": row.full_name} for row in rows]
    return said
