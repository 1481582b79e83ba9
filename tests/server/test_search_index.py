"""The index answers as a filter over a list of dictionaries would, after any changes, in every process."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import insert

from samovar.errors import SamovarError
from samovar.server.db.engine import Database, mark_changed, next_change
from samovar.server.db.migrate import migrate
from samovar.server.db.tables import Account, DeletedRepository, Repository
from samovar.server.search import index as index_module
from samovar.server.search.facets import SIZES, facets
from samovar.server.search.groups import mark
from samovar.server.search.index import SearchIndex
from samovar.server.search.names import Names
from samovar.server.search.postings import Forward, Postings, distinct, ranges
from samovar.server.search.query import Filter, Query, Viewer, by, matching, tagged
from samovar.server.search.ranking import SORTS, first, read_cursor, write_cursor

OWNERS = ["ann", "bob", "carl", "Org-X"]
TAGS = [
    "en",
    "de",
    "pytorch",
    "license:mit",
    "license:apache-2.0",
    "dataset:imdb",
    "BERT",
    "bert",
    "own tag",
    "region:us",
]
WORDS = ["bert", "base", "tiny", "ner", "x1", "7b", "a"]
TASKS = [None, "fill-mask", "text-classification"]


class Library:
    """Random models in a database, and the same as dictionaries."""

    def __init__(self, path, seed: int) -> None:
        self.random = random.Random(seed)
        self.database = Database(f"sqlite:///{path / 'hub.sqlite3'}")
        migrate(self.database)
        with self.database.write() as session:
            session.execute(
                insert(Account),
                [{"id": number + 1, "kind": "user", "name": name, "name_key": name.lower()}
                 for number, name in enumerate(OWNERS)],
            )  # fmt: skip
        self.models: dict[int, dict] = {}

    def values(self) -> dict:
        draw = self.random
        owner = draw.randrange(len(OWNERS))
        name = (
            f"{OWNERS[owner]}/{draw.choice('-_.').join(draw.sample(WORDS, draw.randint(1, 4)))}-{draw.randrange(10**6)}"
        )
        moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.randrange(50))
        return {
            "type": "model", "owner_id": owner + 1, "name": name, "name_key": name.lower(),
            "private": draw.random() < 0.3, "gated": draw.choice([None, None, "auto", "manual"]),
            "likes": draw.randrange(5), "downloads": draw.randrange(10), "trending_score": draw.randrange(3) / 2,
            "created_at": moment, "last_modified": moment + timedelta(milliseconds=draw.randrange(5)),
            "pipeline_tag": draw.choice(TASKS), "architecture": draw.choice([None, "BertModel"]),
            "parameters": draw.choice([None, 0, 10**6, 5 * 10**6, 7 * 10**9]),
            "tags": draw.sample(TAGS, draw.randint(0, 6)),
        }  # fmt: skip

    def change(self, steps: int) -> None:
        """Add, change and delete."""
        draw = self.random
        for _ in range(steps):
            with self.database.write() as session:
                kind = draw.choice(["add", "add", "counters", "all", "delete"]) if self.models else "add"
                number = draw.choice(list(self.models)) if self.models else 0
                if kind == "add":
                    values = self.values()
                    row = Repository(**values)
                    session.add(row)
                    mark_changed(session, row)
                    session.flush()
                    self.models[row.id] = values
                elif kind == "delete":
                    session.add(DeletedRepository(repository_id=number, changed=next_change(session)))
                    session.delete(session.get_one(Repository, number))
                    del self.models[number]
                else:
                    values = self.values()
                    if kind == "counters":
                        values = {
                            name: values[name] for name in ("likes", "downloads", "trending_score", "last_modified")
                        }
                    row = session.get_one(Repository, number)
                    for name, value in values.items():
                        setattr(row, name, value)
                    mark_changed(session, row)
                    self.models[number] |= values

    def query(self) -> tuple[Query, dict]:
        """A random query, and what it says in plain words."""
        draw = self.random
        asked = {
            "tags": draw.sample(TAGS, draw.choice([0, 0, 1, 1, 2, 3])),
            "words": tuple(draw.sample([*WORDS, "ert", "bert-base", "t-b", "-", "/", "n/", "zzz", "ann/", "1", "e_t"],
                                       draw.choice([0, 0, 1, 2]))),
            "author": draw.choice([None, None, None, *OWNERS, "nobody"]),
            "task": draw.choice([None, None, *TASKS]),
            "gated": draw.choice([None, None, True, False]),
            "least": draw.choice([None, None, 0, 10**6]), "most": draw.choice([None, None, 5 * 10**6]),
            "viewer": draw.choice([
                Viewer(), Viewer(None), Viewer(frozenset({1})), Viewer(frozenset({1, 4})),
                Viewer(frozenset({1, 2}), (frozenset({2}), frozenset(draw.sample(list(self.models), 3)))),
                Viewer(None, (frozenset(), frozenset())),
            ]),
        }  # fmt: skip
        conditions = [tagged(tag, "license" if tag.startswith("license") else "") for tag in asked["tags"]]
        if asked["author"]:
            conditions.append(by(asked["author"]))
        if asked["task"]:
            conditions.append(Filter((mark("pipeline_tag", asked["task"]),), "pipeline_tag"))
        if asked["gated"] is not None:
            values = ("auto", "manual") if asked["gated"] else ("no",)
            conditions.append(Filter(tuple(mark("gated", value) for value in values)))
        sizes = (asked["least"], asked["most"])
        return Query(tuple(conditions), asked["words"], sizes, viewer=asked["viewer"]), asked

    def naive(self, asked: dict) -> set[int]:
        """The numbers of what matches, found by looking at every model."""
        return {number for number, model in self.models.items() if matches(number, model, asked)}


def matches(number: int, model: dict, asked: dict) -> bool:
    """Whether a model is what was asked for and may be seen."""
    viewer, name = asked["viewer"], model["name"].lower()
    tags = {tag.lower() for tag in model["tags"]}
    if model["private"]:
        owner = model["owner_id"]
        if viewer.owners is not None and owner not in viewer.owners:
            return False
        if viewer.within is not None and owner not in viewer.within[0] and number not in viewer.within[1]:
            return False
    size = model["parameters"]
    return (
        all(tag.lower() in tags for tag in asked["tags"])
        and all(word in name for word in asked["words"])
        and (not asked["author"] or name.startswith(asked["author"].lower() + "/"))
        and (not asked["task"] or model["pipeline_tag"] == asked["task"])
        and (asked["gated"] is None or (model["gated"] is not None) == asked["gated"])
        and (asked["least"] is None or (size is not None and size >= asked["least"]))
        and (asked["most"] is None or (size is not None and size <= asked["most"]))
    )


def agrees(library: Library, index: SearchIndex, queries: int) -> None:
    """Check many random queries: what is found, in which order, page by page, and the facets."""
    for _ in range(queries):
        query, asked = library.query()
        table = index.table("model")
        slots = matching(table, query)
        expected = library.naive(asked)
        assert table.columns["id"][slots].tolist() == [*dict.fromkeys(table.columns["id"][slots].tolist())]
        assert set(table.columns["id"][slots].tolist()) == expected, asked
        column = library.random.choice(list(SORTS.values()))
        ordered = sorted(expected, key=lambda number: (-value(library.models[number][column]), number))
        paged, place = [], None
        while True:
            page, place = first(table, matching(table, query), column, 7, place)
            paged += table.columns["id"][page].tolist()
            if place is None:
                break
            place = read_cursor(write_cursor("likes", place), "likes")
        assert paged == ordered, (asked, column)
        check_facets(library, table, query, asked)


def check_facets(library: Library, table, query: Query, asked: dict) -> None:
    """The facets' counts are those of a walk through all models."""
    total, found = facets(table, query, ("pipeline_tag", "license", "language", "parameters"), 50)
    assert total == len(library.naive(asked))
    free = {**asked, "tags": [tag for tag in asked["tags"] if not tag.startswith("license")]}
    for tag in ("license:mit", "license:apache-2.0"):
        count = sum(tag in library.models[number]["tags"] for number in library.naive(free))
        assert {one.id: one.count for one in found["license"]}.get(tag, 0) == count
    for task in TASKS[1:]:
        among = library.naive({**asked, "task": None})
        count = sum(library.models[number]["pipeline_tag"] == task for number in among)
        assert {one.id: one.count for one in found["pipeline_tag"]}.get(task, 0) == count
    german = sum("de" in library.models[number]["tags"] for number in library.naive(asked))
    assert {one.id: one.count for one in found["language"]}.get("de", 0) == german
    sized = [library.models[number]["parameters"] for number in library.naive({**asked, "least": None, "most": None})]
    assert sum(one.count for one in found["parameters"]) == sum(size is not None for size in sized)
    under_a_million = {one.id: one.count for one in found["parameters"]}.get(SIZES[0], 0)
    assert under_a_million == sum(size is not None and size < 10**6 for size in sized)


def value(of: object) -> float:
    """What is sorted by, as a number."""
    return of.timestamp() if isinstance(of, datetime) else float(of)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_answers_are_those_of_a_naive_filter(tmp_path, seed):
    library = Library(tmp_path, seed)
    library.change(120)
    index, other = SearchIndex(library.database), SearchIndex(library.database)
    agrees(library, index, 60)
    for _ in range(6):
        library.change(15)
        agrees(library, index, 15)
    # Another process, which has seen none of this, and one that begins now.
    agrees(library, other, 30)
    agrees(library, SearchIndex(library.database), 30)


@pytest.mark.slow
def test_compacting_changes_no_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "LEAST", 5)
    library = Library(tmp_path, 99)
    library.change(60)
    index = SearchIndex(library.database)
    before = index.table("model")
    for _ in range(12):
        library.change(10)
        agrees(library, index, 5)
    if index.compacting is not None:
        index.compacting.join()
    library.change(1)
    agrees(library, index, 60)
    table = index.table("model")
    assert table is not before
    assert table.base > 0
    assert table.count == len(library.models) + table.dead


@pytest.mark.slow
def test_changes_while_compacting_are_not_lost(tmp_path, monkeypatch):
    library = Library(tmp_path, 7)
    library.change(100)
    index = SearchIndex(library.database)
    old = index.table("model")
    library.change(40)
    index.table("model")
    compacted = type(old).compacted

    def with_changes_meanwhile(table):
        new = compacted(table)
        library.change(40)
        index.table("model")
        return new

    monkeypatch.setattr(type(old), "compacted", with_changes_meanwhile)
    index.compact(["model"])
    assert index.table("model") is not old
    agrees(library, index, 80)


def test_a_database_that_was_put_back_is_read_anew(tmp_path):
    library = Library(tmp_path, 3)
    library.change(80)
    index = SearchIndex(library.database)
    index.table("model")
    index.seen += 1000
    agrees(library, index, 30)


@pytest.mark.slow
def test_pages_survive_changes_in_between(tmp_path):
    library = Library(tmp_path, 11)
    library.change(300)
    index = SearchIndex(library.database)
    query = Query(viewer=Viewer(None))
    start = {number: dict(model) for number, model in library.models.items()}
    seen, place = [], None
    while True:
        table = index.table("model")
        slots, place = first(table, matching(table, query), "created_at", 9, place)
        seen += table.columns["id"][slots].tolist()
        if place is None:
            break
        library.change(3)
    stayed = {number for number, model in start.items() if library.models.get(number) == model}
    assert len(stayed) > len(start) / 3
    assert stayed <= set(seen)
    unchanged = [number for number in seen if number in stayed]
    assert len(unchanged) == len(set(unchanged))
    assert unchanged == sorted(stayed, key=lambda number: (-value(start[number]["created_at"]), number))


@pytest.mark.parametrize("cursor", ["", "x", "e30", "W10", "é", "AAAA", "a" * 10_000, write_cursor("likes", (1, 2))])
def test_foreign_cursors_are_refused(cursor):
    with pytest.raises(SamovarError, match="cursor"):
        read_cursor(cursor, "downloads")


def test_names_hold_words_exactly_when_they_are_part_of_them():
    draw = random.Random(5)
    names = ["".join(draw.choices("ab-_./1", k=draw.randint(1, 9))).encode() for _ in range(400)]
    held = Names(names)
    for _ in range(400):
        word = "".join(draw.choices("ab-_./1", k=draw.randint(1, 4))).encode()
        among = np.array(sorted(draw.sample(range(400), draw.randint(0, 400)))) if draw.random() < 0.5 else None
        among = among if among is None else among.astype(np.int64)
        expected = [slot for slot in (range(400) if among is None else among.tolist()) if word in names[slot]]
        assert held.holding(word, among).tolist() == expected, (word, among)


def test_postings_are_what_was_put_in():
    draw = np.random.default_rng(0)
    rows = [distinct(draw.integers(0, 30, draw.integers(0, 8))) for _ in range(200)]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    numbers = np.concatenate(rows).astype(np.int32)
    postings, forward = Postings(numbers, starts, 31), Forward(numbers, starts)
    for number in range(32):
        assert postings.get(number).tolist() == [slot for slot, row in enumerate(rows) if number in row]
    some = np.array([3, 7, 30])
    assert postings.union(some).tolist() == [slot for slot, row in enumerate(rows) if set(row) & {3, 7, 30}]
    for size in (0, 1, 20, 180):
        slots = np.sort(draw.choice(200, size, replace=False))
        assert sorted(forward.chosen(slots).tolist()) == sorted(one for slot in slots for one in rows[slot].tolist())
    assert ranges(np.array([3, 5, 8]), np.array([5, 5, 9])).tolist() == [3, 4, 8]
