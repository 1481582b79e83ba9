"""Commands as copies of a process that has its imports behind it: each starts in milliseconds, not in seconds.

    python forks.py SOCKET MODULE …

Nothing is computed before the copy is made, so a command finds the same state as in a fresh interpreter, and it is as
much a process of its own: it has its standard streams, its environment, its signals and its exit status. Each request
comes over a connection of its own with the three streams as descriptors; the answers are the process's number, and at
its end the exit status. The one who asks is `Forks`.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

LONGEST = 2**20  # Bytes of a request.
PR_SET_PDEATHSIG = 1  # Of <linux/prctl.h>: the signal that a process gets when the one that started it ends.


# The one who asks -------------------------------------------------------------------------------------------------


class Started:
    """A command under way, used as `subprocess.Popen` is."""

    def __init__(self, arguments: list[str], connection: socket.socket, stdout: IO[str] | None) -> None:
        self.args, self.connection, self.stdout = arguments, connection, stdout
        self.answers = connection.makefile("r")
        self.pid = int(self.answers.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self.connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self.answers.readline())
            self.answers.close()
            self.connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """A process that has imported these modules, to start commands from."""

    def __init__(self, *modules: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self.folder.name, "socket"))
        ready, writes = os.pipe()
        command = [sys.executable, __file__, self.path, str(writes), *modules]
        self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[writes])
        os.close(writes)
        with open(ready, "rb") as said:
            assert said.read() == b"ready"
        atexit.register(self.stop)

    def start(
        self, arguments: list[str], streams: tuple[int, int, int], environment: dict[str, str] | None = None,
        stdout: IO[str] | None = None,
    ) -> Started:  # fmt: skip
        """`samovar …` with these descriptors as standard streams, in the folder that this process is in."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.path)
        request = {"arguments": arguments, "cwd": os.getcwd(), "environment": environment or dict(os.environ)}
        socket.send_fds(connection, [json.dumps(request).encode()], streams)
        return Started(arguments, connection, stdout)

    def run(
        self, arguments: list[str], text: str = "", timeout: float = 120, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One command to its end, with what it wrote."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(text.encode())
            given.seek(0)
            started = self.start(arguments, (given.fileno(), out.fileno(), err.fileno()), environment)
            try:
                status = started.wait(timeout)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()
                raise
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(arguments, status, out.read().decode(), err.read().decode())

    def stop(self) -> None:
        """End the process, and with it whatever a failed test has left running."""
        if self.server.poll() is None:
            self.server.kill()
            self.server.wait()
            self.folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


@cache
def forks(*modules: str) -> Forks:
    """The process for these modules, started when it is first needed and ended with this one."""
    return Forks(*modules)


# The process that is copied ---------------------------------------------------------------------------------------


def command(request: dict[str, Any]) -> int:
    """In the copy: run the command line; its exit status."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", line_buffering=True)
    sys.argv = ["samovar", *request["arguments"]]
    random.seed()
    # Tests that run in the background of a shell are deaf to Ctrl-C, and what they start would be as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from samovar.cli import main

    try:
        status = main(request["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def serve(path: str, ready: int, modules: list[str]) -> None:
    """Make copies, and tell how they end, for as long as whoever started this lives."""
    for name in modules:
        __import__(name)
    gc.freeze()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    os.write(ready, b"ready")
    os.close(ready)
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    running: dict[int, tuple[int, socket.socket]] = {}  # A descriptor of the process → its number, who asked for it.
    parent = os.getppid()
    while os.getppid() == parent:
        for descriptor, _ in poll.poll(1000):
            if descriptor == listening.fileno():
                connection, _ = listening.accept()
                copy(connection, listening, poll, running)
            else:
                number, connection = running.pop(descriptor)
                poll.unregister(descriptor)
                os.close(descriptor)
                with suppress(OSError), connection:
                    connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])}\n".encode())


def copy(
    connection: socket.socket,
    listening: socket.socket,
    poll: select.poll,
    running: dict[int, tuple[int, socket.socket]],
) -> None:
    """Read a request, and start its command in a copy of this process."""
    text, streams, _, _ = socket.recv_fds(connection, LONGEST, 3)
    number = os.fork()
    if number == 0:
        status = 1
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            for place, stream in enumerate(streams):
                os.dup2(stream, place)
            for descriptor in (*streams, *running, listening.fileno(), connection.fileno()):
                os.close(descriptor)
            status = command(json.loads(text))
        finally:
            os._exit(status)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{number}\n".encode())
    descriptor = os.pidfd_open(number)
    running[descriptor] = (number, connection)
    poll.register(descriptor, select.POLLIN)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
