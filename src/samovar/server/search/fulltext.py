"""Ranked search for words in cards and names: BM25 (Robertson and Zaragoza, 2009) over counts kept in the database.

Of a word that stands in very many cards only the cards that it stands in most often are candidates, so a search costs
as much in a large Hub as in a small one; candidates that another word brought are still scored by it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from samovar.server.db.tables import SearchTerm
from samovar.server.search.postings import Slots
from samovar.server.search.query import Query, matching
from samovar.server.search.ranking import first
from samovar.server.search.table import Table
from samovar.server.search.words import number_of

K1, B = 1.2, 0.75
# Cards looked at for one word; names likewise.
MOST_CARDS, MOST_NAMES = 5000, 2000
AT_ONCE = 500
MOST_WORDS = 12
# How much a word in the name counts beside one in the card, and how much popularity decides between equals.
OF_NAME, OF_POPULARITY = 3.0, 0.1
Floats = npt.NDArray[np.float64]


def ranked(session: Session, table: Table, words: Iterable[str], query: Query) -> tuple[Slots, Floats]:
    """The slots that hold any of the words and match the query, the best first, and their scores.

    Only what the query matches, and so what its viewer may see, counts in any frequency: scores tell nothing of others.
    """
    among = matching(table, query)
    if not len(among):
        return among, np.empty(0)
    seen = np.zeros(len(table.state), np.bool_)
    seen[among] = True
    lengths, ids = table.columns["card_words"], table.columns["id"]
    average = max(float(lengths[among].mean()), 1.0)
    scores: dict[int, float] = {}
    wanted = list(dict.fromkeys(words))[:MOST_WORDS]
    lists = {word: cards_with(session, word) for word in wanted}
    # Rare words first: they bring the candidates by which common ones are asked for more.
    for word in sorted(wanted, key=lambda one: len(lists[one])):
        found = lists[word]
        if len(found) >= MOST_CARDS and scores:
            known = ids[np.fromiter(scores, np.int64)].tolist()[: 2 * AT_ONCE]
            found = {**found, **dict(counts_of(session, word, known))}
        slots = table.slots_of(np.fromiter(found, np.int64, len(found)))
        times = np.fromiter(found.values(), np.float64, len(found))
        kept = (slots >= 0) & seen[slots]
        slots, times = slots[kept], times[kept]
        weight = inverse_frequency(len(slots), len(among))
        add(scores, slots, weight * times * (K1 + 1) / (times + K1 * (1 - B + B * lengths[slots] / average)))
        named = table.naming(word.encode(), None, table.count)
        named = named[seen[named]]
        best, _ = first(table, named, "downloads", MOST_NAMES)
        add(scores, best, np.full(len(best), OF_NAME * inverse_frequency(len(named), len(among))))
    found_slots = np.fromiter(scores, np.int64, len(scores))
    popularity = np.log1p(table.columns["downloads"][found_slots] + 10 * table.columns["likes"][found_slots])
    values = np.fromiter(scores.values(), np.float64, len(scores)) + OF_POPULARITY * popularity
    order = np.lexsort((ids[found_slots], -values))
    return found_slots[order], values[order]


def add(scores: dict[int, float], slots: Slots, gained: Floats) -> None:
    """Add to the scores."""
    for slot, more in zip(slots.tolist(), gained.tolist(), strict=True):
        scores[slot] = scores.get(slot, 0.0) + more


def inverse_frequency(having: int, total: int) -> float:
    """The weight of a word that `having` of `total` have; never negative."""
    return float(np.log1p(max(total - having, 0) + 0.5) - np.log(having + 0.5)) if having < total else 0.1


def cards_with(session: Session, word: str) -> dict[int, int]:
    """Repository → how often the word stands in its card, the most frequent first."""
    return counts(session, SearchTerm.term == number_of(word))


def counts_of(session: Session, word: str, ids: list[int]) -> Iterable[tuple[int, int]]:
    """The same for given repositories."""
    for start in range(0, len(ids), AT_ONCE):
        among = SearchTerm.repository_id.in_(ids[start : start + AT_ONCE])
        yield from counts(session, (SearchTerm.term == number_of(word)) & among).items()


def counts(session: Session, condition: ColumnElement[bool]) -> dict[int, int]:
    """Repository → count of the rows that fulfil a condition."""
    query = select(SearchTerm.repository_id, SearchTerm.count).where(condition)
    rows = session.execute(query.order_by(SearchTerm.count.desc()).limit(MOST_CARDS))
    return {row[0]: row[1] for row in rows}
