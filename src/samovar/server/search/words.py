"""From text to the words that the full-text search knows, each as a number."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from hashlib import blake2b

# Words of a card that are indexed: its most frequent ones, the first where that is equal.
MOST = 200
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
CODE = re.compile(r"```.*?```|<[^>]{1,300}>|https?://\S+", re.DOTALL)
LONGEST = 40
# Words that say nothing about what a card is about (English, as nearly all cards are).
COMMON = frozenset(
    """a an and are as at be by can for from has have how if in into is it its more no not of on or our that the their
    there these this to use used using was we were what when which will with you your""".split()  # noqa: SIM905
)


def words_of(text: str) -> list[str]:
    """The words in small letters, without accents' different spellings, code, addresses and the commonest ones."""
    plain = unicodedata.normalize("NFKC", CODE.sub(" ", text)).casefold()
    return [word for word in WORD.findall(plain) if len(word) <= LONGEST and word not in COMMON]


def number_of(word: str) -> int:
    """A word as a signed 64-bit number: two of a million words share one with a chance of 1 in 10⁷."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big", signed=True)


def count_words(text: str) -> dict[int, int]:
    """Number → count of the card's most frequent words."""
    return {number_of(word): min(count, 10_000) for word, count in Counter(words_of(text)).most_common(MOST)}
