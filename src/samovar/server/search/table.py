"""All repositories of one kind: arrays by slot. A changed repository gets a new slot at the end, its old one dies.

Slots therefore stay in order in every list, nothing that a search reads is moved under it, and searches need no lock:
each looks at the slots that there were when it began. `compacted` makes a table without the dead ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from samovar.server.search.names import Names
from samovar.server.search.postings import Forward, Postings, Slots, ranges
from samovar.server.search.rows import NUMBERS, Rows
from samovar.server.search.vocabulary import Vocabulary

DEAD, PUBLIC, PRIVATE = 0, 1, 2
# About as many tags as a row has, for choosing the cheaper way to count.
TAGS_OF_A_ROW = 12
# Ranges of parameters begin here, each up to the next, not included. `sized` holds each model's range; 0: unknown.
SIZE_BORDERS = np.array(
    [0, *(round(one * 1e6) for one in (1, 10, 100, 1e3, 3e3, 6e3, 9e3, 12e3, 24e3, 32e3, 64e3, 128e3, 256e3))]
)


class Table:
    """One kind. `base` slots are held in compact lists that never change; those behind them are the tail."""

    def __init__(self, vocabulary: Vocabulary, parts: list[Rows]) -> None:
        """From rows in the order of their ids."""
        self.vocabulary = vocabulary
        columns = {
            name: np.concatenate([np.empty(0, kind), *(part.numbers[name] for part in parts)])
            for name, kind in NUMBERS.items()
        }
        private = np.concatenate([np.empty(0, np.bool_), *(part.private for part in parts)])
        self.base = self.count = len(private)
        self.columns: dict[str, npt.NDArray[Any]] = columns
        self.state = np.where(private, PRIVATE, PUBLIC).astype(np.int8)
        self.sized = size_of(columns["parameters"])
        spelled = [name for part in parts for name in part.names]
        self.names = Names([name.lower().encode() for name in spelled])
        tags = np.concatenate([np.empty(0, np.int32), *(part.tags for part in parts)])
        counts = np.concatenate([np.zeros(1, np.int64), *(part.tag_counts for part in parts)])
        self.forward = Forward(tags, np.cumsum(counts))
        self.postings = Postings(tags, self.forward.row_starts, len(vocabulary.texts))
        self.base_ids = columns["id"].copy()
        self.tail_slots: dict[int, int] = {}
        self.tail_names: list[bytes] = []
        self.tail_tags: list[npt.NDArray[np.int32]] = []
        self.tail_postings: dict[int, list[int]] = {}
        self.dead = 0
        self.grouped: tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]] = (
            -1,
            np.empty(0, np.int64),
            np.empty(0, np.int64),
        )
        self.public_counts = np.bincount(self.forward.chosen(np.flatnonzero(~private)), minlength=len(vocabulary.texts))
        """How many public rows have each tag: kept up to date, as nothing is asked for more often."""

    def slot_of(self, repository_id: int) -> int | None:
        """Where a repository stands, or None."""
        slot = self.tail_slots.get(repository_id)
        if slot is None:
            slot = int(np.searchsorted(self.base_ids, repository_id))
            if slot == len(self.base_ids) or self.base_ids[slot] != repository_id:
                return None
        return slot if self.state[slot] != DEAD else None

    def slots_of(self, repository_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where repositories stand; -1 for those that are not here."""
        slots = np.full(len(repository_ids), -1)
        if len(self.base_ids):
            found = np.searchsorted(self.base_ids, repository_ids)
            found[found == len(self.base_ids)] = 0
            slots = np.where(self.base_ids[found] == repository_ids, found, -1)
        if self.tail_slots:
            tail = np.array([self.tail_slots.get(number, -1) for number in repository_ids.tolist()], np.int64)
            slots = np.where(tail >= 0, tail, slots)
        known = np.flatnonzero(slots >= 0)
        slots[known[self.state[slots[known]] == DEAD]] = -1
        return slots

    def remove(self, repository_id: int) -> None:
        """Forget a repository; nothing happens if it is not here."""
        slot = self.slot_of(repository_id)
        if slot is not None:
            self.kill(slot)

    def kill(self, slot: int) -> None:
        """Let a living slot die."""
        if self.state[slot] == PUBLIC:
            self.public_counts[self.tags(slot)] -= 1
        self.state[slot] = DEAD
        self.dead += 1

    def put(self, rows: Rows) -> None:
        """Take the newest state of some repositories."""
        missing = len(self.vocabulary.texts) - len(self.public_counts)
        self.public_counts = np.concatenate([self.public_counts, np.zeros(missing, np.int64)])
        ends = np.cumsum(rows.tag_counts)
        for number, name in enumerate(rows.names):
            tags = rows.tags[ends[number] - rows.tag_counts[number] : ends[number]]
            state = PRIVATE if rows.private[number] else PUBLIC
            encoded = name.lower().encode()
            old = self.slot_of(int(rows.numbers["id"][number]))
            if old is not None:
                if (
                    self.state[old] == state
                    and self.columns["owner_id"][old] == rows.numbers["owner_id"][number]
                    and self.name(old) == encoded
                    and np.array_equal(self.tags(old), tags)
                ):
                    # Only counters have changed: those are written where they are.
                    for column, values in rows.numbers.items():
                        self.columns[column][old] = values[number]
                    self.sized[old] = size_of(rows.numbers["parameters"][number])
                    continue
                self.kill(old)
            self.append(rows, number, encoded, tags, state)

    def append(self, rows: Rows, number: int, name: bytes, tags: npt.NDArray[np.int32], state: int) -> None:
        """Add a row behind all others. It can be seen when everything of it is there."""
        slot = self.count
        if slot == len(self.state):
            self.grow()
        for column, values in rows.numbers.items():
            self.columns[column][slot] = values[number]
        self.tail_names.append(name)
        self.tail_tags.append(tags)
        for tag in tags.tolist():
            self.tail_postings.setdefault(tag, []).append(slot)
        self.tail_slots[int(rows.numbers["id"][number])] = slot
        self.sized[slot] = size_of(rows.numbers["parameters"][number])
        if state == PUBLIC:
            self.public_counts[tags] += 1
        self.state[slot] = state
        self.count = slot + 1

    def grow(self) -> None:
        """Make room; searches that are going on keep the arrays that they have."""
        more = max(1024, len(self.state) // 8)
        self.columns = {
            name: np.concatenate([values, np.zeros(more, values.dtype)]) for name, values in self.columns.items()
        }
        self.state = np.concatenate([self.state, np.zeros(more, np.int8)])
        self.sized = np.concatenate([self.sized, np.zeros(more, np.int8)])

    def name(self, slot: int) -> bytes:
        """A slot's name in small letters."""
        return self.names.name(slot) if slot < self.base else self.tail_names[slot - self.base]

    def tags(self, slot: int) -> npt.NDArray[np.int32]:
        """A slot's tags."""
        return self.forward.get(slot) if slot < self.base else self.tail_tags[slot - self.base]

    def having(self, tag: int, count: int) -> Slots:
        """The slots below `count`, in order, that have a tag; dead ones too."""
        found = self.postings.get(tag)
        behind = self.tail_postings.get(tag)
        if not behind:
            return found.astype(np.int64)
        tail = np.array(behind, np.int64)
        return np.concatenate([found, tail[tail < count]])

    def frequency(self, tag: int) -> int:
        """How many slots have a tag, dead ones too."""
        return len(self.postings.get(tag)) + len(self.tail_postings.get(tag, ()))

    def narrowed(self, slots: Slots, tag: int) -> Slots:
        """Those of the slots that have a tag."""
        border = int(np.searchsorted(slots, self.base))
        head, tail = slots[:border], slots[border:]
        found = self.postings.get(tag)
        if len(found) * 20 > self.base:
            head = head[self.postings.mask(tag)[head]]
        elif len(found):
            at = np.searchsorted(found, head)
            at[at == len(found)] = 0
            head = head[found[at] == head]
        else:
            head = head[:0]
        return np.concatenate([head, tail[np.isin(tail, self.tail_postings.get(tag, ()))]])

    def naming(self, word: bytes, among: Slots | None, count: int) -> Slots:
        """The slots below `count`, in order, whose names hold a word, of those in `among` if given."""
        if among is None:
            tail = np.arange(self.base, count)
            found = self.names.holding(word, None)
        else:
            border = int(np.searchsorted(among, self.base))
            found = self.names.holding(word, among[:border])
            tail = among[border:]
        kept = [slot for slot in tail.tolist() if word in self.tail_names[slot - self.base]]
        return np.concatenate([found, np.array(kept, np.int64)])

    def count_tags(self, slots: Slots) -> npt.NDArray[np.int64]:
        """How many of the slots have each tag."""
        size = len(self.vocabulary.texts)
        living = self.count - self.dead
        if len(slots) * 2 > living:
            # Most of all: counting those that are missing, and private ones, is less work.
            mask = np.ones(self.count, np.bool_)
            mask[slots] = False
            state = self.state[: self.count]
            counts = np.zeros(size, np.int64)
            counts[: len(self.public_counts)] = self.public_counts
            return (
                counts
                - self.counted(np.flatnonzero(mask & (state == PUBLIC)), size)
                + self.counted(np.flatnonzero(~mask & (state == PRIVATE)), size)
            )
        return self.counted(slots, size)

    def count_group(self, slots: Slots, group: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The tags of a facet's group, and how many of the slots have each: from the side that is less work."""
        numbers = self.numbers_of(group)
        of_base = numbers[numbers < len(self.postings.starts) - 1]
        starts, ends = self.postings.starts[of_base], self.postings.starts[of_base + 1]
        border = int(np.searchsorted(slots, self.base))
        if int((ends - starts).sum()) > TAGS_OF_A_ROW * border:
            return numbers, self.count_tags(slots)[numbers]
        mask = np.zeros(self.base, np.bool_)
        mask[slots[:border]] = True
        having = np.concatenate([[0], np.cumsum(mask[self.postings.backward[ranges(starts, ends)]])])
        bounds = np.concatenate([[0], np.cumsum(ends - starts)])
        counts = self.counted(slots[border:], len(self.vocabulary.texts))[numbers]
        counts[: len(of_base)] += having[bounds[1:]] - having[bounds[:-1]]
        return numbers, counts

    def numbers_of(self, group: int) -> npt.NDArray[np.int64]:
        """The tags of a facet's group, in order."""
        size = len(self.vocabulary.groups)
        if self.grouped[0] != size:
            groups = np.frombuffer(bytes(self.vocabulary.groups[:size]), np.uint8)
            order = np.argsort(groups, kind="stable")
            self.grouped = size, order, np.searchsorted(groups[order], np.arange(257))
        _, order, bounds = self.grouped
        return order[bounds[group] : bounds[group + 1]]

    def counted(self, slots: Slots, size: int) -> npt.NDArray[np.int64]:
        """The same, by looking at each slot."""
        border = int(np.searchsorted(slots, self.base))
        chosen = [self.forward.chosen(slots[:border]), *(self.tail_tags[slot - self.base] for slot in slots[border:])]
        return np.bincount(np.concatenate(chosen), minlength=size)

    def compacted(self) -> Table:
        """A table of the living rows alone, in the order of their ids."""
        state = self.state.copy()  # Rows may die while this goes on.
        slots = np.flatnonzero(state[: self.count])
        slots = slots[np.argsort(self.columns["id"][slots], kind="stable")]
        tags = [self.tags(slot) for slot in slots.tolist()]
        rows = Rows(
            numbers={name: values[slots] for name, values in self.columns.items()},
            private=state[slots] == PRIVATE,
            names=[self.name(slot).decode() for slot in slots.tolist()],
            tags=np.concatenate([np.empty(0, np.int32), *tags]),
            tag_counts=np.fromiter(map(len, tags), np.int64, len(tags)),
        )
        return Table(self.vocabulary, [rows])


def size_of(parameters: npt.NDArray[np.int64] | np.int64) -> npt.NDArray[np.int8]:
    """The range of a number of parameters, from 1 on; 0 if it is unknown (negative)."""
    return np.searchsorted(SIZE_BORDERS, parameters, side="right").astype(np.int8)
