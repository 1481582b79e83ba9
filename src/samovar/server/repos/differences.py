"""What changed between two trees, file by file: lines of texts, sizes of everything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pygit2
from pygit2.enums import DiffFind

from samovar.server.repos import trees
from samovar.server.repos.blobs import blobs

# Files and lines that are told; of one file, and of all together (characters).
MOST_FILES = 300
MOST_LINES = 2000
LONGEST = 500_000
LONGEST_LINE = 2000
# Bytes: a text with more is told by its size; so much is compared to find files with another name.
LARGEST = 2_000_000
LIGHT = 20_000_000


@dataclass(frozen=True)
class Line:
    """A line of a text: `+` new, `-` gone, a space where nothing changed, `@` the place of the lines behind."""

    kind: str
    before: int | None
    after: int | None
    text: str


@dataclass
class Change:
    """One file. Sizes are bytes, those of a large file its own; None where there was or is no file."""

    kind: str
    """`added`, `deleted`, `changed` or `renamed`."""
    path: str
    old_path: str
    before: int | None
    after: int | None
    large: bool = False
    """Kept outside git on one side at least: no lines."""
    binary: bool = False
    added: int = 0
    removed: int = 0
    lines: list[Line] = field(default_factory=list)
    cut: bool = False
    """There are more lines."""


@dataclass(frozen=True)
class Changes:
    """All of them; `total` also counts files that are not told."""

    files: list[Change]
    total: int
    added: int
    removed: int


KINDS = {"A": "added", "D": "deleted", "R": "renamed"}


def changes(repo: pygit2.Repository, before: pygit2.Tree | None, after: pygit2.Tree) -> Changes:
    """What leads from one tree to the other. Files with another name are found where that costs little."""
    diff = after.diff_to_tree(swap=True) if before is None else before.diff_to_tree(after)
    if len(diff) <= MOST_FILES:
        moved = [delta for delta in diff.deltas if delta.status_char() in "AD"]
        weight = sum(side(repo, one)[0] for delta in moved for one in (delta.old_file, delta.new_file))
        alike = DiffFind.FIND_RENAMES
        diff.find_similar(alike if weight <= LIGHT else alike | DiffFind.FIND_EXACT_MATCH_ONLY)
    files: list[Change] = []
    room = LONGEST
    for number, delta in zip(range(MOST_FILES), diff.deltas, strict=False):
        one = described(repo, delta)
        largest = max(one.before or 0, one.after or 0)
        if not one.large and (largest > LARGEST or room <= 0):
            one.cut = True
        elif not one.large:
            tell(one, diff[number], room)
        room -= sum(len(line.text) for line in one.lines)
        files.append(one)
    return Changes(files, len(diff), sum(one.added for one in files), sum(one.removed for one in files))


def described(repo: pygit2.Repository, delta: Any) -> Change:
    """One file, without its lines."""
    kind = KINDS.get(delta.status_char(), "changed")
    sides = [side(repo, one) for one in (delta.old_file, delta.new_file)]
    return Change(
        kind, delta.new_file.path, delta.old_file.path,
        None if kind == "added" else sides[0][0], None if kind == "deleted" else sides[1][0],
        large=any(large for _, large in sides),
    )  # fmt: skip


def tell(found: Change, patch: Any, room: int) -> None:
    """Add the lines, at most so many characters; none of a file that is no text."""
    if patch is None or patch.delta.is_binary:
        found.binary = patch is not None
        return
    _, found.added, found.removed = patch.line_stats
    for line in lines(patch):
        room -= len(line.text)
        if room < 0 or len(found.lines) >= MOST_LINES:
            found.cut = True
            break
        found.lines.append(line)


def side(repo: pygit2.Repository, file: Any) -> tuple[int, bool]:
    """Bytes of one side, and whether it is a large file."""
    if file.mode in (0, trees.SUBMODULE) or not any(file.id.raw):
        return 0, False
    blob = blobs.look_up(repo, file.id.raw)
    if blob.pointer is not None and file.mode != trees.LINK:
        return blob.pointer.size, True
    return blob.size, False


def lines(patch: Any) -> Iterator[Line]:
    """The lines of a patch."""
    for hunk in patch.hunks:
        yield Line("@", None, None, hunk.header.strip())
        for line in hunk.lines:
            if line.origin in "+- ":
                text = line.content.rstrip("\r\n")
                text = text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} …"
                before, after = (number if number > 0 else None for number in (line.old_lineno, line.new_lineno))
                yield Line(line.origin, before, after, text)
