"""How references of a repository move: announced before, read again after, one writer at a time where that is cheap.

A kill between any two steps loses nothing: objects that no reference leads to are harmless, and whatever was announced
is read again by the next process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

import pygit2

from samovar.server.errors import BusyError
from samovar.server.hub import Hub
from samovar.server.repos.packing import packer
from samovar.server.repos.references import ReferenceMovedError, move
from samovar.server.services.refresh import refresh
from samovar.server.services.repositories import announce

# Tries against writers in other processes; those in this one take turns.
TRIES = 50
T = TypeVar("T")
Changes = Mapping[str, tuple[str | None, str | None]]
"""Full name of a reference → where it is expected, where it goes; None: not there."""


class Turn:
    """Whose turn it is to change one repository."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


turns: WeakValueDictionary[int, Turn] = WeakValueDictionary()
guard = threading.Lock()


@contextmanager
def turn(repository_id: int) -> Iterator[None]:
    """Wait for the writers in this process. Only saves work: the swap of the reference keeps every writer safe."""
    with guard:
        mine = turns.get(repository_id)
        if mine is None:
            mine = turns[repository_id] = Turn()
    with mine.lock:
        yield


def retried(hub: Hub, repository_id: int, plan: Callable[[pygit2.Repository], tuple[T, Changes]]) -> T:
    """Move references as `plan` says, which is asked again whenever somebody was faster; its result.

    The repository's row is up to date on return. Raises what `references.move` does, and `BusyError`.
    """
    announcement: int | None = None
    try:
        with turn(repository_id):
            for _ in range(TRIES):
                repo = hub.folders.open(repository_id)
                result, changes = plan(repo)
                if not changes:
                    return result
                if announcement is None:
                    with hub.database.write() as session:
                        announcement = announce(session, repository_id)
                try:
                    move(repo, changes)
                except ReferenceMovedError:
                    continue
                return result
    finally:
        if announcement is not None:
            refresh(hub, repository_id, announcement)
            packer.look(hub.folders.path(repository_id))
    raise BusyError("Too many others are changing this repository.", "Try again.")
