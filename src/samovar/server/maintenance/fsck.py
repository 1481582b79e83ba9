"""Check that everything a Hub has stored is whole: database, git folders, large files, and that they agree.

It reads only, beside a running Hub or without one. A running Hub changes things while they are looked at, so whatever
seems broken is looked at again a little later, and only what is broken twice is reported.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pygit2
from sqlalchemy import select

from samovar.server.db.integrity import broken_references, database_problems
from samovar.server.db.tables import (
    DeletedRepository,
    PendingRefresh,
    Repository,
    RepositoryContent,
    RepositoryObject,
    StoredObject,
)
from samovar.server.errors import RepositoryNotFoundError
from samovar.server.hub import Hub
from samovar.server.maintenance.findings import Finding, broken, leftover
from samovar.server.maintenance.git_check import check_git
from samovar.server.repos.revisions import DEFAULT, referenced
from samovar.server.services.derived import unneeded

# Work under way is done within this time (seconds), or was broken off.
SETTLING = 3.0
UNDER_WAY = 3600.0
BATCH = 1000

Check = Callable[[], list[Finding]]


@dataclass
class Report:
    """What was looked at, and what was found."""

    repositories: int = 0
    objects: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing is broken. Leftovers do no harm."""
        return all(finding.level != "broken" for finding in self.findings)


def fsck(hub: Hub, deep: bool = False, settling: float = SETTLING) -> Report:
    """Check a Hub. `deep` also reads every large file and compares its SHA-256.

    What seems broken is looked at again after `settling` seconds.
    """
    report = Report()
    again: list[Check] = []
    for check in checks(hub, report, deep):
        found = check()
        report.findings += [finding for finding in found if finding.level == "leftover"]
        if any(finding.level == "broken" for finding in found):
            again.append(check)
    if again:
        time.sleep(settling)
    for check in again:
        report.findings += [finding for finding in check() if finding.level == "broken"]
    return report


def checks(hub: Hub, report: Report, deep: bool) -> Iterator[Check]:
    """All checks. Each can be made a second time."""
    yield lambda: [broken("database", problem) for problem in database_problems(hub.database)]
    yield lambda: [broken("database", problem) for problem in broken_references(hub.database)]
    for number in repository_ids(hub):
        report.repositories += 1
        yield lambda number=number: check_repository(hub, number)  # type: ignore[misc]
    yield lambda: check_folders(hub)
    for sha256 in object_names(hub):
        report.objects += 1
        yield lambda sha256=sha256: check_object(hub, sha256, deep)  # type: ignore[misc]
    yield lambda: check_store(hub)
    yield lambda: [leftover(str(path), "made of a commit that nobody needs") for path in unneeded(hub)]


def repository_ids(hub: Hub) -> list[int]:
    """The numbers of all repositories."""
    with hub.database.read() as session:
        return list(session.scalars(select(Repository.id).order_by(Repository.id)))


def object_names(hub: Hub) -> Iterator[str]:
    """The names of all large files that the database knows, without holding a transaction open."""
    last = ""
    while True:
        with hub.database.read() as session:
            found = session.scalars(
                select(StoredObject.sha256).where(StoredObject.sha256 > last).order_by(StoredObject.sha256).limit(BATCH)
            ).all()
        if not found:
            return
        yield from found
        last = found[-1]


# One repository ---------------------------------------------------------------------------------------------------


def check_repository(hub: Hub, number: int) -> list[Finding]:
    """Its folder, everything its references lead to, its large files, and what the database says of it."""
    with hub.database.read() as session:
        row = session.get(Repository, number)
        if row is None:
            return []
        subject = f"{row.type} {row.name}"
    if not hub.folders.path(number).is_dir():
        return [broken(subject, f"it has no git folder ({hub.folders.path(number)})")]
    try:
        repository = hub.folders.open(number)
    except (pygit2.GitError, RepositoryNotFoundError) as error:
        return [broken(subject, f"its git folder cannot be opened: {error}")]
    found = check_git(repository)
    findings = [broken(subject, problem) for problem in found.problems]
    with hub.database.read() as session:
        known = set(session.scalars(select(RepositoryObject.sha256).where(RepositoryObject.repository_id == number)))
    for sha256, (pointer, path) in found.pointers.items():
        size = hub.objects.size(sha256)
        if size is None:
            findings.append(broken(subject, f"{path} is the large file {sha256}, which is not stored"))
        elif size != pointer.size:
            findings.append(
                broken(subject, f"{path} is the large file {sha256} of {pointer.size} bytes; stored are {size}")
            )
        elif sha256 not in known:
            findings.append(broken(subject, f"{path} is the large file {sha256}, which was never brought to it"))
    if not found.problems:
        findings += check_columns(hub, number, repository, subject)
    return findings


def check_columns(hub: Hub, number: int, repository: pygit2.Repository, subject: str) -> list[Finding]:
    """Whether the database describes the head of the default branch, or knows that it does not yet."""
    for _ in range(10):
        before = head_of(repository)
        with hub.database.read() as session:
            waiting = session.scalar(select(PendingRefresh.id).where(PendingRefresh.repository_id == number).limit(1))
            sha = session.scalar(select(Repository.sha).where(Repository.id == number))
            content = session.get(RepositoryContent, number)
            files = [] if content is None else content.files
        if before != head_of(repository):  # A commit came in between: neither state was seen whole.
            continue
        if waiting is not None:
            return []
        if sha != before:
            return [broken(subject, f"the database describes {sha}, but its head is {before}")]
        if before is not None and sorted(file[0] for file in files) != sorted(paths_of(repository, before)):
            return [broken(subject, f"the database's list of files is not that of {before}")]
        return []
    return []


def head_of(repository: pygit2.Repository) -> str | None:
    """The commit at the head of the default branch; None if there is none yet."""
    commit = referenced(repository, DEFAULT)
    return None if commit is None else str(commit.id)


def paths_of(repository: pygit2.Repository, commit: str) -> Iterator[str]:
    """The paths of all files of a commit."""
    waiting = [(repository[commit].peel(pygit2.Tree), "")]
    while waiting:
        tree, above = waiting.pop()
        for entry in tree:
            path = f"{above}{entry.name}"
            if isinstance(entry, pygit2.Tree):
                waiting.append((entry, f"{path}/"))
            else:
                yield path


# What lies about --------------------------------------------------------------------------------------------------


def check_folders(hub: Hub) -> list[Finding]:
    """Git folders that belong to no repository."""
    findings = []
    for number in hub.folders.ids():
        with hub.database.read() as session:
            known = session.get(Repository, number) is not None
            deleted = session.get(DeletedRepository, number) is not None
        path = hub.folders.path(number)
        if known or not path.is_dir():
            continue
        if deleted:
            findings.append(leftover(str(path), "the git folder of a repository that was deleted"))
        elif not has_references(path):
            findings.append(leftover(str(path), "an empty git folder, of a repository that was never finished"))
        else:
            findings.append(broken(str(path), "this git folder has commits, but the database knows no such repository"))
    for path in sorted(hub.folders.root.glob("*/*.deleted")):
        findings.append(leftover(str(path), "a git folder whose deletion was broken off"))
    return findings


def has_references(path: Path) -> bool:
    """Whether anything in the git folder has a name."""
    try:
        return bool(pygit2.Repository(str(path)).raw_listall_references())
    except pygit2.GitError:
        return False


def check_object(hub: Hub, sha256: str, deep: bool) -> list[Finding]:
    """One large file that the database knows."""
    subject = f"object {sha256}"
    with hub.database.read() as session:
        row = session.get(StoredObject, sha256)
    if row is None:
        return []
    size = hub.objects.size(sha256)
    if size is None:
        return [broken(subject, f"it is not stored; its size is {row.size}")]
    if size != row.size:
        return [broken(subject, f"stored are {size} bytes of {row.size}")]
    if deep:
        digest = hashlib.sha256()
        for piece in hub.objects.read(sha256):
            digest.update(piece)
        if digest.hexdigest() != sha256:
            return [broken(subject, f"its bytes have changed: their SHA-256 is {digest.hexdigest()}")]
    return []


def check_store(hub: Hub) -> list[Finding]:
    """Large files that the database does not know, and uploads that were broken off."""
    findings = []
    for sha256 in hub.objects.all():
        with hub.database.read() as session:
            known = session.get(StoredObject, sha256) is not None
        path = hub.objects.local_path(sha256)
        if not known and (path is None or older(path, UNDER_WAY)):
            findings.append(leftover(f"object {sha256}", "stored, but the database does not know it"))
    for path in abandoned_drafts(hub):
        findings.append(leftover(str(path), "an upload that was broken off"))
    return findings


def abandoned_drafts(hub: Hub) -> list[Path]:
    """Files of uploads that nobody can go on with any more."""
    lifetime = hub.settings.upload_lifetime.total_seconds()
    return [
        path for path in sorted((hub.settings.objects / "drafts").glob("*"))
        if all(older(one, lifetime) for one in (path, *path.glob("*")))
    ]  # fmt: skip


def older(path: Path, seconds: float) -> bool:
    """Whether the file was last written to longer ago."""
    try:
        return time.time() - path.stat().st_mtime > seconds
    except FileNotFoundError:
        return False
