"""Packing a repository's objects now and then, so that reading stays fast however many small commits come.

Nothing that a reference leads to is ever removed, and nothing younger than two weeks either: an object that a commit in
flight is about to refer to is always younger.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from samovar.server.errors import HubError
from samovar.server.repos import program
from samovar.server.repos.references import moving

logger = logging.getLogger(__name__)
# More single objects, or more packs, than this are too many.
MOST_LOOSE = 1000
MOST_PACKS = 30
# Git spreads objects over 256 folders by their hash: one of them tells enough.
SAMPLE, FOLDERS = "17", 256
# What no reference leads to is looked for this seldom, and removed at this age.
THOROUGH = 7 * 24 * 3600
GRACE = "2.weeks.ago"
MARK = "packed"


def due(folder: Path) -> bool:
    """Whether there is enough to pack. Looks at two folders."""
    return (
        count(folder / "objects" / SAMPLE) * FOLDERS > MOST_LOOSE
        or count(folder / "objects/pack", ".pack") > MOST_PACKS
    )


def count(folder: Path, suffix: str = "") -> int:
    """How many files there are."""
    try:
        return sum(entry.name.endswith(suffix) for entry in os.scandir(folder))
    except FileNotFoundError:
        return 0


def pack(folder: Path) -> None:
    """Join small packs and single objects, so that each pack is at least twice the next; beside readers and writers.

    Holds the shared lock: what is left of git's own locks by a kill in the middle is removed by the next writer.
    """
    with moving(folder) as lock:
        mark = folder / MARK
        if mark.exists() and time.time() - mark.stat().st_mtime < THOROUGH:
            program.run(folder, "repack", "-d", "-l", "--quiet", "--geometric=2", keep=(lock,))
            program.run(folder, "pack-refs", "--all", keep=(lock,))
        else:
            program.run(folder, "gc", "--quiet", f"--prune={GRACE}", keep=(lock,))
            mark.touch()


class Packer:
    """Packs repositories one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self.waiting: dict[Path, None] = {}
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None

    def look(self, folder: Path) -> None:
        """Have the repository packed if it is due."""
        if not due(folder):
            return
        with self.changed:
            self.waiting[folder] = None
            self.changed.notify()
            if self.thread is None:
                self.thread = threading.Thread(target=self.work, name="packer", daemon=True)
                self.thread.start()

    def work(self) -> None:
        """Pack whatever waits."""
        while True:
            with self.changed:
                while not self.waiting:
                    self.changed.wait()
                folder = next(iter(self.waiting))
                del self.waiting[folder]
            try:
                pack(folder)
            except (program.GitError, HubError, OSError) as error:
                # Another process may be at it, or the repository is gone: the next commit asks again.
                logger.info("%s was not packed: %s", folder, error)


packer = Packer()
