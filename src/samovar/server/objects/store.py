"""Where large files are kept: a small interface, and the folder that is the default behind it.

An object is immutable and named by the SHA-256 of its bytes. Another place (an S3 bucket) is another class with these
methods; nothing above asks for a local path except as an optional short cut.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

SHA256 = re.compile(r"[0-9a-f]{64}")


class ObjectStore(Protocol):
    """Immutable objects by their SHA-256."""

    def size(self, sha256: str) -> int | None:
        """Bytes of the object, or None if it is not there."""

    def read(self, sha256: str, start: int = 0, count: int | None = None) -> Iterator[bytes]:
        """Pieces of the object from byte `start` on. Raises `FileNotFoundError`."""

    def local_path(self, sha256: str) -> Path | None:
        """A file with exactly these bytes, if there is one on this machine: it can be handed to the kernel."""

    def scratch(self) -> Path:
        """A new, empty file on the store's own disk to write into; `adopt` or delete it."""

    def adopt(self, path: Path, sha256: str) -> None:
        """Take a finished scratch file whose hash was checked as the object; lasting when this returns."""

    def delete(self, sha256: str) -> None:
        """Remove the object; nothing happens if it is not there."""

    def all(self) -> Iterator[str]:
        """The names of all objects."""


class LocalStore:
    """Objects as files in a folder: `ab/cd/abcd…`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drafts = root / "drafts"

    def path(self, sha256: str) -> Path:
        """Where the object lies or would lie."""
        assert SHA256.fullmatch(sha256), sha256
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def size(self, sha256: str) -> int | None:
        """Bytes of the object, or None if it is not there."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def open(self, sha256: str) -> BinaryIO:
        """The object, opened."""
        return self.path(sha256).open("rb")

    def read(self, sha256: str, start: int = 0, count: int | None = None) -> Iterator[bytes]:
        """Pieces of the object from byte `start` on."""
        with self.open(sha256) as file:
            file.seek(start)
            while count is None or count > 0:
                piece = file.read(2**20 if count is None else min(count, 2**20))
                if not piece:
                    return
                if count is not None:
                    count -= len(piece)
                yield piece

    def local_path(self, sha256: str) -> Path | None:
        """The file itself."""
        path = self.path(sha256)
        return path if path.is_file() else None

    def scratch(self) -> Path:
        """A new, empty file beside the objects."""
        self.drafts.mkdir(parents=True, exist_ok=True)
        path = self.drafts / os.urandom(16).hex()
        path.touch(0o600)
        return path

    def adopt(self, path: Path, sha256: str) -> None:
        """Write through to the disk, then rename: the object is there whole, or not at all."""
        with path.open("rb") as file:
            os.fsync(file.fileno())
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def delete(self, sha256: str) -> None:
        """Remove the object."""
        with contextlib.suppress(FileNotFoundError):
            self.path(sha256).unlink()

    def all(self) -> Iterator[str]:
        """The names of all objects."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]")):
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                if SHA256.fullmatch(entry.name):
                    yield entry.name
