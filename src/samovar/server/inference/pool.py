"""The workers: started when a model is first asked, within a budget of memory, ended when others need the room.

Everything here runs in the Hub's event loop. Visitors of one model share a worker: what waits while it works goes to it
together as one batch.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samovar.server.errors import BusyError, GatewayTimeoutError, TooLargeError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.inference.contract import Call
from samovar.server.inference.files import of_model, weight
from samovar.server.inference.inputs import File
from samovar.server.services.snapshots import Held, held_snapshot

# A process with torch in it, before any weight.
OVERHEAD = 400 * 2**20
MOST_WAITING = 64
MOST_AT_ONCE = 32
LONGEST_LINE = 256 * 2**20
# How fast a model is loaded where none of its size was before: seconds at first, then bytes in a second.
STARTING, READING = 4.0, 300e6
Key = tuple[int, str, str]


@dataclass
class Counts:
    """What the workers of this process have done since it began."""

    calls: int = 0
    batches: int = 0
    """Messages that carried the calls: fewer than calls where visitors were answered together."""
    cancelled: int = 0
    loads: int = 0
    evictions: int = 0
    timeouts: int = 0


@dataclass(frozen=True)
class State:
    """How far a model is from answering."""

    name: str
    """`absent`, `loading` or `ready`."""
    seconds: float = 0.0
    """Since loading began."""
    expected: float = 0.0
    """That loading takes in all."""
    waiting: int = 0


@dataclass
class Waiting:
    """A call that was not sent yet, or not answered."""

    number: int
    call: Call
    answers: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)


class Worker:
    """One process with one model."""

    def __init__(self, key: Key, size: int, counts: Counts, held: Held) -> None:
        self.key, self.size, self.counts, self.held = key, size, counts, held
        self.began = time.monotonic()
        self.loading: float | None = None
        """How long loading took."""
        self.process: asyncio.subprocess.Process | None = None
        self.queue: list[Waiting] = []
        self.sent: dict[int, Waiting] = {}
        self.used = time.monotonic()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reading: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self.queue or self.sent) or not self.ready.done()

    async def start(self, task: str, folder: Path, threads: int) -> None:
        """Start the process; `ready` is done when the model is loaded."""
        # The Hub's secrets stay here: a worker gets what it needs and no more.
        environment = {
            name: os.environ[name] for name in ("PATH", "LANG", "HOME", "LD_LIBRARY_PATH") if name in os.environ
        }
        environment |= {
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(threads),
            "PYTHONWARNINGS": "ignore",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "samovar.server.inference.worker", task, str(folder), env=environment,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=LONGEST_LINE,
        )  # fmt: skip
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        """Hand each message to whoever waits for it."""
        assert self.process is not None
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if "ready" in message:
                self.loading = time.monotonic() - self.began
                self.ready.set_result(None)
                self.feed()
            elif "failed" in message:
                self.ready.set_exception(UnprocessableError(f"The model cannot be loaded: {message['failed']}"))
            elif (waiting := self.sent.get(message["id"])) is not None:
                waiting.answers.put_nowait(message)
                if "piece" not in message:
                    self.done(waiting)
        self.held.close()
        if not self.ready.done():
            self.ready.set_exception(UnprocessableError("The model cannot be loaded: its process ended."))
        for waiting in [*self.sent.values(), *self.queue]:
            waiting.answers.put_nowait({"error": "The model's process ended.", "ended": True})

    def done(self, waiting: Waiting) -> None:
        """The call is answered, or nobody waits for it any more."""
        self.sent.pop(waiting.number, None)
        self.used = time.monotonic()
        if not self.sent:
            self.feed()

    def feed(self) -> None:
        """Send what has gathered: a stream alone, anything else together."""
        if self.sent or not self.queue or not self.ready.done():
            return
        assert self.process is not None
        assert self.process.stdin is not None
        if self.queue[0].call.stream:
            first = self.queue.pop(0)
            batch, message = [first], {"stream": first.number, **sendable(first.call)}
        else:
            count = next((at for at, one in enumerate(self.queue) if one.call.stream), len(self.queue))
            batch = [self.queue.pop(0) for _ in range(min(count, MOST_AT_ONCE))]
            message = {"calls": [{"id": one.number, **sendable(one.call)} for one in batch]}
        self.sent |= {one.number: one for one in batch}
        self.counts.calls += len(batch)
        self.counts.batches += 1
        with contextlib.suppress(OSError, RuntimeError):  # It has ended: `read` tells whoever waits.
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def cancel(self, waiting: Waiting) -> None:
        """Nobody waits for it any more."""
        if waiting in self.queue:
            self.queue.remove(waiting)
            self.counts.cancelled += 1
        elif waiting.number in self.sent:
            self.counts.cancelled += 1
            if self.process is not None and self.process.stdin is not None:
                with contextlib.suppress(OSError, RuntimeError):
                    self.process.stdin.write(json.dumps({"cancel": waiting.number}).encode() + b"\n")
            self.done(waiting)

    async def end(self) -> None:
        """End the process: its memory is free when this returns."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        if self.reading is not None:
            await self.reading


class Pool:
    """All workers of one Hub process."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.settings = hub, hub.settings
        self.workers: dict[Key, Worker] = {}
        self.numbers = itertools.count(1)
        self.starting = asyncio.Lock()
        self.counts = Counts()
        self.loaded: dict[Key, float] = {}
        """How long each model took to load the last time."""

    @property
    def able(self) -> bool:
        """Whether models can run here: it is not switched off, and torch is installed."""
        return self.settings.inference == "on" and importlib.util.find_spec("torch") is not None

    async def run(self, repository_id: int, commit: str, task: str, call: Call) -> Any:
        """The answer of a model. Raises `UnprocessableError`, `TooLargeError`, `BusyError`, `GatewayTimeoutError`."""
        return (await self.whole(repository_id, commit, task, call))["answer"]

    async def whole(self, repository_id: int, commit: str, task: str, call: Call) -> dict[str, Any]:
        """As `run`, with what the worker says beside the answer (`usage`)."""
        async with contextlib.aclosing(self.messages(repository_id, commit, task, call)) as messages:
            async for message in messages:
                return message
        raise UnprocessableError("The model gave no answer.")

    def state(self, repository_id: int, commit: str, task: str, size: int) -> State:
        """How far a model of that many bytes is."""
        key = (repository_id, commit, task)
        expected = self.loaded.get(key, STARTING + size / READING)
        worker = self.workers.get(key)
        if worker is None:
            return State("absent", expected=expected)
        if worker.loading is None:
            return State("loading", time.monotonic() - worker.began, expected, len(worker.queue))
        return State("ready", worker.loading, worker.loading, len(worker.queue) + len(worker.sent))

    async def messages(self, repository_id: int, commit: str, task: str, call: Call) -> AsyncGenerator[dict[str, Any]]:
        """The worker's messages about one call, until the last; leaving early cancels it."""
        worker = await self.worker(repository_id, commit, task)
        if len(worker.queue) >= MOST_WAITING:
            raise BusyError("Too many visitors are asking this model.", "Try again in a moment.", {"Retry-After": "5"})
        waiting = Waiting(next(self.numbers), call)
        worker.queue.append(waiting)
        worker.feed()
        limit = self.settings.inference_time
        try:
            async with asyncio.timeout(limit):
                while True:
                    message = await waiting.answers.get()
                    if "error" in message:
                        raise UnprocessableError(message["error"])
                    yield message
                    if "piece" not in message:
                        return
        except TimeoutError as error:
            # A pipeline cannot be interrupted: the process ends, and other visitors' calls with it.
            self.counts.timeouts += 1
            if waiting.number in worker.sent and not call.stream:
                self.workers.pop(worker.key, None)
                await worker.end()
            raise GatewayTimeoutError(f"The model took more than {limit:g} seconds.", "Send less at a time.") from error
        finally:
            worker.cancel(waiting)

    async def worker(self, repository_id: int, commit: str, task: str) -> Worker:
        """The worker of a model, started if there is none, and loaded."""
        key = (repository_id, commit, task)
        async with self.starting:
            worker = self.workers.get(key)
            if worker is None or (worker.process is not None and worker.process.returncode is not None):
                worker = await self.begin(key)
        try:
            async with asyncio.timeout(self.settings.inference_time):
                await asyncio.shield(worker.ready)
        except TimeoutError as error:
            raise BusyError("The model is still loading.", "Try again in a moment.", {"Retry-After": "10"}) from error
        except UnprocessableError:
            self.workers.pop(key, None)
            raise
        worker.used = time.monotonic()
        if worker.loading is not None:
            self.loaded[key] = worker.loading
        return worker

    async def begin(self, key: Key) -> Worker:
        """Start a worker, after making room. Raises `TooLargeError`, `BusyError`."""
        repository_id, commit, _ = key
        # Workers of earlier commits answer nobody any more.
        for old in [one for one in self.workers.values() if one.key[0] == repository_id and not one.busy]:
            if old.key[1] != commit:
                await self.evict(old)
        folder, held = await asyncio.to_thread(
            held_snapshot, self.hub, self.settings.data / "inference", repository_id, commit, of_model
        )
        try:
            return await self.begin_in(key, folder, held)
        except BaseException:
            held.close()
            raise

    async def begin_in(self, key: Key, folder: Path, held: Held) -> Worker:
        """Start a worker over a folder. Raises `TooLargeError`, `BusyError`."""
        size = needed(await asyncio.to_thread(weight, folder))
        budget = self.settings.inference_memory
        if size > budget:
            raise too_large(size, budget)
        while sum(one.size for one in self.workers.values()) + size > budget:
            idle = [one for one in self.workers.values() if not one.busy]
            if not idle:
                raise BusyError("All memory for models is in use.", "Try again in a moment.", {"Retry-After": "10"})
            await self.evict(min(idle, key=lambda one: one.used))
        worker = self.workers[key] = Worker(key, size, self.counts, held)
        self.counts.loads += 1
        await worker.start(key[2], folder, self.settings.inference_threads or os.cpu_count() or 1)
        return worker

    async def evict(self, worker: Worker) -> None:
        """End a worker that nobody waits for."""
        self.workers.pop(worker.key)
        self.counts.evictions += 1
        await worker.end()

    async def close(self) -> None:
        """End all workers."""
        workers, self.workers = list(self.workers.values()), {}
        for worker in workers:
            await worker.end()
            if worker.ready.done() and not worker.ready.cancelled():
                worker.ready.exception()


def needed(weights: int) -> int:
    """The memory that a model with so many bytes of weights is counted with."""
    return OVERHEAD + round(1.2 * weights)


def too_large(size: int, budget: int) -> TooLargeError:
    """What a model over the budget is refused with."""
    return TooLargeError(
        f"The model needs about {size / 1e9:.1f} GB; models on this Hub may use {budget / 1e9:.1f} GB.",
        "Download it, or ask the Hub's operator for a larger budget (inference_memory).",
    )


def sendable(call: Call) -> dict[str, Any]:
    """A call as JSON can carry it."""
    return {"inputs": written(call.inputs), "options": call.options}


def written(value: Any) -> Any:
    """Files inside an input in base64."""
    if isinstance(value, File):
        return {"file": value.kind, "bytes": base64.b64encode(value.data).decode()}
    if isinstance(value, dict):
        return {key: written(one) for key, one in value.items()}
    return value
