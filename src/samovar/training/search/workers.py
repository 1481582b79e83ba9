"""Trials side by side, each in a process of its own.

Threads would share torch's random generator and the counters of `accelerate`, by which one trial's evaluation would cut
the batches of another. A process has its own, so that a trial gives the same number beside others as alone; and each
can have an accelerator of its own.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import IO, TYPE_CHECKING, Any

from samovar.extras import require

if TYPE_CHECKING:
    from samovar.training.search.optuna_backend import Job

logger = logging.getLogger(__name__)


class Turns:
    """Numbers of trials to run, taken by several threads until there are none, time is up, or one says stop."""

    def __init__(self, left: int, first: int, timeout: float | None) -> None:
        self.left, self.numbers = left, count(first)
        self.end = None if timeout is None else time.monotonic() + timeout
        self.lock = threading.Lock()
        self.interrupted = False

    def take(self) -> int | None:
        """The next, None at the end."""
        with self.lock:
            if self.left < 1 or (self.end is not None and time.monotonic() > self.end):
                return None
            self.left -= 1
            return next(self.numbers)

    def stop(self) -> None:
        """No more."""
        self.left = 0


def run_in_processes(job: Job, study: Any, jobs: int, left: int, first: int, timeout: float | None) -> None:
    """Run `left` trials in `jobs` processes. A process that dies fails its trial, and another takes its place."""
    cloudpickle = require("cloudpickle", "Trials side by side")
    payload = cloudpickle.dumps(job)
    turns = Turns(left, first, timeout)
    alive: list[subprocess.Popen[bytes]] = []

    def serve(place: int) -> None:
        process: subprocess.Popen[bytes] | None = None
        while (number := turns.take()) is not None:
            if process is None or process.poll() is not None:
                process = started(payload, place, jobs)
                alive.append(process)
            answer = ask(process, number)
            if answer == b"stop\n":
                turns.stop()
            elif turns.interrupted:
                break  # The trial was killed from here: it stays open, for the next search to take over.
            elif answer != b"done\n":
                fail_trials_of(study, process.pid, process.wait())
        if process is not None and process.stdin is not None:
            process.stdin.close()  # A worker ends when there is nothing more to read.
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    try:
        with ThreadPoolExecutor(jobs) as threads:
            try:
                list(threads.map(serve, range(jobs)))
            except BaseException:
                turns.interrupted = True
                turns.stop()
                for process in alive:
                    process.kill()
                raise
    finally:
        for process in alive:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    pipe.close()


def started(payload: bytes, place: int, jobs: int) -> subprocess.Popen[bytes]:
    """A worker that has been given the job."""
    import torch

    threads = max(torch.get_num_threads() // jobs, 1)
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    devices = torch.cuda.device_count()
    if devices > 1:
        seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        env["CUDA_VISIBLE_DEVICES"] = (seen or [str(index) for index in range(devices)])[place % devices]
    process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    try:
        write(process, len(payload).to_bytes(8, "big") + payload)
    except OSError:
        logger.warning("A worker ended before it was given its work.")
    return process


def ask(process: subprocess.Popen[bytes], number: int) -> bytes:
    """Let a worker run a trial; empty if it died."""
    try:
        write(process, b"%d\n" % number)
    except OSError:
        return b""
    assert process.stdout is not None
    return process.stdout.readline()


def write(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Send to a worker."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def fail_trials_of(study: Any, pid: int, code: int) -> None:
    """Mark the trials of a worker that died as failed."""
    from optuna.trial import TrialState

    logger.warning("The process %d of a trial ended with %d.", pid, code)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.user_attrs.get("process") == pid:
            study.tell(trial.number, state=TrialState.FAIL)


def work(job: Job, turns: queue.Queue[bytes], out: IO[bytes]) -> None:
    """Run a trial for each number that is read."""
    study = job.study()
    if job.sampler is not None:
        study.sampler.reseed_rng()  # Each process has a copy; alike, they would all try the same.

    def objective(trial: Any) -> Any:
        trial.set_user_attr("process", os.getpid())
        return job.objective(trial)

    while True:
        job.seeded(study, int(turns.get()))
        study.optimize(
            objective, n_trials=1, catch=(Exception,), callbacks=job.callbacks, gc_after_trial=job.gc_after_trial
        )
        # A callback's study.stop() ends this call only; the flag is how the other processes hear of it.
        out.write(b"stop\n" if getattr(study, "_stop_flag", False) else b"done\n")
        out.flush()


def main() -> None:
    """A worker: the job comes first, then numbers; without a parent it ends at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes; the parent decides.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a trial prints must not be read as an answer.
    source = sys.stdin.buffer
    job = pickle.loads(source.read(int.from_bytes(source.read(8), "big")))
    turns: queue.Queue[bytes] = queue.Queue()

    def listen() -> None:
        for line in source:
            turns.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    work(job, turns, out)


if __name__ == "__main__":
    main()
