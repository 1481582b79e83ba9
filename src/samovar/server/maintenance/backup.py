"""Copy a Hub while it runs, so that the copy is a Hub of one moment.

The order makes it so. References are read first, then the database is copied in one transaction, then git objects and
large files: whatever the references lead to was written before them, and is registered in the database that was copied
after them. What the database knows beyond that (a commit that came in between) is announced in the copy as not yet
read, and the restored Hub reads it from git again.

The copy is written beside its place and renamed. What an earlier backup has is linked to it instead of copied; a backup
that was broken off is gone on with by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pygit2
from sqlalchemy import delete, select, text

import samovar
from samovar.errors import SamovarError
from samovar.hub.atomic import flush_folder, swap
from samovar.server.db.engine import Database
from samovar.server.db.tables import PendingRefresh, Repository, RepositoryObject, StoredObject
from samovar.server.db.tables.base import now
from samovar.server.http.dates import iso
from samovar.server.maintenance.git_copy import References, copy_git, read_references
from samovar.server.objects.store import LocalStore, ObjectStore
from samovar.server.repos.folders import RepositoryFolders
from samovar.server.repos.revisions import DEFAULT
from samovar.server.services.repositories import forget
from samovar.server.settings import FILE, Settings

MANIFEST = "manifest.json"
FORMAT = 1
DATABASE = "hub.sqlite3"
# Besides the database, what lies at the top of a data folder and cannot be made again.
SINGLE_FILES = ("secret", FILE)


@dataclass
class Copied:
    """What a backup did."""

    repositories: int = 0
    objects: int = 0
    object_bytes: int = 0
    new_objects: int = 0
    new_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    """What could not be copied: the original is damaged."""


def backup(settings: Settings, target: Path) -> Copied:
    """Copy the Hub of these settings to `target`, an empty place or an earlier backup, which is replaced at the end.

    Raises `SamovarError` for a database that is not SQLite, a target that is something else, a backup under way.
    """
    database = Database(settings.database_url)
    try:
        if not database.is_sqlite:
            raise SamovarError(
                "`samovar hub backup` copies SQLite, and the database of this Hub is another one.",
                "Use its own tool (`pg_dump`) and copy the data folder: docs/hub/operations.md says how.",
            )
        target = target.absolute()
        earlier = earlier_backup(target, settings)
        with work_folder(target) as work:
            began = now()
            copied = copy_hub(settings, database, work, earlier)
            write_manifest(work, copied, iso(began))
            os.sync()
            if target.exists() and earlier is not None:
                swap(work, target)
            else:
                os.rename(work, target)
            flush_folder(target.parent)
        shutil.rmtree(work, ignore_errors=True)
        return copied
    finally:
        database.close()


def earlier_backup(target: Path, settings: Settings) -> Path | None:
    """The backup that stands there already."""
    if target == settings.data or settings.data in target.parents or target in settings.data.parents:
        raise SamovarError(f"{target} and the Hub's data folder lie in each other.", "Give a folder on another disk.")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    if not (target / MANIFEST).is_file():
        raise SamovarError(f"{target} is not empty and holds no backup.", "Give an empty folder or an earlier backup.")
    return target


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """The folder beside the target in which the copy grows, locked. One that was left by a kill is gone on with."""
    work = target.parent / f".{target.name}.samovar-backup"
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(work, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield work
    except BlockingIOError as error:
        raise SamovarError(f"Another backup to {target} is under way.", "Wait until it is done.") from error
    finally:
        os.close(lock)


def copy_hub(settings: Settings, database: Database, work: Path, earlier: Path | None) -> Copied:
    """Everything, in the order that the head of this file explains."""
    copied = Copied()
    for entry in work.iterdir():  # Of a backup that was broken off, whole large files are kept.
        if entry.name != "objects":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    references = all_references(RepositoryFolders(settings.repositories))
    copy_database(database, work / DATABASE)
    for name in SINGLE_FILES:
        if (settings.data / name).exists():
            shutil.copy2(settings.data / name, work / name)
    copy = Database(f"sqlite:///{work / DATABASE}")
    try:
        copy_repositories(settings, copy, references, work, earlier, copied)
        copy_objects(LocalStore(settings.objects), copy, work, earlier, copied)
        settle(copy)
    finally:
        copy.close()
    return copied


def all_references(folders: RepositoryFolders) -> dict[int, References]:
    """Where the references of all repositories stand now."""
    found = {}
    for number in folders.ids():
        with suppress(pygit2.GitError, FileNotFoundError):  # Deleted in this moment, or half made.
            found[number] = read_references(folders.path(number))
    return found


def copy_database(database: Database, target: Path) -> None:
    """Copy the database as of one transaction, while others write."""
    with closing(database.engine.raw_connection()) as source, closing(sqlite3.connect(target)) as there:
        assert isinstance(source.driver_connection, sqlite3.Connection)
        source.driver_connection.backup(there)
    target.chmod(0o600)


def copy_repositories(
    settings: Settings, copy: Database, references: dict[int, References], work: Path, earlier: Path | None,
    copied: Copied,
) -> None:  # fmt: skip
    """Copy the git folder of every repository that the copied database knows."""
    here, there = RepositoryFolders(settings.repositories), RepositoryFolders(work / "repositories")
    before = None if earlier is None else RepositoryFolders(earlier / "repositories")
    with copy.read() as session:
        rows = session.execute(select(Repository.id, Repository.type, Repository.name)).all()
    gone = []
    for number, type_, name in rows:
        # A repository that came in between was empty when the references were read, and so it is in the copy.
        known = references.get(number, References())
        there.path(number).parent.mkdir(parents=True, exist_ok=True)
        try:
            copy_git(here.path(number), there.path(number), known, None if before is None else before.path(number))
        except FileNotFoundError:
            if not here.path(number).is_dir():
                shutil.rmtree(there.path(number), ignore_errors=True)
                gone.append(number)
                continue
            raise
        except SamovarError as error:
            copied.problems.append(f"{type_} {name}: {error.cause}")
        copied.repositories += 1
    with copy.write() as session:
        for number in gone:
            forget(session, session.get_one(Repository, number))
    announce_differences(copy, there, references)


def announce_differences(copy: Database, there: RepositoryFolders, references: dict[int, References]) -> None:
    """Have the restored Hub read again what the copied database describes in a later state than the copied git."""
    with copy.write() as session:
        for number, sha in session.execute(select(Repository.id, Repository.sha)).all():
            head = dict(references.get(number, References()).targets).get(f"refs/heads/{DEFAULT}")
            if sha != head:
                session.add(PendingRefresh(repository_id=number, since=now() - timedelta(days=1)))


def copy_objects(store: ObjectStore, copy: Database, work: Path, earlier: Path | None, copied: Copied) -> None:
    """Copy every large file that the copied database knows; its hash is checked on the way."""
    there = LocalStore(work / "objects")
    before = None if earlier is None else LocalStore(earlier / "objects")
    with copy.read() as session:
        rows = dict(session.execute(select(StoredObject.sha256, StoredObject.size)).all())
    gone = []
    for sha256, size in rows.items():
        if there.size(sha256) != size:
            if before is not None and before.size(sha256) == size:
                there.path(sha256).parent.mkdir(parents=True, exist_ok=True)
                os.link(before.path(sha256), there.path(sha256))
            elif store.size(sha256) is None:
                gone.append(sha256)
                continue
            else:
                if not copy_object(store, there, sha256):
                    copied.problems.append(f"object {sha256}: its bytes have changed")
                    continue
                copied.new_objects += 1
                copied.new_bytes += size
        copied.objects += 1
        copied.object_bytes += size
    for sha256 in list(there.all()):  # From a backup that was broken off.
        if sha256 not in rows:
            there.path(sha256).unlink()
    shutil.rmtree(there.drafts, ignore_errors=True)
    with copy.write() as session:  # Collected as garbage in between: nothing refers to them any more.
        for sha256 in gone:
            session.execute(delete(RepositoryObject).where(RepositoryObject.sha256 == sha256))
            session.execute(delete(StoredObject).where(StoredObject.sha256 == sha256))


def copy_object(store: ObjectStore, there: LocalStore, sha256: str) -> bool:
    """Copy one large file; False if it is not what its name says."""
    digest, draft = hashlib.sha256(), there.scratch()
    with draft.open("wb") as file:
        for piece in store.read(sha256):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != sha256:
        draft.unlink()
        return False
    there.path(sha256).parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft, there.path(sha256))  # On the disk with everything else, before the backup gets its name.
    return True


def settle(copy: Database) -> None:
    """One file, which needs no others beside it."""
    with copy.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.rollback()
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.execute("PRAGMA journal_mode = DELETE")


def write_manifest(work: Path, copied: Copied, began: str) -> None:
    """What the backup is made of, with what it takes to notice a change."""
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "samovar": samovar.__version__,
        "schema": schema_of(work / DATABASE),
        "began": began,
        "finished": iso(now()),
        "repositories": copied.repositories,
        "objects": copied.objects,
        "object_bytes": copied.object_bytes,
        "problems": copied.problems,
        "files": {name: sha256_of(work / name) for name in (DATABASE, *SINGLE_FILES) if (work / name).exists()},
        "references": {str(number): sha256_of(RepositoryFolders(work / "repositories").path(number) / "packed-refs")
                       for number in RepositoryFolders(work / "repositories").ids()},
    }  # fmt: skip
    (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def schema_of(database: Path) -> str:
    """The migration that the database is at."""
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def sha256_of(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
