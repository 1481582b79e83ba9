"""Saving without half-written results: write beside, then rename.

A folder is built whole in a sibling, with what the old one held and the save does not touch, and then exchanged with
the old one in one step. Killed or failed at any time, the old folder stands as it was.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from samovar.errors import SaveError

AT_FDCWD = -100
RENAME_EXCHANGE = 2
BUILDING = ".building-"
REPLACED = ".replaced"


def exchange(left: Path, right: Path) -> bool:
    """Swap two paths in one system call; False where the system or the file system cannot (renameat2(2))."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    return rename(AT_FDCWD, os.fsencode(left), AT_FDCWD, os.fsencode(right), RENAME_EXCHANGE) == 0


def sync(path: Path) -> None:
    """Ask the system to put a file or folder on the disk."""
    with contextlib.suppress(OSError):  # Some file systems cannot sync folders; the rename is atomic all the same.
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_error(target: Path, error: OSError) -> SaveError:
    """The cause in words."""
    words = {
        errno.ENOSPC: ("the disk is full", "Free some space or save elsewhere."),
        errno.EFBIG: ("a file grew beyond the size limit", "Raise the limit or use a smaller max_shard_size."),
        errno.EDQUOT: ("the disk quota is used up", "Free some space or save elsewhere."),
        errno.EACCES: ("writing there is not permitted", "Choose a folder that you may write to."),
        errno.EPERM: ("writing there is not permitted", "Choose a folder that you may write to."),
        errno.EROFS: ("the file system is read-only", "Choose a folder that you may write to."),
        errno.ENOTDIR: ("a part of the path is a file", "Choose another folder."),
        errno.EEXIST: ("a file of that name is in the way", "Choose another folder."),
    }
    cause, step = words.get(error.errno or 0, (str(error), "Save elsewhere."))
    return SaveError(f"{target} was not saved: {cause}. What was there is as it was.", step)


def recover(target: Path) -> bool:
    """Put back a folder that a killed save left under its other name; True when `target` is there afterwards."""
    replaced = target.with_name(f"{target.name}{REPLACED}")
    if not target.exists() and target.name and replaced.is_dir():
        replaced.rename(target)
    return target.is_dir()


@contextlib.contextmanager
def write_beside(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to write into, which takes the place of `target` when the block ends well.

    It starts with what `target` holds, as hard links, so replace files there rather than write into them:
    `unlink` first. Raises `SaveError` when the disk or its permissions forbid the save.
    """
    target = Path(target).expanduser().absolute()
    building: Path | None = None
    try:
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.EEXIST, "a file is in the way")
        target.parent.mkdir(parents=True, exist_ok=True)
        recover(target)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}{BUILDING}", dir=target.parent))
        building.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o777 & ~current_umask())
        if target.exists():
            shutil.copytree(target, building, copy_function=link_or_copy, symlinks=True, dirs_exist_ok=True)
        yield building
        for path in building.rglob("*"):
            if path.is_file() and path.stat().st_nlink == 1:
                sync(path)
        put_in_place(building, target)
        building = None
    except OSError as error:
        if isinstance(error, SaveError):
            raise
        raise save_error(target, error) from error
    except Exception as error:
        # safetensors reports a failed write as its own type, with the system's words in it.
        if type(error).__name__ == "SafetensorError" and ("os error" in str(error) or "I/O" in str(error)):
            raise SaveError(
                f"{target} was not saved: {error}. What was there is as it was.", "Free some space or save elsewhere."
            ) from error
        raise
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def put_in_place(building: Path, target: Path) -> None:
    """Rename the new folder to its place; with an old one there, exchange the two and remove the old."""
    if not target.exists():
        building.rename(target)
    elif exchange(building, target):
        shutil.rmtree(building, ignore_errors=True)
    else:
        replaced = target.with_name(f"{target.name}{REPLACED}")
        shutil.rmtree(replaced, ignore_errors=True)
        target.rename(replaced)
        building.rename(target)
        shutil.rmtree(replaced, ignore_errors=True)
    sync(target.parent)


def link_or_copy(source: str, destination: str) -> None:
    """A second name for the same file, or a copy where the file system has no hard links."""
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, destination, follow_symlinks=False)


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_file(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write one file beside its place, then rename it over. Raises `SaveError`, with the old file as it was."""
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    beside: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}{BUILDING}", dir=path.parent)
        beside = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o666 & ~current_umask())
        os.replace(beside, path)
        beside = None
    except OSError as error:
        raise save_error(path, error) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)
