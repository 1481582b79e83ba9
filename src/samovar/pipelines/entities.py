"""From a label per token to entities: words out of tokens, groups out of words (B- and I- tags, Ramshaw 1995)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

STRATEGIES = ("none", "simple", "first", "average", "max")

Joiner = Callable[[list[str]], str]


@dataclass(slots=True)
class Piece:
    """A token, or a word that was made of tokens: where it stands and the score of every label."""

    word: str
    scores: np.ndarray
    start: int
    end: int
    index: int
    continues: bool

    @property
    def label(self) -> int:
        """The label with the highest score."""
        return int(self.scores.argmax())


def entities(
    pieces: Sequence[Piece], strategy: str, names: dict[int, str], ignored: Sequence[str], join: Joiner
) -> list[dict[str, Any]]:
    """Entities of one text, without those whose label is ignored.

    `none` gives tokens; the others join neighbours of one type. `first`, `average` and `max` first give all tokens of
    a word one label: the first token's, that of the mean scores, or that of the token which is surest.
    """
    if strategy == "none":
        found = [(names[piece.label], piece) for piece in pieces]
        return [
            {
                "entity": name,
                "score": float(piece.scores.max()),
                "index": piece.index,
                "word": piece.word,
                "start": piece.start,
                "end": piece.end,
            }
            for name, piece in found
            if name not in ignored
        ]
    if strategy != "simple":
        pieces = [whole_word(word, strategy, join) for word in words(pieces)]
    groups = [group(members, names, join) for members in neighbours(pieces, names)]
    return [entity for entity in groups if entity["entity_group"] not in ignored]


def words(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The tokens of each word."""
    found: list[list[Piece]] = []
    for piece in pieces:
        if piece.continues and found:
            found[-1].append(piece)
        else:
            found.append([piece])
    return found


def whole_word(tokens: list[Piece], strategy: str, join: Joiner) -> Piece:
    """The tokens of a word as one piece."""
    if strategy == "first":
        scores = tokens[0].scores
    elif strategy == "max":
        scores = max(tokens, key=lambda token: token.scores.max()).scores
    else:
        scores = np.mean([token.scores for token in tokens], axis=0)
    text = join([token.word for token in tokens])
    return Piece(text, scores, tokens[0].start, tokens[-1].end, tokens[0].index, False)


def tag(name: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and of which type."""
    return name.startswith("B-"), name[2:] if name.startswith(("B-", "I-")) else name


def neighbours(pieces: Sequence[Piece], names: dict[int, str]) -> list[list[Piece]]:
    """Runs of pieces of one type; a B- tag starts a new run."""
    runs: list[list[Piece]] = []
    last = ""
    for piece in pieces:
        begins, kind = tag(names[piece.label])
        if runs and kind == last and not begins:
            runs[-1].append(piece)
        else:
            runs.append([piece])
        last = kind
    return runs


def group(pieces: list[Piece], names: dict[int, str], join: Joiner) -> dict[str, Any]:
    """One entity out of neighbouring pieces; its score is the mean of theirs."""
    return {
        "entity_group": names[pieces[0].label].split("-", 1)[-1],
        "score": float(np.mean([piece.scores.max() for piece in pieces])),
        "word": join([piece.word for piece in pieces]),
        "start": pieces[0].start,
        "end": pieces[-1].end,
    }


def stitched(parts: Sequence[Sequence[Piece]], overlap: int, names: dict[int, str]) -> list[Piece]:
    """The tokens of parts of one text, of which neighbours share `overlap` tokens, as one row, each token once.

    ::

        part 1   a b c d e f g           where both have e f g, the row changes from one part to the other
        part 2           e f g h i j     at the place nearest to the middle which is inside no word and no entity

    So every token is judged where it has neighbours on both sides, and an entity comes whole from a part that saw it
    whole; only one that is longer than the overlap is joined from two.
    """
    whole = list(parts[0])
    for part in parts[1:]:
        begin = len(whole) - min(overlap, len(part))
        shared = len(whole) - begin
        places = sorted(range(shared + 1), key=lambda place: abs(place - shared / 2))
        uncut = [place for place in places if place == len(part) or not part[place].continues] or places
        best = next(
            (place for place in uncut if not goes_on(whole, begin + place, names) and not goes_on(part, place, names)),
            uncut[0],
        )
        shift = whole[-1].index + 1 - shared - part[0].index
        whole = whole[: begin + best] + [replace(piece, index=piece.index + shift) for piece in part[best:]]
    return whole


def goes_on(pieces: Sequence[Piece], place: int, names: dict[int, str]) -> bool:
    """Whether an entity goes on from the token before this place to the one at it."""
    if not 0 < place < len(pieces):
        return False
    # A word may get its label from its first token, so that one counts as well as the last.
    first = place - 1
    while first and pieces[first].continues:
        first -= 1
    begins, kind = tag(names[pieces[place].label])
    before = {tag(names[pieces[one].label])[1] for one in (first, place - 1)}
    return kind != "O" and not begins and kind in before
