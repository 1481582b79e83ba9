"""What is searched for, and who is looking; and from a table the slots that answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samovar.server.search.groups import mark
from samovar.server.search.names import narrowed
from samovar.server.search.postings import Slots, distinct
from samovar.server.search.table import PRIVATE, PUBLIC, Table


@dataclass(frozen=True)
class Viewer:
    """Which private repositories the one who is looking may see, besides all public ones."""

    owners: frozenset[int] | None = frozenset()
    """Those of these accounts; None: all."""
    within: tuple[frozenset[int], frozenset[int]] | None = None
    """If given, of those only what these accounts own and these repositories: the scopes of a token."""

    def see(self, table: Table, slots: Slots) -> Slots:
        """Those of the living slots that may be seen."""
        state = table.state[slots]
        if self == PUBLIC_ONLY:
            return slots[state == PUBLIC]
        hidden = np.flatnonzero(state == PRIVATE)
        if not len(hidden):
            return slots
        private = slots[hidden]
        seen = np.ones(len(private), np.bool_)
        owner = table.columns["owner_id"][private]
        if self.owners is not None:
            seen &= np.isin(owner, list(self.owners))
        if self.within is not None:
            accounts, repositories = self.within
            seen &= np.isin(owner, list(accounts)) | np.isin(table.columns["id"][private], list(repositories))
        return np.delete(slots, hidden[~seen])


PUBLIC_ONLY = Viewer()


@dataclass(frozen=True)
class Filter:
    """One condition: any of these tags (marks included)."""

    any_of: tuple[str, ...]
    group: str = ""
    """The facet that it was chosen in: that facet goes on showing its other values."""


@dataclass(frozen=True)
class Query:
    """All conditions hold together."""

    filters: tuple[Filter, ...] = ()
    words: tuple[str, ...] = ()
    """Each is part of the name, in whatever case."""
    parameters: tuple[int | None, int | None] = (None, None)
    """Least and most parameters, both allowed."""
    nothing: bool = False
    """A condition that no repository of this Hub fulfils."""
    viewer: Viewer = PUBLIC_ONLY

    def without(self, group: str) -> Query:
        """The same without the conditions of one facet."""
        kept = tuple(one for one in self.filters if one.group != group)
        return Query(
            kept, self.words, (None, None) if group == "parameters" else self.parameters, self.nothing, self.viewer
        )


def tagged(tag: str, group: str = "") -> Filter:
    """The condition of having a tag."""
    return Filter((tag,), group)


def by(author: str) -> Filter:
    """The condition of belonging to an account."""
    return Filter((mark("author", author),))


def matching(table: Table, query: Query) -> Slots:
    """The slots, in order, of what fulfils the query and may be seen."""
    count = table.count
    if query.nothing:
        return np.empty(0, np.int64)
    slots: Slots | None = None
    wanted: list[int] = []
    for condition in query.filters:
        known = (table.vocabulary.find(tag) for tag in condition.any_of)
        numbers = list(dict.fromkeys(number for number in known if number is not None))
        if not numbers:
            return np.empty(0, np.int64)
        if len(numbers) == 1:
            wanted += numbers
            continue
        found = distinct(np.concatenate([table.having(number, count) for number in numbers]))
        slots = found if slots is None else narrowed(found, slots, count)
    # The rarest first: each further condition then looks at few.
    wanted.sort(key=table.frequency)
    for number in wanted:
        slots = table.having(number, count) if slots is None else table.narrowed(slots, number)
    for word in sorted(query.words, key=len, reverse=True):
        slots = table.naming(word.lower().encode(errors="replace"), slots, count)
    if slots is None:
        state = table.state[:count]
        slots = np.flatnonzero(state == PUBLIC) if query.viewer == PUBLIC_ONLY else np.flatnonzero(state)
    else:
        slots = slots[table.state[slots] != 0]
    least, most = query.parameters
    if least is not None or most is not None:
        sizes = table.columns["parameters"][slots]
        slots = slots[(sizes >= (least or 0)) & (sizes <= (most if most is not None else np.iinfo(np.int64).max))]
    elif not query.filters and not query.words and query.viewer == PUBLIC_ONLY:
        return slots
    return query.viewer.see(table, slots)
