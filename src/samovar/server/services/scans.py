"""Which files hold pickles, and what those would import: looked into in the background, once for each content."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Repository, RepositoryContent, Scan, Sequence
from samovar.server.hub import Hub
from samovar.server.objects import pickles
from samovar.server.objects.store import ObjectStore
from samovar.server.services.access import Caller, find
from samovar.server.services.large_files import AT_ONCE

# Counter of the change number up to which files have been looked into.
CURSOR = "scanned"


class StoredFile(io.RawIOBase):
    """An object of any store as a file to read and seek in."""

    def __init__(self, store: ObjectStore, sha256: str, size: int) -> None:
        self.store, self.sha256, self.size, self.at = store, sha256, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere."""
        self.at = max(0, offset + (0, self.at, self.size)[whence])
        return self.at

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        view = memoryview(buffer).cast("B")
        data = b"".join(self.store.read(self.sha256, self.at, min(len(view), max(0, self.size - self.at))))
        view[: len(data)] = data
        self.at += len(data)
        return len(data)


def opened(hub: Hub, repository_id: int, blob: str, sha256: str | None, size: int) -> BinaryIO:
    """A file's content. Raises `FileNotFoundError`, `KeyError`."""
    if sha256 is None:
        return io.BytesIO(hub.folders.open(repository_id)[blob].read_raw())
    return cast(BinaryIO, io.BufferedReader(StoredFile(hub.objects, sha256, size), 2**16))


def scan_new(hub: Hub) -> int:
    """Look into the files of default branches that may hold pickles and that nobody has looked into; how many.

    Only repositories are visited that have changed since the last time.
    """
    last = count = 0
    with hub.database.read() as session:
        since = session.scalar(select(Sequence.value).where(Sequence.name == CURSOR)) or 0
        upto = session.scalar(select(Sequence.value).where(Sequence.name == "changes")) or 0
    while since < upto:
        with hub.database.read() as session:
            rows = session.execute(
                select(RepositoryContent.repository_id, RepositoryContent.files)
                .join(Repository, Repository.id == RepositoryContent.repository_id)
                .where(Repository.id > last, Repository.changed > since)
                .order_by(Repository.id)
                .limit(AT_ONCE)
            ).all()
        if not rows:
            with hub.database.write() as session:
                session.merge(Sequence(name=CURSOR, value=upto))
            break
        last = rows[-1].repository_id
        count += sum(scan_files(hub, row.repository_id, row.files) for row in rows)
    return count


def scan_files(hub: Hub, repository_id: int, files: list[Any]) -> int:
    """Look into those of a repository's files that are new; how many."""
    new = {sha256 or blob: (path, size, blob, sha256) for path, size, blob, sha256, _ in files if pickles.wanted(path)}
    if not new:
        return 0
    with hub.database.read() as session:
        known = set(results(session, new))
    for content in sorted(new.keys() - known):
        _, size, blob, sha256 = new[content]
        try:
            with opened(hub, repository_id, blob, sha256, size) as file:
                found = pickles.scan(file)
        except (FileNotFoundError, KeyError):
            continue  # Gone meanwhile.
        with hub.database.write() as session:
            if session.get(Scan, content) is None:
                session.add(Scan(content=content, status=found.status, imports=found.imports))
    return len(new.keys() - known)


def results(session: Session, contents: Iterable[str]) -> dict[str, Scan]:
    """What is known of contents (SHA-256 of large files, git's ids of others)."""
    names, found = sorted(set(contents)), {}
    for first in range(0, len(names), AT_ONCE):
        for row in session.scalars(select(Scan).where(Scan.content.in_(names[first : first + AT_ONCE]))):
            found[row.content] = row
    return found


def add(hub: Hub, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add `securityFileStatus` to the entries of a folder; the entries."""
    files = [one for one in entries if one["type"] == "file"]
    with hub.database.read() as session:
        known = results(session, [content_of(one) for one in files if pickles.wanted(one["path"])])
    for one in files:
        one["securityFileStatus"] = described(one["path"], known.get(content_of(one)))
    return entries


def content_of(entry: dict[str, Any]) -> str:
    """By what the content of a folder's entry is known."""
    return str(entry["lfs"]["oid"] if "lfs" in entry else entry["oid"])


def repository_status(hub: Hub, type_: str, name: str, caller: Caller) -> dict[str, Any]:
    """`securityRepoStatus` of a repository's default branch. Raises what `access.find` does."""
    with hub.database.read() as session:
        content = session.get(RepositoryContent, find(session, type_, name, caller).id)
        files = content.files if content is not None else []
        doubtful = {path: sha256 or blob for path, _, blob, sha256, _ in files if pickles.wanted(path)}
        known = results(session, doubtful.values())
    statuses = {path: described(path, known.get(doubtful[path]))["status"] for path in sorted(doubtful)}
    issues = [{"path": path, "level": level} for path, level in statuses.items() if level in ("unsafe", "suspicious")]
    return {"scansDone": "queued" not in statuses.values(), "filesWithIssues": issues}


STATUS = {"dangerous": "unsafe", "suspicious": "suspicious", "unreadable": "suspicious", "safe": "safe"}
SAFETY = {"dangerous": "dangerous", "suspicious": "suspicious", "unreadable": "suspicious", "safe": "innocuous"}


def described(path: str, scan: Scan | None) -> dict[str, Any]:
    """`securityFileStatus` as clients read it. A file that can hold no pickle is safe in this regard."""
    if not pickles.wanted(path):
        return {"status": "safe", "avScan": None, "pickleImportScan": None}
    if scan is None:
        return {"status": "queued", "avScan": None, "pickleImportScan": None}
    found = []
    for one in scan.imports:
        module, _, name = one.partition(" ")
        found.append({"module": module, "name": name, "safety": SAFETY[pickles.verdict(one)]})
    status = STATUS[scan.status]
    detail = {"status": status, "highestSafetyLevel": SAFETY[scan.status], "pickleImports": found}
    return {"status": status, "avScan": None, "pickleImportScan": detail}
