"""One checkpoint location — a local folder or a repository at a revision — and the files in it.

A name is resolved in this order: a folder of this name, the cache, the endpoint (`HF_ENDPOINT`). What the cache holds
is not asked for again, so a second use opens no socket; `force_download=True` asks anew. With `HF_HUB_OFFLINE=1` or
`local_files_only=True` no socket is opened at all. The cache has the layout that all tools of the field share.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

from samovar.errors import FileMissingError, InputError, InputTypeError, ModelNotFoundError, OfflineError, nearest


class Source:
    """Files of one model by name: `file` gives a path or None, `require` a path or an error.

    All files of one `Source` come from one commit: the first file that is found pins it for the rest.
    """

    def __init__(
        self,
        name_or_path: str | os.PathLike[str],
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        subfolder: str = "",
        force_download: bool = False,
    ) -> None:
        if not isinstance(name_or_path, str | os.PathLike):
            raise InputTypeError(
                f"A model's name or folder is expected, got {type(name_or_path).__name__}.",
                'Pass text such as "owner/name", or a path.',
            )
        self.name = os.fspath(name_or_path)
        self.folder = Path(self.name).expanduser()
        self.is_local = self.folder.is_dir()
        if not self.is_local:
            from samovar.hub.atomic import recover

            # A save that was killed between two renames left the folder beside its place.
            self.is_local = recover(self.folder)
        self.revision = revision
        self.cache_dir = cache_dir
        self.local_files_only = local_files_only
        self.token = token
        self.subfolder = checked_name(subfolder) if subfolder else ""
        self.force_download = force_download
        self.commit: str | None = None
        if not self.is_local:
            self.check_repository_name()

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    def check_repository_name(self) -> None:
        """Refuse what is neither a folder nor can be a repository."""
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        path_like = self.name.startswith((".", "/", "~", "\\")) or self.name.count("/") > 1
        try:
            validate_repo_id(self.name)
        except HFValidationError:
            path_like = True
        if path_like:
            raise ModelNotFoundError(
                f"There is no folder {self.name!r}, and it is no name of a repository (`owner/name`).",
                self.near_names() or "Check the path.",
            )

    def near_names(self) -> str:
        """A sentence with folders and cached repositories that look like this name; empty when there are none."""
        candidates = cached_repositories(self.cache_dir)
        parent = self.folder.parent
        if parent.is_dir():
            prefix = "" if str(parent) == "." else f"{parent}/"
            candidates += [f"{prefix}{entry.name}" for entry in parent.iterdir() if entry.is_dir()]
        near = nearest(self.name, candidates)
        return f"Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""

    def file(self, filename: str) -> Path | None:
        """The path of a file, fetched if need be; None when the model has no such file."""
        filename = checked_name(filename)
        if self.is_local:
            path = self.folder / self.subfolder / filename
            return path if path.is_file() else None
        return self.cached_or_fetched(filename)

    def require(self, filename: str, why: str = "") -> Path:
        """The path of a file. Raises `FileMissingError`; `why` says what the file is needed for."""
        path = self.file(filename)
        if path is None:
            present: list[str] = []
            if self.is_local:
                present = sorted(entry.name for entry in (self.folder / self.subfolder).glob("*"))[:12]
            holds = f"It holds {', '.join(present)}." if present else "It is empty." if self.is_local else ""
            raise FileMissingError(f"{self.name} has no {filename}. {why}".rstrip(), f"{holds} Check the name.".strip())
        return path

    def first(self, *filenames: str) -> Path | None:
        """The path of the first of these files that exists."""
        return next((path for path in map(self.file, filenames) if path is not None), None)

    def cached_or_fetched(self, filename: str) -> Path | None:
        """Look into the cache, then ask the endpoint; every answer of the endpoint becomes an error of ours."""
        import huggingface_hub as hub
        from huggingface_hub.file_download import _CACHED_NO_EXIST

        inside = f"{self.subfolder}/{filename}" if self.subfolder else filename
        where: dict[str, Any] = {"cache_dir": self.cache_dir, "revision": self.commit or self.revision}
        if not self.force_download:
            cached = hub.try_to_load_from_cache(self.name, inside, **where)
            if isinstance(cached, str):
                return self.pinned(Path(cached))
            if cached is _CACHED_NO_EXIST:
                return None
        offline = self.local_files_only or hub.constants.HF_HUB_OFFLINE
        if offline:
            if self.commit is not None or self.has_snapshot():
                return None
            cause = "local_files_only=True" if self.local_files_only else "HF_HUB_OFFLINE=1"
            raise OfflineError(
                f"{self.name!r} is not in the cache and {cause} forbids the network.",
                self.near_names() or "Download it once while online, or give a local folder.",
            )
        return self.fetched(inside, where)

    def fetched(self, inside: str, where: dict[str, Any]) -> Path | None:
        """Ask the endpoint for a file."""
        import huggingface_hub as hub
        from huggingface_hub import errors

        try:
            path = hub.hf_hub_download(self.name, inside, token=self.token, force_download=self.force_download, **where)
        except errors.GatedRepoError as error:
            raise ModelNotFoundError(
                f"{self.name!r} asks its readers to accept terms first.",
                "Accept them on its page, then give a token: `hf auth login`, HF_TOKEN or token=….",
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise ModelNotFoundError(
                f"No repository {self.name!r} at {hub.constants.ENDPOINT}, or it is private.",
                self.near_names() or "Check the name; for a private one give a token (`hf auth login`, HF_TOKEN).",
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ModelNotFoundError(
                f"{self.name!r} has no revision {self.revision!r}.", "Give a branch, a tag or a commit that exists."
            ) from error
        except errors.RemoteEntryNotFoundError:
            return None
        except errors.LocalEntryNotFoundError as error:
            raise ModelNotFoundError(
                f"{self.name!r} is not in the cache, and {hub.constants.ENDPOINT} does not answer.",
                self.near_names() or "Check the connection and HF_ENDPOINT, or give a local folder.",
            ) from error
        except (errors.HfHubHTTPError, OSError) as error:
            raise ModelNotFoundError(
                f"{hub.constants.ENDPOINT} did not give {inside} of {self.name!r}: {str(error).splitlines()[0]}",
                "Try again, or check HF_ENDPOINT and the token.",
            ) from error
        return self.pinned(Path(path))

    def pinned(self, path: Path) -> Path:
        """Remember the commit that a cached path stands under: …/snapshots/COMMIT/file."""
        if self.commit is None and "snapshots" in path.parts:
            self.commit = path.parts[len(path.parts) - 1 - path.parts[::-1].index("snapshots") + 1]
        return path

    def has_snapshot(self) -> bool:
        """Whether the cache holds any file of this repository."""
        return self.name in cached_repositories(self.cache_dir)


def checked_name(filename: str) -> str:
    """The name of a file inside a model, which must not lead out of it."""
    parts = PurePosixPath(filename).parts
    if not parts or ".." in parts or filename.startswith("/") or "\\" in filename or "\0" in filename:
        raise InputError(f"{filename!r} is not a file inside a model.", "Give a relative name without `..`.")
    return filename


def cached_repositories(cache_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Names of the models in the cache."""
    from huggingface_hub import constants

    root = Path(cache_dir or constants.HF_HUB_CACHE)
    if not root.is_dir():
        return []
    return [entry.name.removeprefix("models--").replace("--", "/") for entry in root.glob("models--*")]
