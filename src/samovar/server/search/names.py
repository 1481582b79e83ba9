"""Which names hold a word: over the parts of all names, each part kept once.

A word without separators lies within one part, so the parts that hold it give the answer exactly. Of a word with
separators the ends of neighbouring parts give candidates, which are then looked at.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from samovar.server.search.postings import Postings, Slots, distinct

SEPARATORS = re.compile(rb"[-_./]+")
TRANSLATION = bytes.maketrans(b"-_./", b"    ")
# Up to this many candidates are looked at one by one.
FEW = 3000


class Names:
    """Names in small letters, by slot; never changes."""

    def __init__(self, names: list[bytes]) -> None:
        lengths = np.fromiter(map(len, names), np.int64, len(names))
        self.ends = np.cumsum(lengths)
        self.starts = self.ends - lengths
        self.text = b"".join(names)
        parts: dict[bytes, int] = {}
        numbers = [np.empty(0, np.int32)]
        counts = [np.zeros(1, np.int64)]
        for start in range(0, len(names), 50_000):
            split = [name.translate(TRANSLATION).split() for name in names[start : start + 50_000]]
            counts.append(np.fromiter(map(len, split), np.int64, len(split)))
            flat = [parts.setdefault(part, len(parts)) for one in split for part in one]
            numbers.append(np.array(flat, np.int32))
        self.postings = Postings(np.concatenate(numbers), np.cumsum(np.concatenate(counts)), len(parts))
        self.parts = b"\n" + b"\n".join(parts) + b"\n"
        part_lengths = np.fromiter(map(len, parts), np.int64, len(parts)) + 1
        # Where the line break before each part stands.
        self.part_starts = np.cumsum(part_lengths) - part_lengths
        # Bounded by what it keeps: the parts that hold a word, for the words asked for lately.
        self.parts_with = lru_cache(maxsize=128)(self.find_parts)

    def __len__(self) -> int:
        return len(self.starts)

    def name(self, slot: int) -> bytes:
        """The name in a slot."""
        return self.text[self.starts[slot] : self.ends[slot]]

    def find_parts(self, pattern: bytes) -> npt.NDArray[np.int64]:
        """Numbers of the parts that a pattern occurs in; a line break in it stands for a part's beginning or end."""
        positions: list[int] = []
        text, find = self.parts, self.parts.find
        at = find(pattern)
        while at >= 0:
            positions.append(at)
            # On to the next part: one occurrence is enough.
            following = text.find(b"\n", at + 1)
            at = find(pattern, following if following >= 0 else len(text))
        found = np.array(positions, np.int64)
        return distinct(np.searchsorted(self.part_starts, found, side="right") - 1)

    def holding(self, word: bytes, among: Slots | None) -> Slots:
        """The slots, in order, whose names hold the word; of those in `among` if given."""
        if among is not None and len(among) <= FEW:
            return self.looked_at(word, among)
        pieces = [piece for piece in SEPARATORS.split(word) if piece]
        if len(pieces) == 1 and pieces[0] == word:
            return narrowed(self.postings.union(self.parts_with(word)), among, len(self))
        candidates = among
        for number, piece in enumerate(pieces):
            begins = number > 0 or not word.startswith(piece)
            ends = number < len(pieces) - 1 or not word.endswith(piece)
            pattern = b"\n" * begins + piece + b"\n" * ends
            candidates = narrowed(self.postings.union(self.parts_with(pattern)), candidates, len(self))
        return self.looked_at(word, np.arange(len(self)) if candidates is None else candidates)

    def looked_at(self, word: bytes, slots: Slots) -> Slots:
        """Those of the slots whose names hold the word, by looking at each."""
        text = self.text
        bounds = zip(self.starts[slots].tolist(), self.ends[slots].tolist(), strict=True)
        kept = np.fromiter((text.find(word, start, end) >= 0 for start, end in bounds), np.bool_, len(slots))
        return slots[kept]


def narrowed(slots: Slots, among: Slots | None, size: int) -> Slots:
    """Those of `among` that are also in `slots`."""
    if among is None:
        return slots
    mask = np.zeros(size, np.bool_)
    mask[slots] = True
    return among[mask[among]]
