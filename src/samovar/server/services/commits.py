"""Commits through the API: operations arrive one by one, are checked, and become one commit or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO

import pygit2

from samovar.server.errors import (
    BadRequestError,
    PreconditionFailedError,
    TooLargeError,
    UnprocessableError,
)
from samovar.server.hub import Hub
from samovar.server.objects.pointers import LARGEST, parse, write
from samovar.server.objects.store import SHA256
from samovar.server.repos import attributes, commits
from samovar.server.repos.names import file_path, printable
from samovar.server.repos.revisions import branch_of, commit_of, target
from samovar.server.repos.trees import TreeEditor
from samovar.server.repos.writing import NewObjects
from samovar.server.services import quota
from samovar.server.services.changes import Changes, retried
from samovar.server.services.large_files import committing

MOST_OPERATIONS = 100_000


@dataclass(slots=True)
class AddFile:
    """A file that git holds."""

    path: str
    blob: bytes


@dataclass(slots=True)
class AddLarge:
    """A file that was uploaded before, or is in the repository already (then without `size`)."""

    path: str
    sha256: str
    size: int | None


@dataclass(slots=True)
class Delete:
    """A file or folder goes."""

    path: str
    folder: bool


@dataclass
class Draft:
    """A commit that is arriving. Close it."""

    hub: Hub
    repository_id: int
    new: NewObjects
    operations: list[AddFile | AddLarge | Delete] = field(default_factory=list)
    total: int = 0
    message: str = ""
    title: str = ""
    description: str = ""
    parent: str | None = None

    @classmethod
    def begin(cls, hub: Hub, repository_id: int) -> Draft:
        """A draft for one repository."""
        return cls(hub, repository_id, NewObjects(hub.folders.path(repository_id)))

    def close(self) -> None:
        """Forget what was not committed."""
        self.new.close()

    def header(self, title: str, description: str, parent: str | None) -> None:
        """What is said, and the commit that must be the head. Raises `BadRequestError`."""
        self.message = commits.message(title, description)
        self.title, self.description, self.parent = " ".join(title.split()), description, parent

    def operate(self, operation: AddFile | AddLarge | Delete) -> None:
        """Take an operation. Raises `TooLargeError`."""
        if len(self.operations) >= MOST_OPERATIONS:
            raise TooLargeError("The commit has too many operations.", f"At most {MOST_OPERATIONS:,} are allowed.")
        self.operations.append(operation)

    def add_file(self, path: str, file: IO[bytes], size: int) -> None:
        """A file's content, read from the current position on. Raises `BadRequestError`, `TooLargeError`."""
        settings = self.hub.settings
        if size > settings.largest_regular:
            raise TooLargeError(
                f"{printable(path)} has {size:,} bytes: too many for git.",
                f"Upload files above {settings.largest_regular:,} bytes as large files (LFS or Xet).",
            )
        self.total += size
        if self.total > settings.largest_commit:
            raise TooLargeError("The commit's files are too large together.", "Make several commits.")
        file_path(path)
        if size <= LARGEST:
            start = file.tell()
            if pointer := parse(file.read(size)):
                # A pointer is a claim to have the large file, whichever way it comes.
                self.operate(AddLarge(path, pointer.sha256, pointer.size))
                return
            file.seek(start)
        self.operate(AddFile(path, self.new.add_blob(file, size)))

    def add_large(self, path: str, sha256: str, size: int | None) -> None:
        """A large file by its SHA-256. Raises `BadRequestError`."""
        if not SHA256.fullmatch(sha256) or (size is not None and size < 0):
            raise BadRequestError(f"{printable(sha256)} is no SHA-256 in lower-case hex.")
        if file_path(path).rpartition("/")[2] in attributes.ALWAYS_REGULAR - {"README.md"}:
            raise BadRequestError(f"{printable(path)} cannot be a large file: git itself reads it.")
        self.operate(AddLarge(path, sha256, size))

    def delete(self, path: str, folder: bool) -> None:
        """A file or folder goes. Raises `BadRequestError`."""
        self.operate(Delete(file_path(path.rstrip("/") if folder else path), folder))

    def require_parent(self, head: str | None) -> None:
        """Raises `PreconditionFailedError` if it was made for another head, `BadRequestError` without header."""
        if not self.message:
            raise BadRequestError("The commit has no header.", 'Begin with {"key": "header", …}.')
        if self.parent is not None and not same(self.parent, head):
            raise PreconditionFailedError("A commit has happened since. Please refresh and try again.")

    def sizes(self) -> dict[str, int]:
        """The bytes of the large files that the commit refers to.

        Raises `QuotaExceededError`, and `UnprocessableError` for one that was never brought to this repository: knowing
        a hash is not having the file.
        """
        wanted = {one.sha256: one.path for one in self.operations if isinstance(one, AddLarge)}
        with self.hub.database.read() as session:
            quota.check_repository(session, self.hub.settings, self.repository_id, self.total)
        if not wanted:
            return {}
        with self.hub.database.write() as session:
            known = committing(session, self.repository_id, wanted)
        for one in self.operations:
            if isinstance(one, AddLarge):
                if one.sha256 not in known:
                    raise UnprocessableError(
                        f"LFS pointer pointed to a file that does not exist: {printable(one.path)}.",
                        "Upload it to this repository first.",
                    )
                if one.size is not None and one.size != known[one.sha256]:
                    raise UnprocessableError(
                        f"{printable(one.path)} has {known[one.sha256]:,} bytes, not {one.size:,}."
                    )
        return known

    def write(self, repo: pygit2.Repository, parent: pygit2.Commit | None, author: str, sizes: dict[str, int]) -> str:
        """Write the commit on top of `parent`; its id, or the parent's own if nothing changes. Lasting on return."""
        editor = TreeEditor(repo, parent.tree_id.raw if parent else None)
        for one in self.operations:
            if isinstance(one, AddFile):
                editor.put(one.path, one.blob)
            elif isinstance(one, AddLarge):
                editor.put(one.path, self.new.add("blob", write(one.sha256, sizes[one.sha256])))
            else:
                editor.delete(one.path, one.folder)
        self.track(repo, editor)
        tree = editor.write(self.new)
        if parent is not None and tree == parent.tree_id.raw:
            return str(parent.id)
        commit = commits.write(self.new, tree, [str(parent.id)] if parent else [], author, self.message)
        self.flush(repo)
        return commit

    def track(self, repo: pygit2.Repository, editor: TreeEditor) -> None:
        """See to it that git-lfs takes care of every large file on a checkout."""
        large = [one.path for one in self.operations if isinstance(one, AddLarge)]
        if not large:
            return
        found = editor.find(attributes.NAME)
        content = self.content(repo, found[1]) if found else b""
        rules = attributes.Attributes(content)
        missing = [path for path in dict.fromkeys(large) if not rules.large(path) and editor.find(path)]
        if missing:
            content += b"" if not content or content.endswith(b"\n") else b"\n"
            content += b"".join(map(attributes.rule, missing))
            editor.put(attributes.NAME, self.new.add("blob", content))

    def content(self, repo: pygit2.Repository, blob: bytes) -> bytes:
        """The content of a blob, new or old."""
        try:
            return self.new.read(blob)
        except KeyError:
            return repo.odb.read(pygit2.Oid(raw=blob))[1]

    def flush(self, repo: pygit2.Repository) -> None:
        """Write all objects; git checks those that could be meant for git itself. Raises `UnprocessableError`."""
        for_git = any(isinstance(one, AddFile) and meant_for_git(one.path) for one in self.operations)
        self.new.flush(repo, checked=for_git)

    def commit(self, revision: str, author: str) -> str:
        """Commit to a branch; the id of the commit.

        Whoever gave a parent gets `PreconditionFailedError` if it is not the head; otherwise the operations are applied
        to whatever the head is, so that of two writers none loses anything. Raises `RevisionNotFoundError`,
        `EntryNotFoundError`, `BadRequestError`, `UnprocessableError`.
        """
        sizes = self.sizes()

        def plan(repo: pygit2.Repository) -> tuple[str, Changes]:
            branch = branch_of(repo, revision)
            head = target(repo, branch)
            self.require_parent(head)
            oid = self.write(repo, commit_of(repo, head) if head else None, author, sizes)
            return oid, {} if oid == head else {branch: (head, oid)}

        return retried(self.hub, self.repository_id, plan)

    def propose(self, repo: pygit2.Repository, branch: str, author: str) -> str:
        """Write the commit on top of a branch, which does not move; the id of the commit."""
        head = target(repo, branch)
        self.require_parent(head)
        return self.write(repo, commit_of(repo, head) if head else None, author, self.sizes())


def meant_for_git(path: str) -> bool:
    """Whether git, on some file system, could take the file for one of its own (`.gitmodules` has many spellings)."""
    return "git" in path.lower() or "~" in path or not path.isascii()


def same(parent: str, head: str | None) -> bool:
    """Whether a commit, perhaps shortened, is the head."""
    return head is not None and len(parent) >= 7 and head.startswith(parent.lower())
