"""An opened Hub without a server, and repositories made in it from files: for tests of what lies below HTTP."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from samovar.server.db.tables import Account, Repository, RepositoryContent, RepositoryObject, StoredObject
from samovar.server.hub import Hub
from samovar.server.objects.pointers import write
from samovar.server.services.access import Caller
from samovar.server.services.refresh import refresh
from samovar.server.services.repositories import create
from samovar.server.settings import read_settings


class BareHub:
    """A Hub over a new data folder."""

    def __init__(self, data: Path) -> None:
        self.hub = Hub.open(read_settings(data=data))

    def user(self, name: str, **more) -> Caller:
        """A new user, as a caller."""
        with self.hub.database.write() as session:
            account = Account(kind="user", name=name, name_key=name.lower())
            session.add(account)
            session.flush()
            return Caller(account_id=account.id, name=name, **more)

    def repository(self, caller: Caller, name: str, files=None, type_="model", **more) -> int:
        """A new repository with those files; its number."""
        number = create(self.hub, caller, type_, name, **more).id
        if files is not None:
            self.commit(number, files)
        return number

    def commit(self, number: int, files: dict[str, bytes], read: bool = True) -> str:
        """Make the files the only ones of the default branch."""
        git = self.hub.folders.open(number)
        index = pygit2.Index()
        for path, content in files.items():
            index.add(pygit2.IndexEntry(path, git.create_blob(content), FileMode.BLOB))
        who = pygit2.Signature("somebody", "somebody@example.com", 1_700_000_000)
        parents = [git.references["refs/heads/main"].target]
        commit = git.create_commit("refs/heads/main", who, who, "files", index.write_tree(git), parents)
        if read:
            refresh(self.hub, number)
        return str(commit)

    def large_file(self, number: int, content: bytes) -> bytes:
        """Bring a large file to a repository; its pointer."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.hub.objects.scratch()
        path.write_bytes(content)
        self.hub.objects.adopt(path, sha256)
        with self.hub.database.write() as session:
            session.merge(StoredObject(sha256=sha256, size=len(content)))
            session.flush()
            session.merge(RepositoryObject(repository_id=number, sha256=sha256))
        return write(sha256, len(content))

    def row(self, number: int) -> Repository:
        """A repository's row."""
        with self.hub.database.read() as session:
            return session.get_one(Repository, number)

    def content(self, number: int) -> RepositoryContent:
        """What was read of its files."""
        with self.hub.database.read() as session:
            return session.get_one(RepositoryContent, number)
