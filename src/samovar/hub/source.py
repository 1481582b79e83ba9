"""Where a checkpoint's files come from: a local folder, then the cache, then the endpoint, in this order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from samovar.errors import (
    FileMissingError,
    InputTypeError,
    ModelNotFoundError,
    OfflineError,
    UnsafeFileError,
    did_you_mean,
    nearest,
)

# `name` or `owner/name`; each part starts and ends with a letter, a digit or an underscore.
REPOSITORY_ID = re.compile(r"(\w([\w.-]{0,94}\w)?/)?\w([\w.-]{0,94}\w)?", re.ASCII)
LISTED_AT_MOST = 8


class Source:
    """One checkpoint location.

    `name_or_path` is a folder or a repository's id. `revision` is a branch, tag or commit (repositories only; the
    default branch when None); `subfolder` is where in the folder or repository the files lie. With `local_files_only`,
    or with the environment variable `HF_HUB_OFFLINE` set, no socket is opened. `force_download` fetches again what the
    cache already holds. `token` is what `huggingface_hub` takes: a string, True (the stored one), False (none) or
    None (the stored one where there is one).

    A repository's files that are in the cache are used as they are, without asking the endpoint whether they changed.
    All files that one `Source` hands out belong to one commit: the first file decides which.

    Raises `InputTypeError` for a name of another type, `ModelNotFoundError` for a path or id that cannot exist, and
    `UnsafeFileError` for a subfolder that leads out of the checkpoint.
    """

    def __init__(
        self,
        name_or_path: str | os.PathLike[str],
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        subfolder: str | None = "",
        force_download: bool = False,
    ) -> None:
        if not isinstance(name_or_path, str | os.PathLike) or isinstance(os.fspath(name_or_path), bytes):
            raise InputTypeError(
                f"A model's name or path expected, got {type(name_or_path).__name__} ({name_or_path!r}).",
                "Pass a folder, or a repository's id such as 'owner/model'.",
            )
        self.name = os.fspath(name_or_path)
        self.revision = revision
        self.cache_dir = None if cache_dir is None else Path(cache_dir).expanduser()
        self.local_files_only = local_files_only
        self.token = token
        self.subfolder = plain_relative(subfolder, "subfolder") if subfolder else ""
        self.force_download = force_download
        self.commit: str | None = None
        self.answered = False  # whether the endpoint was heard of
        self.known: dict[str, Path | None] = {}
        self.folder = existing_folder(self.name)
        self.is_local = self.folder is not None
        if self.folder is None:
            self.check_id(given_as_path=not isinstance(name_or_path, str))

    def __repr__(self) -> str:
        return f"Source({self.name!r}{'' if self.revision is None else f', revision={self.revision!r}'})"

    # Finding files ------------------------------------------------------------------------------------------------

    def file(self, filename: str) -> Path | None:
        """The file's path on this machine, or None if the folder or repository does not have it.

        Raises `ModelNotFoundError` when the repository, its revision or the permission to read it does not exist,
        `OfflineError` when nothing is known about the repository and the network is off or out of reach.
        """
        relative = plain_relative(filename, "file name")
        if self.subfolder:
            relative = f"{self.subfolder}/{relative}"
        if self.folder is not None:
            path = self.folder / relative
            return path if path.is_file() else None
        if relative not in self.known:
            from samovar.hub.endpoint import fetch

            self.known[relative] = fetch(self, relative)
        return self.known[relative]

    def require(self, filename: str, why: str = "") -> Path:
        """The file's path; raises `FileMissingError` that names what lies beside it. `why` says what it is for."""
        path = self.file(filename)
        if path is not None:
            return path
        there = self.listing()
        place = self.name if not self.subfolder else f"{self.name} (subfolder {self.subfolder})"
        cause = f"{place} has no {filename}." + (f" {why}" if why else "")
        if there:
            near = nearest(filename, there, LISTED_AT_MOST)
            shown = near + [name for name in there if name not in near]
            more = f" and {len(shown) - LISTED_AT_MOST} more" if len(shown) > LISTED_AT_MOST else ""
            cause += f" {'It holds' if self.is_local else 'The cache holds'} {', '.join(shown[:LISTED_AT_MOST])}{more}."
        elif self.is_local:
            cause += " The folder is empty." if self.base().is_dir() else " The subfolder does not exist."
        if self.is_local:
            raise FileMissingError(cause, self.folder_advice(filename))
        from samovar.hub.endpoint import is_offline

        if is_offline(self):
            raise OfflineError(
                f"{cause} The network is off.",
                "Load it once with the network on (unset HF_HUB_OFFLINE, no local_files_only), so that it is cached.",
            )
        raise FileMissingError(cause, "Check the repository's id, or pass the revision or subfolder that has the file.")

    def first(self, *filenames: str) -> Path | None:
        """The first of these files that exists, or None."""
        for filename in filenames:
            path = self.file(filename)
            if path is not None:
                return path
        return None

    # What there is ------------------------------------------------------------------------------------------------

    def base(self) -> Path:
        """The local folder, subfolder included."""
        assert self.folder is not None
        return self.folder / self.subfolder if self.subfolder else self.folder

    def listing(self) -> list[str]:
        """Names of the files that are known without opening a connection: the folder's, or the cached ones."""
        if self.folder is not None:
            return names_in(self.base())
        prefix = f"{self.subfolder}/" if self.subfolder else ""
        found = [relative for relative, path in self.known.items() if path is not None]
        from samovar.hub.endpoint import cached_commit

        commit = cached_commit(self)
        if commit is not None:
            snapshot = cached_repository(self.name, self.cache_dir) / "snapshots" / commit / self.subfolder
            found += [f"{prefix}{name}" for name in names_in(snapshot)]
        return sorted({relative.removeprefix(prefix) for relative in found if relative.startswith(prefix)})

    def folder_advice(self, filename: str) -> str:
        """The next step when a local folder lacks a file: the subfolder that has it, if one does."""
        assert self.folder is not None
        if not self.subfolder:
            inside = sorted(path.parent.name for path in self.folder.glob(f"*/{filename}"))
            if inside:
                return f"The subfolder {' or '.join(inside[:3])} has one: pass that path."
        return "Check the path, or write the folder again with save_pretrained."

    def check_id(self, given_as_path: bool) -> None:
        """Refuse a name that is neither a folder nor possibly a repository's id."""
        path = Path(os.path.expanduser(self.name))
        hint = did_you_mean(path.name, folders_beside(path))
        if self.name and path.is_file():
            raise ModelNotFoundError(f"{self.name} is a file, not a folder.", f"Pass its folder: {path.parent}")
        looks_like_path = given_as_path or self.name.startswith((".", "/", "~", "\\")) or self.name.count("/") > 1
        if looks_like_path:
            raise ModelNotFoundError(
                f"There is no folder {self.name}" + ("." if path == path.absolute() else f" (from {Path.cwd()})."),
                f"{hint} Check the path, or pass a repository's id such as 'owner/model'.".strip(),
            )
        if not REPOSITORY_ID.fullmatch(self.name) or re.search(r"--|\.\.|\.git$", self.name):
            raise ModelNotFoundError(
                f"{self.name!r} is neither a folder on this machine nor a repository's id.",
                f"{hint} An id is 'name' or 'owner/name' of letters, digits, '-', '_' and '.'.".strip(),
            )

    def near_names(self) -> str:
        """A sentence with the folders and cached ids that look like this name, or an empty string."""
        beside = folders_beside(Path(self.name))
        parent = os.path.dirname(self.name)
        candidates = [f"{parent}/{name}" if parent else name for name in beside]
        for cached in cached_ids(self.cache_dir):
            candidates.append(cached)
        found = nearest(self.name, candidates)
        # An owner that was forgotten or mistaken should not hide a right name.
        last = self.name.rpartition("/")[2].lower()
        found += [name for name in candidates if name.rpartition("/")[2].lower() == last and name not in found]
        names = [name for name in found if name != self.name]
        return f"Did you mean {' or '.join(repr(name) for name in names[:3])}?" if names else ""


def existing_folder(name: str) -> Path | None:
    """The folder of this name if there is one, also one that a save left half-way through being swapped."""
    if not name or "\0" in name:
        return None
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        return path
    from samovar.hub.atomic import recover

    return path if recover(path) else None


def plain_relative(name: str, what: str) -> str:
    """`name` with forward slashes; raises `UnsafeFileError` if it leads out of the checkpoint."""
    if not isinstance(name, str):
        raise InputTypeError(f"A {what} expected, got {type(name).__name__} ({name!r}).", "Pass a string.")
    path = PurePosixPath(name)
    if not name or "\\" in name or "\0" in name or ":" in name or path.is_absolute() or ".." in path.parts:
        raise UnsafeFileError(
            f"The {what} {name!r} leads out of the checkpoint, or names nothing in it.",
            "Use a relative path without '..', with '/' between its parts.",
        )
    return str(path)


def names_in(folder: Path) -> list[str]:
    """Names of the files in a folder, sorted; empty when there is no such folder or it cannot be read."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError:
        return []


def folders_beside(path: Path) -> list[str]:
    """Names of the folders that share this path's parent, hidden ones left out."""
    try:
        return sorted(e.name for e in os.scandir(path.parent) if e.is_dir() and not e.name.startswith("."))
    except OSError:
        return []


def cache_folder(cache_dir: Path | None) -> Path:
    """The cache: the one given, or the standard one of this machine (`HF_HUB_CACHE`, `HF_HOME`)."""
    if cache_dir is not None:
        return cache_dir
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_repository(name: str, cache_dir: Path | None) -> Path:
    """The cache's folder of one model repository."""
    return cache_folder(cache_dir) / f"models--{name.replace('/', '--')}"


def cached_ids(cache_dir: Path | None) -> Iterable[str]:
    """Ids of the model repositories that the cache holds."""
    try:
        entries = sorted(entry.name for entry in os.scandir(cache_folder(cache_dir)) if entry.is_dir())
    except OSError:
        return []
    return [name.removeprefix("models--").replace("--", "/") for name in entries if name.startswith("models--")]
