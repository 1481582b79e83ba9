"""A pack that was pushed: unpacked beside the repository's objects, looked at, and only then moved among them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import pygit2

from samovar.server.errors import UnprocessableError
from samovar.server.repos import program

# What git itself calls such folders: its own housekeeping removes those that a kill left behind.
PREFIX = "tmp_objdir-incoming-"


class Quarantine:
    """New objects that nothing outside sees. Close it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "objects"
        with program.disk_errors():
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.objects))

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """Lets git write here, and read the repository's objects as well."""
        return {
            "GIT_OBJECT_DIRECTORY": str(self.path),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.objects),
            "GIT_QUARANTINE_PATH": str(self.path),
        }

    def unpack(self, pack: IO[bytes], most: int) -> None:
        """Unpack; git checks all as `git fsck --strict` does. Raises `UnprocessableError`, `StorageFullError`."""
        try:
            program.run(
                self.folder, "index-pack", "--stdin", "--fix-thin", "--strict", f"--max-input-size={most}",
                stdin=pack, more=self.environment,
            )  # fmt: skip
        except program.GitError as error:
            said = " ".join(str(error).removeprefix("error: ").removeprefix("fatal: ").split())
            raise UnprocessableError(f"git refuses the objects: {said[:400]}") from error

    def check_whole(self, tips: Iterable[str]) -> None:
        """Everything that the new tips lead to is there. Raises `UnprocessableError`."""
        wanted = "".join(f"{tip}\n" for tip in tips)
        try:
            program.run(
                self.folder, "rev-list", "--objects", "--quiet", "--stdin", "--not", "--all",
                stdin=wanted.encode(), more=self.environment,
            )  # fmt: skip
        except program.GitError as error:
            raise UnprocessableError("Objects are missing.", "Fetch all of the history, then push again.") from error

    def open(self) -> pygit2.Repository:
        """The repository with the new objects."""
        repo = pygit2.Repository(str(self.folder), pygit2.enums.RepositoryOpenFlag.BARE)
        repo.odb.add_disk_alternate(str(self.path))
        return repo

    def release(self) -> None:
        """Move the pack among the repository's; its index comes last, as only then git sees it. Lasting on return."""
        packs, target = self.path / "pack", self.objects / "pack"
        if not packs.is_dir():
            return
        with program.disk_errors():
            target.mkdir(exist_ok=True)
            for file in sorted(packs.iterdir(), key=lambda file: file.suffix == ".idx"):
                os.replace(file, target / file.name)
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
