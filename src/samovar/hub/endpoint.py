"""A repository's files through `huggingface_hub`: the cache first, the endpoint only for what is not in it.

This is the one place that opens a connection. The cache has the standard layout, so other tools of the field share it:
`models--owner--name/{refs/<revision>, snapshots/<commit>/<file>, .no_exist/<commit>/<file>}`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.errors import ModelNotFoundError, OfflineError, SaveError
from samovar.hub.refusals import who
from samovar.hub.source import cached_repository

if TYPE_CHECKING:
    from samovar.hub.source import Source

logger = logging.getLogger(__name__)


def is_offline(source: Source) -> bool:
    """Whether this source may not open a connection."""
    from huggingface_hub import constants

    return source.local_files_only or bool(constants.HF_HUB_OFFLINE)


def fetch(source: Source, relative: str) -> Path | None:
    """The file's path in the cache, downloaded if need be; None if the repository does not have it."""
    if not source.force_download or is_offline(source):
        known, path = look_up(source, relative)
        if known:
            return path
    if is_offline(source):
        if cached_commit(source) is not None:
            return None  # What was never asked for while the network was on counts as absent.
        raise OfflineError(
            f"{source.name}{at_revision(source)} is no folder here and is not in the cache ({cache_of(source)}); "
            f"the network is off.",
            f"{source.near_names()} Load it once with the network on (unset HF_HUB_OFFLINE, no local_files_only)."
            f" The cache is moved by HF_HOME or cache_dir.".strip(),
        )
    return download(source, relative)


def look_up(source: Source, relative: str) -> tuple[bool, Path | None]:
    """Whether the cache knows about the file, and its path (None: known not to exist)."""
    from huggingface_hub import try_to_load_from_cache

    revision = source.commit or source.revision
    found = try_to_load_from_cache(source.name, relative, cache_dir=source.cache_dir, revision=revision)
    if found is None:
        return False, None
    source.commit = source.commit or cached_commit(source)
    return True, Path(found) if isinstance(found, str) else None


def download(source: Source, relative: str) -> Path | None:
    """Fetch one file with a progress bar; every failure becomes an error that says what to do about it."""
    from huggingface_hub import errors, hf_hub_download

    try:
        if not source.answered:
            knock(source, relative)
        path = hf_hub_download(
            source.name,
            relative,
            revision=source.commit or source.revision,
            cache_dir=source.cache_dir,
            token=source.token,
            force_download=source.force_download,
        )
    except errors.LocalEntryNotFoundError as error:
        out_of_reach(source, relative, error.__cause__ or error)
        return None
    except errors.EntryNotFoundError as error:
        response = getattr(error, "response", None)
        if source.commit is None and response is not None:
            source.commit = response.headers.get("X-Repo-Commit")
        return None
    except errors.GatedRepoError as error:
        raise ModelNotFoundError(
            f"{source.name} is gated: its owner grants access on request, and {who(source.token)} was not granted it.",
            "Ask for access on the repository's page, then log in (`hf auth login`) or set HF_TOKEN or token=….",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise not_found(source) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"{source.name} has no revision {source.commit or source.revision!r}.",
            "Pass a branch, tag or full commit of the repository, or leave `revision` out for its default branch."
            + (" force_download=True refreshes what is cached." if source.commit and not source.revision else ""),
        ) from error
    except errors.HfHubHTTPError as error:
        raise refused(source, error) from error
    except ValueError as error:  # What hf_hub_download says when force_download met a failed request.
        if isinstance(error.__cause__, Exception) and source.force_download:
            out_of_reach(source, relative, error.__cause__)
        raise
    except connection_error() as error:
        out_of_reach(source, relative, error)
        return None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise SaveError(
                f"{relative} of {source.name} cannot be stored in {cache_of(source)}: {error.strerror}.",
                "Free space or fix the permissions there, or point HF_HOME or cache_dir to another place.",
            ) from error
        raise ModelNotFoundError(
            f"{relative} of {source.name} could not be downloaded: {error}.", "Try again."
        ) from error
    source.commit = source.commit or commit_of(Path(path), relative)
    return Path(path)


def knock(source: Source, relative: str) -> None:
    """Ask once without the retries of a download, so that a machine without a network does not wait for them all.

    Raises the HTTP library's connection error; every answer is left to the download, which asks again.
    """
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(source.name, relative, revision=source.commit or source.revision)
    with contextlib.suppress(errors.HfHubHTTPError):
        get_hf_file_metadata(url, token=source.token, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    source.answered = True


def connection_error() -> type[Exception]:
    """The error that the HTTP library under `huggingface_hub` raises when a connection breaks."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__bases__ if base is not OSError)  # httpx or its successor


# What the cache says ----------------------------------------------------------------------------------------------


def cache_of(source: Source) -> Path:
    """The cache folder that this source uses."""
    return cached_repository(source.name, source.cache_dir).parent


def cached_commit(source: Source) -> str | None:
    """The commit that the cache holds for the source's revision."""
    if source.commit is not None:
        return source.commit
    revision = source.revision or "main"
    repository = cached_repository(source.name, source.cache_dir)
    try:
        return (repository / "refs" / revision).read_text("utf-8").strip()
    except OSError:
        folders = (repository / "snapshots" / revision, repository / ".no_exist" / revision)
        return revision if any(folder.is_dir() for folder in folders) else None


def commit_of(path: Path, relative: str) -> str | None:
    """The commit in `…/snapshots/<commit>/<relative>`."""
    root = path.parents[relative.count("/")]
    return root.name if root.parent.name == "snapshots" else None


# What went wrong --------------------------------------------------------------------------------------------------


def at_revision(source: Source) -> str:
    return f" at revision {source.revision!r}" if source.revision else ""


def not_found(source: Source) -> ModelNotFoundError:
    from huggingface_hub import constants

    return ModelNotFoundError(
        f"{source.name} is neither a folder on this machine nor a repository on {constants.ENDPOINT} that "
        f"{who(source.token)} may see.",
        f"{source.near_names()} Check the spelling; for a private repository log in (`hf auth login`) or set HF_TOKEN "
        "or token=….".strip(),
    )


def refused(source: Source, error: Any) -> ModelNotFoundError:
    """The endpoint answered, but with something other than the file."""
    from huggingface_hub import constants

    status = error.response.status_code
    if status in (401, 403):
        return ModelNotFoundError(
            f"{constants.ENDPOINT} refused {source.name} to {who(source.token)} (HTTP {status}).",
            "Log in (`hf auth login`), or set HF_TOKEN or token=… to a token that may read this repository.",
        )
    return ModelNotFoundError(
        f"{constants.ENDPOINT} answered HTTP {status} for {source.name}.",
        "Try again in a while." if status == 429 or status >= 500 else "Check HF_ENDPOINT and the repository's id.",
    )


def out_of_reach(source: Source, relative: str, error: BaseException) -> None:
    """No answer: an error for an unknown repository; a warning when only an optional file stays unknown."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.RepositoryNotFoundError):
        raise not_found(source) from error
    if isinstance(error, errors.HfHubHTTPError):
        raise refused(source, error) from error
    if cached_commit(source) is None or source.force_download:
        raise OfflineError(
            f"{source.name}{at_revision(source)} is no folder here and not in the cache, and {constants.ENDPOINT} "
            f"cannot be reached: {error}.",
            f"{source.near_names()} Check the connection, the proxy settings and HF_ENDPOINT.".strip(),
        ) from error
    source.local_files_only = True  # One wait for a dead connection is enough.
    logger.warning(
        "%s cannot be reached; %s goes on with the files that are cached, without %s.",
        constants.ENDPOINT, source.name, relative,
    )  # fmt: skip
