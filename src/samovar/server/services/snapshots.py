"""A commit's files laid out in a folder, as pipelines and readers of data want them: large ones linked, not copied."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

from samovar.server.errors import TooLargeError
from samovar.server.hub import Hub
from samovar.server.objects.pointers import LARGEST, parse
from samovar.server.repos.revisions import resolve
from samovar.server.repos.trees import FOLDER, LINK, SUBMODULE, walk

MOST_FILES = 100_000
Choose = Callable[[list[str]], list[str]]


def snapshot(hub: Hub, root: Path, repository_id: int, commit: str, choose: Choose) -> Path:
    """The folder `root/NUMBER-COMMIT` with the files that `choose` takes of all paths, made if it is not there.

    Links inside a repository are left out: they could lead anywhere.
    """
    target = root / f"{repository_id}-{commit}"
    with contextlib.suppress(FileNotFoundError):
        os.utime(target)  # It is used: see `derived`.
        return target
    draft = root / f".{repository_id}-{commit}-{os.urandom(6).hex()}"
    git = hub.folders.open(repository_id)
    found = resolve(git, commit)
    blobs = {
        path: oid for path, mode, oid in walk(git, found.tree_id.raw, "", True) if mode not in (FOLDER, LINK, SUBMODULE)
    }
    names = choose(list(blobs))
    if len(names) > MOST_FILES:
        raise TooLargeError(f"The repository has more than {MOST_FILES:,} files.", "Download it.")
    try:
        draft.mkdir(parents=True)
        for name in names:
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(hub, path, git.odb.read(blobs[name].hex())[1])
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.is_dir():  # Else somebody else made it at the same time.
            raise
    return target


def write(hub: Hub, path: Path, data: bytes) -> None:
    """One file: what git holds, or the large file that it points to."""
    pointer = parse(data) if len(data) <= LARGEST else None
    if pointer is None:
        path.write_bytes(data)
        return
    local = hub.objects.local_path(pointer.sha256)
    if local is not None:
        # A symbolic link: the folder may lie on another disk than the store.
        path.symlink_to(local)
        return
    with path.open("wb") as file:
        for piece in hub.objects.read(pointer.sha256):
            file.write(piece)


class Held:
    """Keeps a folder from being taken away until it is closed, also by other processes; a killed one lets go.

    Raises `FileNotFoundError` for one that has been taken away.
    """

    def __init__(self, folder: Path) -> None:
        self.handle: int | None = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # Where a file system has no locks, nothing is taken away either.
                fcntl.flock(self.handle, fcntl.LOCK_SH)
            if not os.path.samestat(os.fstat(self.handle), folder.stat()):
                raise FileNotFoundError(folder)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go."""
        handle, self.handle = self.handle, None
        if handle is not None:
            os.close(handle)


def held_snapshot(hub: Hub, root: Path, repository_id: int, commit: str, choose: Choose) -> tuple[Path, Held]:
    """As `snapshot`, held."""
    while True:
        folder = snapshot(hub, root, repository_id, commit, choose)
        with contextlib.suppress(FileNotFoundError):
            return folder, Held(folder)


def take_away(folder: Path) -> bool:
    """Remove a folder unless somebody holds it; whether it is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    aside = folder.with_name(f".gone-{os.urandom(8).hex()}")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.rename(aside)
    except OSError:  # Somebody holds it, or was faster, or the disk refuses: another time.
        return False
    finally:
        os.close(handle)
    shutil.rmtree(aside, ignore_errors=True)
    return True
