"""Before a commit: who may make it, and which way each of its files goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pygit2
from pathspec import GitIgnoreSpec
from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Discussion, Repository
from samovar.server.errors import BadRequestError, ConflictError, ForbiddenError, TooLargeError
from samovar.server.hub import Hub
from samovar.server.repos import attributes, trees
from samovar.server.repos.blobs import blobs
from samovar.server.repos.names import file_path, printable
from samovar.server.repos.revisions import resolve
from samovar.server.services.access import Caller, RepoType, find, require_files

MOST_FILES = 5000
PULL = "refs/pr/"
# `.gitignore` and `.gitattributes` are read up to this size (bytes).
RULES = 2**20


@dataclass(frozen=True)
class Announced:
    """A file that somebody is about to upload."""

    path: str
    sample: bytes
    size: int


@dataclass(frozen=True)
class Plan:
    """Which way it goes; `oid` is what is there now: the SHA-256 of a large file, git's id of another."""

    path: str
    large: bool
    ignored: bool
    oid: str | None


def writable(hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, create_pr: bool = False) -> int:
    """The number of a repository in which the caller may commit to `revision`. Raises what `access.find` does.

    Whoever can read a repository and is logged in may propose changes to it, and go on with their own proposals.
    """
    with hub.database.read() as session:
        if not create_pr and not revision.startswith(PULL):
            return find(session, type_, full, caller, "write").id
        repository = find(session, type_, full, caller)
        require_proposals(session, caller, repository)
        if not create_pr:
            require_open(session, caller, repository, revision)
        return repository.id


def require_proposals(session: Session, caller: Caller, repository: Repository) -> int:
    """The caller's id, if they may discuss and propose. Raises `UnauthenticatedError`, `ForbiddenError`."""
    account_id = caller.require_login()
    require_files(session, caller, repository)
    if caller.token_role == "read" or (
        caller.token_role == "fineGrained" and not caller.scoped(repository.owner_id, repository.id, "write")
    ):
        raise ForbiddenError("This token may only read.", "Make one with the role `write`.")
    return account_id


def require_open(session: Session, caller: Caller, repository: Repository, revision: str) -> None:
    """Raises `ForbiddenError` for somebody else's pull request, `ConflictError` for one that is done."""
    number = revision.removeprefix(PULL)
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        return  # There is no such branch, which is said later.
    pull = session.scalar(
        select(Discussion).where(Discussion.repository_id == repository.id, Discussion.number == int(number))
    )
    if pull is None:
        return
    if pull.author_id != caller.account_id and not caller.may_write(repository):
        raise ForbiddenError("This pull request is somebody else's.", "Open one of your own.")
    if pull.status not in ("open", "draft"):
        raise ConflictError(f"The pull request is {pull.status}.", "Open another.")


def plan(
    hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, files: Sequence[Announced],
    create_pr: bool = False, ignore: str | None = None, git_attributes: str | None = None,
) -> list[Plan]:  # fmt: skip
    """Which way the files go. Raises `BadRequestError` for a path that cannot be one, `TooLargeError`."""
    repo = hub.folders.open(writable(hub, caller, type_, full, revision, create_pr))
    tree = resolve(repo, revision).tree_id.raw
    rules = content(repo, tree, attributes.NAME) if git_attributes is None else git_attributes.encode()
    given = ignore if ignore is not None else content(repo, tree, ".gitignore").decode(errors="replace")
    try:
        ignored = GitIgnoreSpec.from_lines(given.splitlines())
    except ValueError as error:
        raise BadRequestError(f".gitignore cannot be read: {error}.") from error
    large = attributes.Attributes(rules)
    folders: dict[str, trees.Raw] = {}
    return [plan_one(hub, repo, tree, one, large, ignored, folders) for one in files]


def plan_one(
    hub: Hub, repo: pygit2.Repository, tree: bytes, one: Announced, large: attributes.Attributes,
    ignored: GitIgnoreSpec, folders: dict[str, trees.Raw],
) -> Plan:  # fmt: skip
    """Which way one file goes. `folders` remembers those that were read."""
    path, settings = file_path(one.path), hub.settings
    if one.size > settings.largest_file:
        raise TooLargeError(f"{printable(path)} has {one.size:,} bytes; no file may have so many.")
    folder, _, name = path.rpartition("/")
    if folder not in folders:
        found = trees.entry(repo, tree, folder)
        folders[folder] = trees.read(repo, found[1]) if found and found[0] == trees.FOLDER else {}
    mode, oid = folders[folder].get(name.encode(), (0, b""))
    there: str | None = None
    if mode in (trees.FILE, trees.PROGRAM):
        pointer = blobs.look_up(repo, oid).pointer
        there = pointer.sha256 if pointer else oid.hex()
    if one.size == 0 or (name in attributes.ALWAYS_REGULAR and one.size <= settings.largest_regular):
        kept_outside = False
    else:
        kept_outside = one.size >= settings.large_file or large.large(path) or binary(one.sample)
    return Plan(one.path, kept_outside, ignored.match_file(path), there)


def content(repo: pygit2.Repository, tree: bytes, path: str) -> bytes:
    """A small text file of a tree; empty if there is none."""
    found = trees.entry(repo, tree, path)
    if not found or found[0] not in (trees.FILE, trees.PROGRAM) or blobs.look_up(repo, found[1]).size > RULES:
        return b""
    return repo.odb.read(pygit2.Oid(raw=found[1]))[1]


def binary(sample: bytes) -> bool:
    """Whether a file that begins so is no text. The sample may end within a character."""
    if b"\0" in sample:
        return True
    for cut in range(4):
        try:
            sample[: len(sample) - cut].decode()
            return False
        except UnicodeDecodeError:
            continue
    return True
