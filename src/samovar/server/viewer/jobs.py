"""The queue of conversions, in the database: what was asked for is done, also when a Hub is ended in the middle."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select, update

from samovar.server.db.tables import Conversion
from samovar.server.db.tables.base import now
from samovar.server.hub import Hub
from samovar.server.services.derived import clear_derived
from samovar.server.services.snapshots import held_snapshot

logger = logging.getLogger(__name__)
PAUSE, RENEW = 5.0, 1.0
ALIVE = timedelta(seconds=20)
LONGEST = 1800.0
DATA = (
    ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt", ".arrow", ".zip", ".gz", ".md", ".png", ".jpg", ".jpeg",
    ".gif", ".webp", ".bmp", ".wav", ".mp3", ".flac", ".ogg", ".opus",
)  # fmt: skip


def folder(hub: Hub, repository_id: int, commit: str) -> Path:
    """Where the converted data set lies."""
    return hub.settings.data / "viewer" / f"{repository_id}-{commit}"


def ask(hub: Hub, repository_id: int, commit: str) -> tuple[str, str]:
    """How far the conversion is, and its error; put into the queue if nobody asked before."""
    with hub.database.read() as session:
        row = session.get(Conversion, (repository_id, commit))
        if row is not None and (row.state != "done" or folder(hub, repository_id, commit).is_dir()):
            return row.state, row.error
    with hub.database.write() as session:
        row = session.get(Conversion, (repository_id, commit))
        if row is None:
            session.add(Conversion(repository_id=repository_id, commit=commit))
        elif row.state == "done":  # Its folder was cleared away.
            row.state = "waiting"
    return "waiting", ""


def wait(hub: Hub, converter: Converter, repository_id: int, commit: str, seconds: float) -> tuple[str, str]:
    """As `ask`, after waiting some time for the end."""
    end = time.monotonic() + seconds
    while True:
        state, error = ask(hub, repository_id, commit)
        if state in ("done", "failed") or time.monotonic() > end:
            return state, error
        converter.wake.set()
        time.sleep(0.1)


class Converter:
    """A thread that takes conversions from the queue, one at a time."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.wake, self.ending = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work, name="conversions", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def stop(self) -> None:
        """End; a conversion that is running is taken up again later."""
        self.ending.set()
        self.wake.set()
        self.thread.join()

    def work(self) -> None:
        """Until told to end."""
        while not self.ending.is_set():
            try:
                taken = self.take()
                if taken is None:
                    self.wake.wait(PAUSE)
                    self.wake.clear()
                else:
                    self.convert(*taken)
            except Exception:
                logger.exception("A data set could not be converted.")
                self.ending.wait(PAUSE)

    def take(self) -> tuple[int, str] | None:
        """The conversion that waits longest, or whose process died; None if there is none."""
        due = (Conversion.state == "waiting") | ((Conversion.state == "running") & (Conversion.alive_until < now()))
        with self.hub.database.read() as session:
            if session.scalar(select(Conversion.repository_id).where(due).limit(1)) is None:
                return None
        with self.hub.database.write() as session:
            row = session.scalar(select(Conversion).where(due).order_by(Conversion.asked_at).limit(1))
            if row is None:
                return None
            row.state, row.alive_until = "running", now() + ALIVE
            return row.repository_id, row.commit

    def convert(self, repository_id: int, commit: str) -> None:
        """Convert one, in a process of its own that knows none of the Hub's secrets."""
        root, target = self.hub.settings.data / "viewer", folder(self.hub, repository_id, commit)
        try:
            source, held = held_snapshot(self.hub, root / "sources", repository_id, commit, of_data)
            with held:
                error = self.run(source, target, repository_id, commit)
        except Exception as problem:
            logger.exception("Data set %s cannot be laid out.", repository_id)
            error = str(problem)
        if error is None:
            self.note(repository_id, commit, state="waiting")
            return
        shutil.rmtree(root / "sources" / f"{repository_id}-{commit}", ignore_errors=True)
        self.note(repository_id, commit, state="failed" if error else "done", error=error)
        if not error:
            clear_derived(self.hub, repository_id)

    def run(self, source: Path, target: Path, repository_id: int, commit: str) -> str | None:
        """The process; its error, empty for none, or None when the Hub ends."""
        environment = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        environment |= {
            "HF_HUB_OFFLINE": "1", "HF_HOME": str(target.parent / "home"), "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        began = renewed = time.monotonic()
        command = [sys.executable, "-m", "samovar.server.viewer.convert", str(source), str(target)]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        ) as process:
            while process.poll() is None:
                if self.ending.wait(0.05):
                    process.kill()
                    return None
                if time.monotonic() - began > LONGEST:
                    process.kill()
                    return f"The conversion took more than {LONGEST:g} seconds."
                if time.monotonic() - renewed > RENEW:
                    renewed = time.monotonic()
                    self.note(repository_id, commit, alive_until=now() + ALIVE)
            said = process.stdout.read() if process.stdout else ""
        if process.returncode == 0:
            return ""
        try:
            return str(json.loads(said.strip().splitlines()[-1])["error"])
        except (ValueError, KeyError, IndexError):
            return "The conversion needs more memory than it may use, or its process was ended."

    def note(self, repository_id: int, commit: str, **values: object) -> None:
        """Write how far it is."""
        with self.hub.database.write() as session:
            session.execute(
                update(Conversion)
                .where(Conversion.repository_id == repository_id, Conversion.commit == commit)
                .values(**values)
            )


def of_data(names: list[str]) -> list[str]:
    """Files that may be data, and the card, which may say how they belong together."""
    return [name for name in names if name.lower().endswith(DATA)]
