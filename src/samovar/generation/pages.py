"""Who holds which block of a paged cache, and which blocks begin alike."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Sequence

# What a block holds: the number of the block before it, and its own tokens.
Content = tuple[int, tuple[int, ...]]
ROOT = 0


class Pages:
    """Hands out blocks of `size` tokens, the lowest first, so that those in use lie together.

    A full block can be known by its content: a later text that begins alike is given the same block. Blocks that
    nobody holds keep their content until there is no other left; the one that was held longest ago goes first.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self.free = list(range(count))
        self.holders = [0] * count
        self.numbers: dict[Content, tuple[int, int]] = {}  # → (number of the content, block)
        self.contents: dict[int, Content] = {}
        self.resting: OrderedDict[int, None] = OrderedDict()
        self.last = ROOT

    @property
    def left(self) -> int:
        """How many can still be taken."""
        return len(self.free) + len(self.resting)

    def take(self) -> int | None:
        """A block of one's own; None: there is none left."""
        if self.free:
            block = heapq.heappop(self.free)
        elif self.resting:
            block = next(iter(self.resting))
            del self.resting[block]
            del self.numbers[self.contents.pop(block)]
        else:
            return None
        self.holders[block] = 1
        return block

    def hold(self, block: int) -> None:
        """Hold a block that is known by its content."""
        self.holders[block] += 1
        self.resting.pop(block, None)

    def drop(self, block: int) -> None:
        """Hold it no longer."""
        self.holders[block] -= 1
        if self.holders[block]:
            return
        if block in self.contents:
            self.resting[block] = None
        else:
            heapq.heappush(self.free, block)

    def known(self, tokens: Sequence[int]) -> list[tuple[int, int]]:
        """(number, block) of each full block that a text has in common with earlier ones, but for its last token."""
        found: list[tuple[int, int]] = []
        before = ROOT
        for start in range(0, len(tokens) - self.size, self.size):
            entry = self.numbers.get((before, tuple(tokens[start : start + self.size])))
            if entry is None:
                break
            found.append(entry)
            before = entry[0]
        return found

    def remember(self, block: int, before: int, tokens: Sequence[int]) -> int:
        """The number of a full block's content, by which it is found from now on; another block may have it already."""
        content = (before, tuple(tokens))
        if content not in self.numbers:
            self.last += 1
            self.numbers[content] = (self.last, block)
            self.contents[block] = content
        return self.numbers[content][0]
