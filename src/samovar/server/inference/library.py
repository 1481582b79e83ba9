"""What the library can do, asked of a process that knows it: which tasks it runs, its metrics, and their values.

The Hub's own process imports nothing of the library. The helper is started when it is first needed and ended when it
was idle for some minutes; its description is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from samovar.server.errors import BusyError, GatewayTimeoutError, HubError, UnprocessableError
from samovar.server.settings import Settings

LONGEST_START = 60.0
LONGEST = 15.0
# Visitors wait so long for those before them.
LONGEST_WAIT = 15.0
IDLE = 300.0
LONGEST_ANSWER = 16 * 2**20


@dataclass(frozen=True)
class Described:
    """Tasks and metrics of the library."""

    tasks: frozenset[str]
    metrics: dict[str, dict[str, Any]]
    """Name → `{name, kind, description, range, better, formula, source, library, citation, configs, columns, options,
    example, values, model}`."""


class Library:
    """The helper process, one at a time; used from threads."""

    def __init__(self, settings: Settings, longest: float = LONGEST) -> None:
        self.settings, self.longest = settings, longest
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.known: Described | None = None
        self.warm = False
        """Whether the process has answered a question."""
        self.used = 0.0
        self.timer: threading.Timer | None = None

    @property
    def able(self) -> bool:
        """Whether visitors may let it compute."""
        return self.settings.inference == "on"

    def described(self) -> Described:
        """Tasks and metrics. Raises `BusyError` if the helper cannot be started."""
        if self.known is None:
            with self.lock:
                if self.known is None:
                    self.start()
        assert self.known is not None
        return self.known

    def runs(self, task: str) -> bool:
        """Whether a pipeline of the library does the task."""
        return task in self.described().tasks

    def compute(self, metric: str, config: str, columns: dict[str, Any], options: dict[str, Any]) -> Any:
        """A metric's values under `result`, and its warnings under `notes`.

        Raises `UnprocessableError`, `GatewayTimeoutError`, `BusyError`.
        """
        if not self.lock.acquire(timeout=LONGEST_WAIT):
            raise BusyError("Too many visitors are computing.", "Try again in a moment.", {"Retry-After": "5"})
        try:
            if self.process is None or self.process.poll() is not None:
                self.start()
            process = self.process
            assert process is not None
            assert process.stdin is not None
            question = {"metric": metric, "config": config, "columns": columns, "options": options}
            with contextlib.suppress(BrokenPipeError):  # It has ended: `line` finds out.
                process.stdin.write(json.dumps(question).encode() + b"\n")
            # The first question also imports what computes.
            answer = self.line(self.longest if self.warm else self.longest + LONGEST_START)
            self.warm = True
            if answer is None:
                self.end()
                raise UnprocessableError("The process that computed ended.", "Send less at a time.")
            self.rest_later()
        except TimeoutError as error:
            self.end()
            raise GatewayTimeoutError(
                f"Computing took more than {self.longest:g} seconds.", "Send fewer or shorter rows."
            ) from error
        finally:
            self.lock.release()
        if "error" in answer:
            raise UnprocessableError(str(answer["error"]))
        return answer

    def warm_up(self, metric: str, config: str, columns: dict[str, Any], options: dict[str, Any]) -> None:
        """Let the helper import what computes while a visitor still reads, if it has not computed anything yet."""

        def work() -> None:
            with contextlib.suppress(HubError):
                self.compute(metric, config, columns, options)

        if self.able and not self.warm and not self.lock.locked():
            threading.Thread(target=work, name="warming up", daemon=True).start()

    def start(self) -> None:
        """Start the helper, which describes the library first; the lock is held."""
        self.end()
        environment = {
            name: os.environ[name]
            for name in ("PATH", "LANG", "HOME", "LD_LIBRARY_PATH", "NLTK_DATA")
            if name in os.environ
        }
        environment |= {
            "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "samovar.server.inference.scorer"], env=environment, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            said = self.line(LONGEST_START)
        except TimeoutError:
            said = None
        if said is None:
            self.end()
            raise BusyError("What the library can do is not known yet.", "Try again in a moment.", {"Retry-After": "5"})
        self.known = Described(frozenset(said["tasks"]), {one["name"]: one for one in said["metrics"]})
        self.rest_later()

    def line(self, seconds: float) -> dict[str, Any] | None:
        """The helper's next message, or None if it ended. Raises `TimeoutError`."""
        assert self.process is not None
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        parts: list[bytes] = []
        while not (parts and parts[-1].endswith(b"\n")):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError
            part = os.read(self.process.stdout.fileno(), 2**16)
            if not part or sum(map(len, parts)) > LONGEST_ANSWER:
                return None
            parts.append(part)
        found: dict[str, Any] = json.loads(b"".join(parts))
        return found

    def rest_later(self) -> None:
        """End the helper when nobody has needed it for a while; the lock is held."""
        self.used = time.monotonic()
        if self.timer is None:
            self.timer = threading.Timer(IDLE, self.rest_now)
            self.timer.daemon = True
            self.timer.start()

    def rest_now(self) -> None:
        """End it if it was idle, else look again later."""
        with self.lock:
            self.timer = None
            if time.monotonic() - self.used >= IDLE:
                self.end()
            elif self.process is not None:
                self.rest_later()

    def end(self) -> None:
        """End the process; the lock is held."""
        process, self.process, self.warm = self.process, None, False
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def close(self) -> None:
        """The Hub ends; whoever waits for an answer is told so."""
        process = self.process
        if process is not None:
            process.kill()
        with self.lock:
            if self.timer is not None:
                self.timer.cancel()
            self.end()
