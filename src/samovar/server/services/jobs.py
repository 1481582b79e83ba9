"""What a running Hub does by itself: once when it begins, and again and again.

A job may be cut off anywhere. Each process does its own; those that one does for all are agreed on by a lease in the
database.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from samovar.server.db.tables.base import now
from samovar.server.hub import Hub
from samovar.server.services import devices, downloads, leases, sessions
from samovar.server.services.collect import collect
from samovar.server.services.derived import clear_derived
from samovar.server.services.refresh import refresh_pending
from samovar.server.services.scans import scan_new
from samovar.server.services.trending import recompute_trending

logger = logging.getLogger(__name__)
SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0


def load_index(hub: Hub) -> None:
    """Read the search index, so that the first search need not.

    What was read stays: the garbage collector need not go through it again and again, which would hold up answers.
    """
    hub.index.table("model")
    gc.collect()
    gc.freeze()


def write_counts(hub: Hub) -> None:
    """Write the downloads, and the uses of tokens and sessions, that this process has noted."""
    hub.downloads.flush(hub.database)
    hub.activity.flush(hub.database)


def roll_downloads(hub: Hub) -> None:
    """Let days that are over leave the sums of 30 days."""
    downloads.roll(hub.database)


def forget_expired(hub: Hub) -> None:
    """Remove sessions and device logins that have ended."""
    sessions.forget_expired(hub, now())
    devices.forget_expired(hub, now())


def tidy_folders(hub: Hub) -> None:
    """Remove git folders that a kill left half made or half removed."""
    hub.folders.tidy()


@dataclass(frozen=True)
class Job:
    """Work that is due again `pause` seconds after it was done; with `for_all`, one process does it for all."""

    work: Callable[[Hub], object]
    pause: float
    for_all: bool = False

    @property
    def name(self) -> str:
        """What it is called in the log and in the table of leases."""
        return getattr(self.work, "__name__", repr(self.work))


JOBS = (
    Job(refresh_pending, MINUTE),
    Job(load_index, HOUR),
    Job(write_counts, 10 * SECOND),
    Job(roll_downloads, HOUR, for_all=True),
    Job(recompute_trending, HOUR, for_all=True),
    Job(forget_expired, HOUR, for_all=True),
    Job(collect, 24 * HOUR, for_all=True),
    Job(tidy_folders, 24 * HOUR, for_all=True),
    Job(clear_derived, HOUR),
    Job(scan_new, 10 * SECOND, for_all=True),
)


class Jobs:
    """The jobs of one process, in a thread of their own."""

    def __init__(self, hub: Hub, jobs: tuple[Job, ...] = JOBS) -> None:
        self.hub, self.jobs = hub, jobs
        self.holder = uuid.uuid4().hex
        self.held: set[str] = set()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin; all jobs run once at once."""
        self.thread.start()

    def stop(self) -> None:
        """End after the job that is running, which is waited for a little; what was counted is written."""
        self.ending.set()
        self.thread.join(timeout=10)
        try:
            self.hub.downloads.flush(self.hub.database, tell=True)
            self.hub.activity.flush(self.hub.database)
            for name in self.held:
                leases.give_back(self.hub.database, name, self.holder)
        except Exception:
            logger.exception("Not everything that was counted could be written.")

    def work(self) -> None:
        """Run what is due."""
        due = dict.fromkeys(range(len(self.jobs)), 0.0)
        while not self.ending.is_set():
            for number, job in enumerate(self.jobs):
                if time.monotonic() >= due[number] and not self.ending.is_set():
                    self.run(job)
                    due[number] = time.monotonic() + job.pause
            self.ending.wait(max(min(due.values()) - time.monotonic(), 0.1))

    def run(self, job: Job) -> None:
        """Run one job, unless another process has it. A job that fails is logged, and runs again later."""
        try:
            # The lease is a little shorter than the pause, so that its holder is in time to take it again.
            if job.for_all and not leases.take(self.hub.database, job.name, self.holder, 0.9 * job.pause):
                return
            if job.for_all:
                self.held.add(job.name)
            job.work(self.hub)
        except Exception:
            logger.exception("The job %s failed; it runs again later.", job.name)
