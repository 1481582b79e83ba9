"""A process that has imported what commands import, and runs each command in a copy of itself.

    python forks.py SOCKET

A command's process so costs milliseconds, not the seconds that importing torch takes. Nothing is computed before the
copy, so a command finds the same state as in a fresh interpreter. Requests and answers are lines of JSON: arguments,
folder and the files that stand for the standard streams; then the process's number; at its end its exit status.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import random
import socket
import sys
import traceback

PRELOADED = (
    "torch", "PIL.Image", "tqdm", "samovar.auto", "samovar.text.load", "samovar.pipelines.factory",
    "samovar.pipelines.batching", "samovar.architectures.bert", "samovar.architectures.gpt2",
    "samovar.architectures.vit", *(f"samovar.cli.{name}" for name in (
        "run", "chat", "inspect", "train", "partner", "inspect_table", "structure",
    )),
)  # fmt: skip


def command(request: dict) -> int:
    """In the copy: take the streams, run the command line, say how it ended."""
    os.chdir(request["cwd"])
    for number, (path, flags) in enumerate(
        zip(request["streams"], (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)
    ):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", line_buffering=True)
    sys.argv = ["samovar", *request["arguments"]]
    random.seed()
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


def serve(path: str) -> None:
    """Answer requests until the connection ends."""
    for name in PRELOADED:
        __import__(name)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rw", encoding="utf-8") as lines:
            for line in lines:
                child = os.fork()
                if child == 0:
                    status = 1
                    try:
                        connection.close()
                        status = command(json.loads(line))
                    finally:
                        os._exit(status)
                print(child, file=lines, flush=True)
                _, ended = os.waitpid(child, 0)
                print(os.waitstatus_to_exitcode(ended), file=lines, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
