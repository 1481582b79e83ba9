"""How the tests start the command: as its users do, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PROGRAM = [sys.executable, "-m", "samovar.cli"]


def run(*given: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `samovar …` to its end."""
    options = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL} | options
    if "input" in options:
        del options["stdin"]
    return subprocess.run([*PROGRAM, *map(str, given)], **options)


def started(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
    """The command, under way."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([*PROGRAM, *map(str, given)], **pipes)
