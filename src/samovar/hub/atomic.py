"""Saving that leaves the old state whole until the new one is whole: write beside, then exchange the names.

A folder is written as `.<name>.samovar-new-<random>` beside its target. Files of the target that the save does not
write are hard-linked into it, everything is flushed to disk, and one system call exchanges the two names
(Linux `renameat2`; elsewhere two renames, between which `recover` finds the way back). Whatever ends the process
before that, the target is as it was; the next save removes what was left beside it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fnmatch
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Set
from pathlib import Path

from samovar.errors import SamovarError, SaveError

try:
    import fcntl
except ImportError:  # Windows: what a killed save leaves behind is then not removed by the next one.
    fcntl = None  # type: ignore[assignment]

NEW, OLD = "samovar-new", "samovar-old"
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
# Mount points and folders of a container image's lower layer cannot be renamed.
NO_RENAME = (errno.EXDEV, errno.EBUSY, errno.EINVAL)
# Names that one set of weights can have: readers take the first that they find, so only one set may be in a folder.
WEIGHTS = tuple(
    pattern
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin"))
    for pattern in (f"{stem}.{ending}", f"{stem}-*-of-*.{ending}", f"{stem}.{ending}.index.json")
)


@contextlib.contextmanager
def write_beside(target: str | os.PathLike[str], keep: bool = True) -> Iterator[Path]:
    """Yield an empty folder to write into; when the block ends, its files stand in `target`, all or none.

    Files of `target` that the block did not write stay, with one exception: a block that writes weights replaces the
    weights of an earlier save whatever they are called (see `WEIGHTS`), so that the two never stand side by side.
    With `keep=False` none stays: the new files are all that is in `target` afterwards.
    Links inside `target` stay links; a `target` that is a link to a folder keeps being one. Two saves into one folder
    at the same time are both whole, and the later one wins.

    Where the folder itself cannot be exchanged (it is a mount point, the current directory, or lies in a folder that
    may not be written) its files are exchanged one by one, each of them whole.

    Raises `SaveError` when the disk is full, a permission is missing or the target is a file; other exceptions of the
    block pass through. Either way, nothing has changed.
    """
    final = Path(os.path.realpath(os.path.expanduser(target)))
    recover(final)
    if final.exists() and not final.is_dir():
        raise SaveError(f"{target} is a file, not a folder.", "Give the path of a folder.")
    inside = final.is_dir() and not exchangeable(final)
    parent = final if inside else final.parent
    beside: Path | None = None
    try:
        with failures_as_save_errors(final):
            parent.mkdir(parents=True, exist_ok=True)
            remove_stale(parent, final.name)
            with claimed_folder(parent, final.name) as beside:
                yield beside
                flush_tree(beside)
                put_in_place(beside, final, inside, keep)
                flush_folder(parent)
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def write_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write one file whole: beside the old one first, then renamed over it. Text is written as UTF-8.

    Raises `SaveError` when the disk is full or a permission is missing; the old file is then as it was.
    """
    final = Path(os.path.realpath(os.path.expanduser(path)))
    beside: Path | None = None
    try:
        with failures_as_save_errors(final):
            remove_stale(final.parent, final.name)
            with claimed_file(final.parent, final.name) as (beside, descriptor):
                with open(descriptor, "wb", closefd=False) as file:
                    file.write(content.encode("utf-8") if isinstance(content, str) else content)
                os.fsync(descriptor)
                if final.exists():
                    shutil.copymode(final, beside)
                os.replace(beside, final)
            flush_folder(final.parent)
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def recover(target: str | os.PathLike[str]) -> bool:
    """Put the old folder back if a save was killed between the two renames; True if it did."""
    path = Path(os.path.realpath(os.path.expanduser(target)))
    backup = path.parent / f".{path.name}.{OLD}"
    if os.path.lexists(path) or not backup.is_dir():
        return False
    try:
        os.rename(backup, path)
    except OSError:
        return False  # Another process put it back first, or the parent cannot be written.
    return True


# The parts of a folder save ---------------------------------------------------------------------------------------


def exchangeable(folder: Path) -> bool:
    """Whether another folder may take this one's name: a process that works inside it would lose its footing."""
    inside = Path.cwd() if os.path.isdir(os.curdir) else Path("/")
    return not os.path.ismount(folder) and os.access(folder.parent, os.W_OK) and folder not in (inside, *inside.parents)


def put_in_place(beside: Path, final: Path, inside: bool, keep: bool) -> None:
    """Give the new folder the target's name."""
    for attempts_left in reversed(range(20)):
        try:
            if inside:
                move_files(beside, final, keep)
            elif final.is_dir():
                if keep:
                    carry_over(final, beside, superseded(final, beside))
                swap(beside, final, keep)
            else:
                os.rename(beside, final)
            return
        except OSError as error:
            # Another save put its folder there, or took the old one away, in this very moment.
            if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY) or not attempts_left:
                raise


def superseded(old: Path, new: Path) -> set[str]:
    """Names of the weights in `old` that those in `new` replace."""

    def weights(folder: Path) -> set[str]:
        return {name for pattern in WEIGHTS for name in fnmatch.filter(os.listdir(folder), pattern)}

    written = weights(new)
    return weights(old) - written if written else set()


def carry_over(old: Path, new: Path, without: Set[str] = frozenset()) -> None:
    """Hard-link what `new` lacks from `old`, folder by folder; copy where links are not possible."""
    shutil.copymode(old, new)
    for entry in os.scandir(old):
        there = new / entry.name
        if entry.is_dir(follow_symlinks=False):
            if not there.exists():
                there.mkdir()
            if there.is_dir():
                carry_over(Path(entry.path), there)
        elif not os.path.lexists(there) and entry.name not in without:
            try:
                os.link(entry.path, there, follow_symlinks=False)
            except OSError as error:
                if error.errno in FULL:
                    raise
                shutil.copy2(entry.path, there, follow_symlinks=False)


def swap(new: Path, target: Path, keep: bool = True) -> None:
    """Exchange two folders' names; `new` then names the old content."""
    flush_folder(new)
    try:
        exchange(new, target)
        return
    except OSError as error:
        if error.errno not in (*NO_EXCHANGE, *NO_RENAME):
            raise
    backup = target.parent / f".{target.name}.{OLD}"
    shutil.rmtree(backup, ignore_errors=True)
    try:
        os.rename(target, backup)
    except OSError as error:
        if error.errno not in NO_RENAME:
            raise
        move_files(new, target, keep)
        return
    try:
        os.rename(new, target)
    except BaseException:
        os.rename(backup, target)
        raise
    shutil.rmtree(backup, ignore_errors=True)


def exchange(first: Path, second: Path) -> None:
    """Exchange two names in one step. Raises `OSError` with `ENOSYS` where the system cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if call is None:
        raise OSError(errno.ENOSYS, "no renameat2")
    here, exchange_flag = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of <linux/fs.h>
    if call(here, os.fsencode(first), here, os.fsencode(second), ctypes.c_uint(exchange_flag)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(second))


def move_files(new: Path, target: Path, keep: bool = True) -> None:
    """Rename each file of `new` over its namesake in `target`, then remove the weights that they replace, or all."""
    old_weights = superseded(target, new)
    written = {path.relative_to(new) for path in new.rglob("*") if path.is_symlink() or not path.is_dir()}
    for inside in sorted(written):
        path = new / inside
        there = target / inside
        if not os.path.lexists(there) or not os.path.samestat(path.lstat(), there.lstat()):
            there.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, there)
    for name in old_weights:
        (target / name).unlink()
    if not keep:
        remove_others(target, written, new)


def remove_others(folder: Path, written: Set[Path], beside: Path) -> None:
    """Remove what is in `folder` but for the files `written` there, and the folder `beside` that they came from."""
    for root, folders, files in os.walk(folder, topdown=False):
        here = Path(root)
        if beside == here or beside in here.parents:
            continue
        for name in files:
            if (here / name).relative_to(folder) not in written:
                (here / name).unlink()
        for name in folders:
            if (here / name).is_symlink():
                if (here / name).relative_to(folder) not in written:
                    (here / name).unlink()
            else:
                with contextlib.suppress(OSError):  # It still holds something that was written.
                    (here / name).rmdir()


# Temporary names --------------------------------------------------------------------------------------------------


def remove_stale(parent: Path, name: str) -> None:
    """Delete what killed saves of `name` left; what a living process still writes is locked, and stays."""
    if fcntl is None:
        return
    stem = f".{name}.{NEW}-"
    for entry in list(os.scandir(parent)):
        if entry.name.startswith(stem) and not entry.is_symlink():
            with contextlib.suppress(OSError), opened(Path(entry.path), os.O_RDONLY) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if entry.is_dir():
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)


@contextlib.contextmanager
def claimed_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder under a temporary name, locked while this process lives."""
    while True:
        path = parent / f".{name}.{NEW}-{secrets.token_hex(4)}"
        path.mkdir()
        with contextlib.ExitStack() as stack:
            if fcntl is not None:
                with contextlib.suppress(FileNotFoundError):
                    stack.enter_context(opened(path, os.O_RDONLY, lock=True))
            if path.exists():  # Another save may have taken it for a stale one before the lock was there.
                yield path
                return


@contextlib.contextmanager
def claimed_file(parent: Path, name: str) -> Iterator[tuple[Path, int]]:
    """A new file under a temporary name and its descriptor, locked while this process lives."""
    while True:
        path = parent / f".{name}.{NEW}-{secrets.token_hex(4)}"
        with opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, lock=True) as descriptor:
            if os.path.exists(path):
                yield path, descriptor
                return


@contextlib.contextmanager
def opened(path: Path, flags: int, lock: bool = False) -> Iterator[int]:
    """A file descriptor, with an exclusive lock if asked for, closed (and so unlocked) at the end."""
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        if lock and fcntl is not None:
            with contextlib.suppress(OSError):  # Some network file systems know no locks.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


# Disk and errors --------------------------------------------------------------------------------------------------


def flush_tree(folder: Path) -> None:
    """Wait until every file in the folder is on the disk: a full one says so here at the latest."""
    for root, _, files in os.walk(folder):
        for name in files:
            path = Path(root, name)
            if not path.is_symlink():
                with opened(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY) as descriptor:
                    os.fsync(descriptor)
        flush_folder(Path(root))


def flush_folder(folder: Path) -> None:
    """Wait until the folder's list of names is on the disk, where the system can be asked to."""
    with contextlib.suppress(OSError), opened(folder, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def failures_as_save_errors(target: Path) -> Iterator[None]:
    """Turn what the operating system refused into `SaveError`, also when it comes wrapped by a Rust library."""
    try:
        yield
    except SamovarError:
        raise
    except OSError as error:
        raise save_error(target, error.errno, error.strerror or str(error)) from error
    except Exception as error:
        wrapped = re.search(r"\(os error (\d+)\)", str(error))
        if wrapped is None:
            raise
        raise save_error(target, int(wrapped.group(1)), os.strerror(int(wrapped.group(1)))) from error


def save_error(target: Path, code: int | None, reason: str) -> SaveError:
    """The error for a system error code: what happened, and what to do about it."""
    place = target
    while not place.exists() and place != place.parent:
        place = place.parent
    if code in FULL:
        free = shutil.disk_usage(place).free / 1e6
        return SaveError(
            f"{target} was not saved: the disk is full ({free:,.0f} MB free at {place}).",
            "Free space there, or save to another disk. What stood there before is unchanged.",
        )
    if code in FORBIDDEN:
        return SaveError(f"{target} was not saved: {reason}.", f"Save to another folder, or allow writing to {place}.")
    return SaveError(f"{target} was not saved: {reason}.", "What stood there before is unchanged.")
