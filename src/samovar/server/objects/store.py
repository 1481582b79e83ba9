"""Where large files are kept: a small interface, and the folder that is the default behind it.

An object is immutable and named by the SHA-256 of its bytes. Another place (an S3 bucket) is another class with these
methods; nothing above asks for a local path except as an optional short cut.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

SHA256 = re.compile(r"[0-9a-f]{64}")
DRAFT = re.compile(r"[0-9A-Za-z-]{1,100}")


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

    def draft(self, name: str) -> Path:
        """A place on the store's own disk under a name of letters, digits and `-`, for what is not an object yet."""

    def forget_drafts(self, age: float) -> int:
        """Delete drafts and scratch files that nobody wrote to for so many seconds; the bytes they took."""

    def adopt(self, path: Path, sha256: str) -> None:
        """Take a finished scratch file whose hash was checked as the object; lasting when this returns."""

    def discard(self, sha256: str) -> None:
        """Take the object out of sight; `rescue` brings it back until `empty_bin`. Nothing happens without one."""

    def rescue(self, sha256: str) -> bool:
        """Bring a discarded object back, unless there is a new one; whether the object is there now."""

    def empty_bin(self, age: float) -> int:
        """Delete what was discarded so many seconds ago, or earlier, for good; the bytes that it took."""

    def age(self, sha256: str) -> float:
        """Seconds since the object came; 0 if it is not there."""

    def all(self) -> Iterator[str]:
        """The names of all objects."""


class LocalStore:
    """Objects as files in a folder: `ab/cd/abcd…`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drafts = root / "drafts"
        self.bin = root / "bin"

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

    def draft(self, name: str) -> Path:
        """A path beside the scratch files."""
        assert DRAFT.fullmatch(name), name
        self.drafts.mkdir(parents=True, exist_ok=True)
        return self.drafts / name

    def forget_drafts(self, age: float) -> int:
        """Delete old files and folders."""
        freed, before = 0, time.time() - age
        for path in sorted(self.drafts.glob("*")):
            with contextlib.suppress(FileNotFoundError):
                files = [path] if path.is_file() else list(path.iterdir())
                newest = max([one.stat().st_mtime for one in [path, *files]])
                if newest < before:
                    freed += sum(one.stat().st_size for one in files)
                    if path.is_file():
                        path.unlink()
                    else:
                        shutil.rmtree(path, ignore_errors=True)
        return freed

    def adopt(self, path: Path, sha256: str) -> None:
        """Write through to the disk, then rename: the object is there whole, or not at all."""
        with path.open("rb") as file:
            os.fchmod(file.fileno(), 0o640)  # For an nginx in the same group.
            os.fsync(file.fileno())
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self, sha256: str) -> None:
        """Move the object into the bin."""
        self.bin.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.path(sha256), self.bin / sha256)

    def rescue(self, sha256: str) -> bool:
        """Move it back."""
        if self.path(sha256).exists():
            return True
        try:
            os.replace(self.bin / sha256, self.path(sha256))
        except FileNotFoundError:
            return self.path(sha256).exists()
        return True

    def empty_bin(self, age: float) -> int:
        """Delete old files of the bin."""
        freed, before = 0, time.time() - age
        for path in sorted(self.bin.glob("*")):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                if found.st_ctime < before:  # The time at which it was moved here.
                    path.unlink()
                    freed += found.st_size
        return freed

    def age(self, sha256: str) -> float:
        """Since the file was moved to its place."""
        try:
            return max(0.0, time.time() - self.path(sha256).stat().st_ctime)
        except FileNotFoundError:
            return 0.0

    def all(self) -> Iterator[str]:
        """The names of all objects."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]")):
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                if SHA256.fullmatch(entry.name):
                    yield entry.name
