"""The program `git`, run without anybody's configuration and without hooks."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pygit2

from samovar.server.errors import StorageFullError

SETTINGS = {
    # Folders may belong to another user after a restore.
    "safe.directory": "*",
    "core.hooksPath": os.devnull,
    "core.fsync": "committed,loose-object,pack,pack-metadata,reference",
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowReachableSHA1InWant": "true",
    "uploadpack.advertiseBundleURIs": "false",
    # What a later checkout could trip over, on any system, is refused.
    "fsck.zeroPaddedFilemode": "ignore",
    "fsck.missingSpaceBeforeDate": "ignore",
    "fsck.badTimezone": "ignore",
}


def environment() -> dict[str, str]:
    """Only what git needs: no configuration from this machine, no questions, messages in English."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


def command(folder: Path | str, *arguments: str) -> list[str]:
    """The command line for a repository's folder."""
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return ["git", *settings, f"--git-dir={folder}", *arguments]


class GitError(Exception):
    """The program ended with an error; what it said."""


def run(
    folder: Path | str, *arguments: str, stdin: bytes | IO[bytes] = b"", keep: Sequence[int] = (),
    more: dict[str, str] | None = None,
) -> bytes:  # fmt: skip
    """Run to the end; what it wrote. `keep` are files that the program keeps open (locks).

    Raises `GitError`, `StorageFullError`.
    """
    given: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command(folder, *arguments), capture_output=True, check=False, pass_fds=keep,
        env={**environment(), **(more or {})}, **given,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        if "No space left" in said or "quota exceeded" in said.lower():
            raise StorageFullError("The disk of the repositories is full.", "Tell the Hub's operator.")
        raise GitError(said)
    return done.stdout


@contextmanager
def disk_errors() -> Iterator[None]:
    """A full disk as the Hub's own error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError("The disk of the repositories is full.", "Tell the Hub's operator.") from error
        raise
    except pygit2.GitError as error:
        if "No space left" in str(error) or "quota exceeded" in str(error).lower():
            raise StorageFullError("The disk of the repositories is full.", "Tell the Hub's operator.") from error
        raise
