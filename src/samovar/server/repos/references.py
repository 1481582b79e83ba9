"""References move by compare-and-swap, under git's own lock files, and never by anything else.

A process that is killed while it holds a lock file leaves it behind, and git would wait for ever. So whoever moves
references holds a shared lock of the kernel on the repository, which ends with the process: who gets it for itself
alone knows that every lock file is left over, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pygit2

from samovar.server.errors import BusyError, ConflictError
from samovar.server.repos import program
from samovar.server.repos.revisions import target

# How long to wait for somebody else's lock (seconds).
PATIENCE = 10.0
LOCK = "moving"
ZERO = "0" * 40


class ReferenceMovedError(Exception):
    """Somebody was faster: the reference is not where it was expected. Nothing was changed."""


@contextmanager
def moving(folder: Path) -> Iterator[int]:
    """Hold the shared lock; its file, to be handed to processes that move references."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield lock
    finally:
        os.close(lock)


def remove_leftovers(folder: Path, lock: int) -> bool:
    """Remove lock files of the dead, if nobody alive is moving references. Holds the shared lock before and after."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # The kernel may have taken the shared lock away for the try.
        fcntl.flock(lock, fcntl.LOCK_SH)
        return False
    for left in (*folder.glob("*.lock"), *folder.glob("refs/**/*.lock"), folder / "gc.pid"):
        left.unlink(missing_ok=True)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return True


def move(repo: pygit2.Repository, changes: Mapping[str, tuple[str | None, str | None]]) -> None:
    """Move references together: full name → (where it is expected, where it goes); None: not there.

    Lasting when this returns. Raises `ReferenceMovedError` if one is not where it is expected, `ConflictError` if a
    name is the folder of another, `BusyError` if somebody holds a lock for too long; nothing was changed then.
    """
    folder = Path(repo.path)
    deadline = time.monotonic() + PATIENCE
    with moving(folder) as lock:
        while True:
            try:
                if len(changes) == 1 and all(old and new for old, new in changes.values()):
                    move_one(repo, *next((name, old, new) for name, (old, new) in changes.items() if old and new))
                else:
                    move_several(folder, changes, lock)
                return
            except (pygit2.GitError, program.GitError, OSError) as error:
                check(repo, changes, error)
                if time.monotonic() > deadline:
                    raise BusyError("Somebody else is changing this repository.", "Try again.") from error
            if not remove_leftovers(folder, lock):
                time.sleep(random.uniform(0.005, 0.05))


def check(repo: pygit2.Repository, changes: Mapping[str, tuple[str | None, str | None]], error: Exception) -> None:
    """Tell why a move failed. Returns if it may have been somebody's lock."""
    for name, (old, new) in changes.items():
        if target(repo, name) != old:
            raise ReferenceMovedError(name) from error
        if new and not old:
            for other in repo.references:
                if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
                    short = other.split("/", 2)[-1]
                    raise ConflictError(f"The name clashes with {short}: one is the folder of the other.") from error
    if "lock" not in str(error).lower():
        raise error


def move_one(repo: pygit2.Repository, name: str, old: str, new: str) -> None:
    """Move a reference that exists, in this process."""
    with repo.transaction() as transaction:
        transaction.lock_ref(name)
        if target(repo, name) != old:
            raise ReferenceMovedError(name)
        transaction.set_target(name, new)


def move_several(folder: Path, changes: Mapping[str, tuple[str | None, str | None]], lock: int) -> None:
    """Move several, or make or remove one: git knows how names and packed references hang together."""
    lines = ["start"]
    for name, (old, new) in changes.items():
        if new:
            lines.append(f"update {name} {new} {old or ZERO}")
        elif old:
            lines.append(f"delete {name} {old}")
    lines += ["prepare", "commit", ""]
    program.run(folder, "update-ref", "--stdin", stdin="\n".join(lines).encode(), keep=(lock,))
