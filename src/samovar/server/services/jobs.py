"""What a running Hub does by itself: once when it begins, and again and again.

Each job may run in several processes at once, and may be cut off anywhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from samovar.server.hub import Hub
from samovar.server.services.refresh import refresh_pending
from samovar.server.services.trending import recompute_trending

logger = logging.getLogger(__name__)
MINUTE, HOUR = 60.0, 3600.0


def load_index(hub: Hub) -> None:
    """Read the search index, so that the first search need not."""
    hub.index.table("model")


# Job → seconds until it runs again.
JOBS: tuple[tuple[Callable[[Hub], object], float], ...] = (
    (refresh_pending, MINUTE),
    (load_index, HOUR),
    (recompute_trending, HOUR),
)


class Jobs:
    """The jobs of one process, in a thread of their own."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin; all jobs run once at once."""
        self.thread.start()

    def stop(self) -> None:
        """End after the job that is running, which is waited for a little."""
        self.ending.set()
        self.thread.join(timeout=10)

    def work(self) -> None:
        """Run what is due."""
        due = dict.fromkeys(range(len(JOBS)), 0.0)
        while not self.ending.is_set():
            for number, (job, pause) in enumerate(JOBS):
                if time.monotonic() >= due[number] and not self.ending.is_set():
                    try:
                        job(self.hub)
                    except Exception:
                        logger.exception("The job %s failed; it runs again later.", job.__name__)
                    due[number] = time.monotonic() + pause
            self.ending.wait(max(min(due.values()) - time.monotonic(), 0.1))
