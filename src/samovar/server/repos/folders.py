"""Where the bare git folders lie: by the repository's number, so that renaming moves nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pygit2
from pygit2.enums import Option

from samovar.server.errors import RepositoryNotFoundError

# A commit that was acknowledged is on the disk; folders may belong to another user after a restore.
pygit2.settings.owner_validation = False
pygit2.option(Option.ENABLE_FSYNC_GITDIR, True)

FANOUT = 1000
# Where repositories are that are being made or removed, and how long they may stay (seconds).
ASIDE = "drafts"
LEFT = 24 * 3600


class RepositoryFolders:
    """All git folders of a Hub."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, repository_id: int) -> Path:
        """The folder of one repository."""
        return self.root / f"{repository_id // FANOUT:04d}" / f"{repository_id}.git"

    def aside(self) -> Path:
        """A new name for what is not, or no longer, anybody's repository."""
        path = self.root / ASIDE / os.urandom(16).hex()
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def prepare(self) -> Path:
        """Make an empty bare repository whose branch is `main`, under a name that nobody looks for; `adopt` it."""
        path = self.aside()
        pygit2.init_repository(path, bare=True, initial_head="main")
        return path

    def adopt(self, draft: Path, repository_id: int) -> Path:
        """Put a prepared repository in its place; one that is there from a broken-off try is put aside."""
        path = self.path(repository_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.rename(self.aside())
        draft.rename(path)
        for folder in (path.parent, self.root):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return path

    def create(self, repository_id: int) -> Path:
        """Make an empty bare repository."""
        return self.adopt(self.prepare(), repository_id)

    def open(self, repository_id: int) -> pygit2.Repository:
        """The repository, opened; cheap (a tenth of a millisecond), and not to be shared between threads.

        Raises `RepositoryNotFoundError` for one that was deleted meanwhile.
        """
        try:
            return pygit2.Repository(str(self.path(repository_id)), pygit2.enums.RepositoryOpenFlag.BARE)
        except pygit2.GitError as error:
            raise RepositoryNotFoundError from error

    def delete(self, repository_id: int) -> None:
        """Remove it; put aside first, so that a kill in the middle leaves no half repository under its name."""
        path, aside = self.path(repository_id), self.aside()
        if path.exists():
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what a kill left aside, if it has been there for a day."""
        for path in (self.root / ASIDE).glob("*"):
            if time.time() - path.stat().st_ctime > LEFT:
                shutil.rmtree(path, ignore_errors=True)

    def ids(self) -> Iterator[int]:
        """The numbers of all folders there are."""
        for path in sorted(self.root.glob("*/*.git")):
            if path.stem.isdigit():
                yield int(path.stem)
