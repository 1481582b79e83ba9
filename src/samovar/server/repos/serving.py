"""Clones and fetches: `git upload-pack` answers, piece by piece, at the speed of the client."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread

from samovar.server.repos import program

# Clones that are answered at a time; others wait.
AT_ONCE = 32
PIECE = 2**17
# Of the header `Git-Protocol` only this is handed on.
PROTOCOL = re.compile(r"version=\d(?::version=\d)*")
slots = anyio.Semaphore(AT_ONCE)


def arguments(folder: Path, *more: str) -> list[str]:
    """The command line."""
    command = program.command(folder, "upload-pack", "--stateless-rpc", "--strict", *more, str(folder))
    return [part for part in command if not part.startswith("--git-dir=")]


def environment(protocol: str) -> dict[str, str]:
    """Git's environment, with the version of the protocol that the client asks for."""
    return {**program.environment(), **({"GIT_PROTOCOL": protocol} if PROTOCOL.fullmatch(protocol) else {})}


def advertise(folder: Path, protocol: str) -> bytes:
    """What there is to fetch."""
    done = subprocess.run(
        arguments(folder, "--http-backend-info-refs"), capture_output=True, check=True, env=environment(protocol)
    )
    service = b"001e# service=git-upload-pack\n0000"
    return done.stdout if done.stdout.startswith(b"000eversion 2") else service + done.stdout


async def answer(folder: Path, question: bytes, protocol: str) -> AsyncIterator[bytes]:
    """What git answers, in pieces, as soon as there is a slot. However it ends, so does git."""

    def start() -> subprocess.Popen[bytes]:
        with tempfile.TemporaryFile() as file:
            file.write(question)
            file.seek(0)
            return subprocess.Popen(
                arguments(folder), stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=environment(protocol),
            )  # fmt: skip

    def read() -> bytes:
        assert process.stdout is not None
        return process.stdout.read1(PIECE)  # type: ignore[attr-defined]

    def end() -> None:
        assert process.stdout is not None
        process.kill()
        process.stdout.close()
        process.wait()

    async with slots:
        process = await anyio.to_thread.run_sync(start)
        try:
            while piece := await anyio.to_thread.run_sync(read):
                yield piece
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(end)
