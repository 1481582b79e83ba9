"""How the tests start the command: as its users do, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from forks import forks

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PROGRAM = [sys.executable, "-m", "samovar.cli"]
# What commands import; the process that has done so is copied for each.
IMPORTED = (
    "torch", "PIL.Image", "tqdm", "samovar.auto", "samovar.text.load", "samovar.pipelines.factory",
    "samovar.pipelines.batching", "samovar.architectures.bert", "samovar.architectures.gpt2",
    "samovar.architectures.vit", *(f"samovar.cli.{name}" for name in (
        "run", "chat", "inspect", "train", "partner", "inspect_table", "structure",
    )),
)  # fmt: skip


def run(*given: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `samovar …` to its end; with options other than the input it is not a copy but a fresh interpreter."""
    arguments = list(map(str, given))
    if options.keys() <= {"input", "timeout"}:
        return forks(*IMPORTED).run(arguments, options.get("input", ""), options.get("timeout", 120))
    options = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL} | options
    if "input" in options:
        del options["stdin"]
    return subprocess.run([*PROGRAM, *arguments], **options)


def started(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
    """The command, under way."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([*PROGRAM, *map(str, given)], **pipes)
