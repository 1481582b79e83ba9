"""The full-text search: ranked repositories of several kinds, each with the part of its card that was found."""

from __future__ import annotations

import heapq
import re
from typing import Any

from sqlalchemy import select

from samovar.server.db.tables import Repository, RepositoryContent
from samovar.server.hub import Hub
from samovar.server.search.fulltext import ranked
from samovar.server.search.query import Query
from samovar.server.search.words import words_of
from samovar.server.services.access import Caller, visible_to
from samovar.server.services.searching import viewer_of

MOST = 1000
# Characters of the card shown around a word.
AROUND = 120


def search_texts(
    hub: Hub, caller: Caller, text: str, kinds: tuple[str, ...], offset: int, limit: int
) -> tuple[int, list[dict[str, Any]]]:
    """How many were found, and a part of them: kind, id, score and a snippet. Only the first `MOST` can be reached."""
    words = words_of(text)
    viewer = viewer_of(caller)
    tables = {kind: hub.index.table(kind) for kind in kinds}
    found: list[tuple[float, str, int]] = []
    total = 0
    with hub.database.read() as session:
        for kind, table in tables.items():
            slots, scores = ranked(session, table, words, Query(viewer=viewer))
            total += len(slots)
            ids = table.columns["id"][slots[:MOST]].tolist()
            found += [(-score, kind, number) for score, number in zip(scores[:MOST].tolist(), ids, strict=True)]
        best = heapq.nsmallest(MOST, found)[offset : offset + limit]
        query = (
            select(Repository.id, Repository.type, Repository.name, RepositoryContent.card_text)
            .outerjoin(RepositoryContent, RepositoryContent.repository_id == Repository.id)
            .where(Repository.id.in_([number for _, _, number in best]), visible_to(caller))
        )
        rows = {row.id: row for row in session.execute(query)}
    hits = []
    for score, kind, number in best:
        row = rows.get(number)
        if row is not None:
            owner, _, name = row.name.partition("/")
            hits.append({
                "repoId": row.name, "repoOwner": owner, "repoName": name, "type": kind, "score": round(-score, 4),
                "formatted": {"repoName": name, "fileContent": snippet(row.card_text or "", words)},
            })  # fmt: skip
    return min(total, MOST), hits


def snippet(text: str, words: list[str]) -> str:
    """The part of a text around the first of the words in it, or its beginning. Plain text: a page must escape it."""
    found = re.search("|".join(map(re.escape, words)), text, re.IGNORECASE) if words else None
    start = max(found.start() - AROUND, 0) if found else 0
    return " ".join(text[start : start + 2 * AROUND].split())
