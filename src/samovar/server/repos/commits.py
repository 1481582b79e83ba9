"""Commit objects: who, when, what was said; and how clients see them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pygit2

from samovar.server.errors import BadRequestError
from samovar.server.repos.names import unicode_safe
from samovar.server.repos.writing import NewObjects

LONGEST_TITLE = 500
LONGEST_MESSAGE = 65_000
# Of addresses that nobody reads: an account's own is not shown to the world.
NOWHERE = "users.noreply.samovar"


def message(title: str, description: str = "") -> str:
    """What is said with a commit. Raises `BadRequestError`."""
    title = " ".join(title.split())
    description = description.replace("\r\n", "\n").strip()
    if not title or len(title) > LONGEST_TITLE or len(description) > LONGEST_MESSAGE:
        raise BadRequestError("A commit needs a summary of one line.", f"Use up to {LONGEST_TITLE} characters.")
    if not unicode_safe(title) or not unicode_safe(re.sub(r"[\n\t]", " ", description)):
        raise BadRequestError("The commit's message holds control characters.", "Remove them.")
    return f"{title}\n\n{description}\n" if description else f"{title}\n"


def write(new: NewObjects, tree: bytes, parents: Sequence[str], author: str, text: str) -> str:
    """Write a commit of now; its id, 40 hex digits."""
    who = f"{author} <{author}@{NOWHERE}> {int(time.time())} +0000"
    lines = [f"tree {tree.hex()}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}"]
    return new.add("commit", ("\n".join(lines) + f"\n\n{text}").encode()).hex()


def title(commit: pygit2.Commit) -> str:
    """The first line of what was said."""
    return text(commit).partition("\n")[0]


def body(commit: pygit2.Commit) -> str:
    """What was said below the first line."""
    return text(commit).partition("\n")[2].strip("\n")


def text(commit: pygit2.Commit) -> str:
    """What was said; bytes that are no UTF-8 are replaced."""
    return commit.raw_message.decode(errors="replace").strip("\n")


def moment(commit: pygit2.Commit) -> datetime:
    """When it was made, as far as a date can say: people's clocks have been anywhere."""
    try:
        return datetime.fromtimestamp(commit.commit_time, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime(1970, 1, 1, tzinfo=UTC)


def write_tag(new: NewObjects, commit: str, name: str, author: str, text: str) -> str:
    """Write an annotated tag of now; its id, 40 hex digits."""
    who = f"{author} <{author}@{NOWHERE}> {int(time.time())} +0000"
    return new.add("tag", f"object {commit}\ntype commit\ntag {name}\ntagger {who}\n\n{text}".encode()).hex()


def author(commit: pygit2.Commit) -> str:
    """Who made it, as git knows them."""
    try:
        return commit.author.raw_name.decode(errors="replace") or "unknown"
    except (ValueError, pygit2.GitError):
        return "unknown"
