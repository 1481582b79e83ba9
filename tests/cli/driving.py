"""How the tests start the command: as its users do, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PROGRAM = [sys.executable, "-m", "samovar.cli"]


class Forks:
    """Starts commands as copies of a process that has its imports behind it (`forks.py`)."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = str(Path(self.folder.name, "socket"))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(1)
            self.server = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("forks.py")), path], stdin=subprocess.DEVNULL
            )
            self.connection, _ = listening.accept()
        self.lines = self.connection.makefile("rw", encoding="utf-8")

    def run(self, given: list[str], text: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        with tempfile.TemporaryDirectory() as work:
            streams = [Path(work, name) for name in ("in", "out", "err")]
            for stream in streams:
                stream.write_text(text if stream.name == "in" else "", "utf-8")
            request = {"arguments": given, "cwd": os.getcwd(), "streams": [str(stream) for stream in streams]}
            print(json.dumps(request), file=self.lines, flush=True)
            number = int(self.lines.readline())
            self.connection.settimeout(timeout)
            try:
                status = int(self.lines.readline())
            except TimeoutError:
                os.kill(number, signal.SIGKILL)
                self.stop()
                raise subprocess.TimeoutExpired(given, timeout) from None
            finally:
                self.connection.settimeout(None)
            out, err = (stream.read_text("utf-8") for stream in streams[1:])
        return subprocess.CompletedProcess([*PROGRAM, *given], status, out, err)

    def stop(self) -> None:
        """End the process, and forget it: the next command starts another."""
        forks.cache_clear()
        with contextlib.suppress(OSError):
            self.lines.close()
        self.connection.close()
        self.server.kill()
        self.server.wait()
        self.folder.cleanup()


@cache
def forks() -> Forks:
    """The process, started when it is first needed."""
    return Forks()


def run(*given: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `samovar …` to its end; with options other than the input it is not a copy but a fresh interpreter."""
    arguments = list(map(str, given))
    if options.keys() <= {"input", "timeout"}:
        return forks().run(arguments, options.get("input", ""), options.get("timeout", 120))
    options = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL} | options
    if "input" in options:
        del options["stdin"]
    return subprocess.run([*PROGRAM, *arguments], **options)


def started(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
    """The command, under way."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([*PROGRAM, *map(str, given)], **pipes)
